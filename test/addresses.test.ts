// A host name with several addresses, of which not all answer: whatever is connected to is found at the one that does.
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTls } from 'node:tls'
import test from 'ava'
import { denied } from '../common/net/address.ts'
import { openHttpRelay } from '../sidecar/http/relay.ts'
import { openRelay } from '../sidecar/rtsp/relay.ts'
import { selfSigned } from './fixtures/certificate.ts'
import { startDeaf } from './fixtures/deaf.ts'
import { freePort } from './fixtures/ports.ts'
import { until, within } from './fixtures/wait.ts'
import { startWebCamera } from './fixtures/web-camera.ts'

/** Of a name, in the order in which they are tried. */
const ADDRESSES = [
  { address: '127.0.0.2', family: 4 },
  { address: '127.0.0.1', family: 4 },
]
const host = 'camera.example'

test('a relay goes on to the next address where one does not answer or refuses, with TLS and without', async t => {
  for (const isTls of [false, true]) {
    const answering = (client: Socket) => client.on('error', () => {}).pipe(client)
    await using camera = await listen(isTls ? createTls(await selfSigned(), answering) : createServer(answering))
    const { port } = camera
    for (const isDeaf of [false, true]) {
      await using _deaf = isDeaf ? await startDeaf({ host: '127.0.0.2', port }) : undefined
      await using relay = await openRelay({ host, addresses: ADDRESSES, port, tls: isTls })
      const client = connect(relay.port, relay.host)
      client.write('hello')
      t.is(String((await within(once(client, 'data'), { what: 'an answer' }))[0]), 'hello')
      client.destroy()
    }
  }
})

test('RTP by UDP passes ports of ours: from the camera to ffmpeg and back, and from nowhere else', async t => {
  const transport = 'RTP/AVP;unicast;client_port=5-6;server_port=70000-70001' // no ports: those that it sends from count
  const answer = `RTSP/1.0 200 OK\r\nCSeq: 1\r\nTransport: ${transport}\r\n\r\n`
  await using camera = await listen(createServer(client => client.on('error', () => {}).once('data', () => client.write(answer))))
  const learnt = { lapses: 0, strength: 0, silences: 0 }
  const rtsp = { url: `rtsp://${host}/video`, credentials: undefined, codecs: [], udp: true, learnt }
  await using relay = await openRelay({ host, addresses: ADDRESSES, port: camera.port, tls: false, rtsp })
  const client = connect(relay.port, relay.host)
  const [ffmpeg, source, stranger] = await Promise.all([udpSocket('127.0.0.1'), udpSocket('127.0.0.1'), udpSocket('127.0.0.5')])
  client.write(`SETUP rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/UDP;unicast;client_port=${ffmpeg.address().port}-6\r\n\r\n`)
  const said = String((await within(once(client, 'data'), { what: 'an answer' }))[0])
  const [, port] = /;server_port=(\d+)-\d+;source=127\.0\.0\.1\r\n/.exec(said) ?? []
  const heard = (socket: UdpSocket) => within(once(socket, 'message'), { what: 'a datagram' }).then(([data]) => String(data))
  stranger.send('stranger', Number(port), '127.0.0.1')
  source.send('from the camera', Number(port), '127.0.0.1')
  t.is(await heard(ffmpeg), 'from the camera')
  ffmpeg.send('report', Number(port), '127.0.0.1')
  t.is(await heard(source), 'report')
  for (const socket of [ffmpeg, source, stranger]) socket.close()
  client.destroy()
})

test('what a camera says before it is asked does not reach ffmpeg', async t => {
  const elsewhere = 'RTSP/1.0 302 Found\r\nCSeq: 1\r\nLocation: rtsp://192.0.2.1/\r\n\r\n'
  await using camera = await listen(createServer(client => client.on('error', () => {}).write(elsewhere)))
  const learnt = { lapses: 0, strength: 0, silences: 0 }
  for (const udp of [false, true]) {
    const rtsp = { url: `rtsp://${host}/video`, credentials: undefined, codecs: [], udp, learnt }
    await using relay = await openRelay({ host, addresses: ADDRESSES, port: camera.port, tls: false, rtsp })
    const client = connect(relay.port, relay.host)
    let heard = ''
    client.setEncoding('utf8').on('data', (piece: string) => (heard += piece))
    await until(() => relay.progress.unpackedBytes > 0, { what: 'the camera’s words' })
    client.end()
    await within(once(client, 'close'), { what: 'the end' })
    t.is(heard, '')
  }
})

async function udpSocket(address: string): Promise<UdpSocket> {
  const socket = createSocket('udp4').bind(0, address)
  await once(socket, 'listening')
  return socket
}

test('where no address answers, it is said what the first one does', async t => {
  await using relay = await openRelay({ host, addresses: ADDRESSES, port: await freePort(), tls: false })
  const client = connect(relay.port, relay.host)
  const failure = await until(() => relay.progress.failure, { what: 'a failure' })
  t.is(failure.reason, 'ConnectionRefused')
  client.destroy()
})

test('what is fetched by HTTP comes from the address that answers', async t => {
  await using camera = await startWebCamera({ kind: 'body', type: 'text/plain', body: 'picture' })
  const { port } = new URL(camera.url)
  await using _deaf = await startDeaf({ host: '127.0.0.2', port: Number(port) })
  const url = `http://${host}:${port}/video`
  await using proxy = await openHttpRelay(url, denied([]), { resolve: () => Promise.resolve(ADDRESSES) })
  const client = connect(proxy.port, proxy.host)
  client.write(`GET ${url} HTTP/1.0\r\n\r\n`)
  let text = ''
  client.setEncoding('utf8').on('data', (piece: string) => (text += piece))
  await within(once(client, 'end'), { what: 'an answer' })
  t.regex(text, /^HTTP\/1\.1 200 OK\r\n.*\r\npicture/s)
  client.destroy()
})

async function listen(server: Server): Promise<AsyncDisposable & { port: number }> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}
