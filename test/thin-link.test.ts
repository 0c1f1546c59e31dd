// Clients behind a link that is thin, or that was cut without a word.
import test from 'ava'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { startCameras, type FakeCamera } from './fixtures/cameras.ts'
import { selfSigned } from './fixtures/certificate.ts'
import { grpcClient, startGateway, type Gateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const CAMERA: FakeCamera = { namespace: 'default', name: 'door', uid: 'uid-door' }
const REQUEST = { device_id: 'door' }
/** More than sockets hold on their way. */
const FRAME = { seq: 1, width: 3840, height: 2160, partBytes: 4 * 2 ** 20 }
const FRAME_BYTES = FRAME.width * FRAME.height * 3
const BYTES_PER_SECOND = 700_000
const PERIOD_MS = 50
const WINDOW = 64 * 2 ** 20

/** A way to `port` on which no more than BYTES_PER_SECOND come back, and none after `cut`. */
async function startLink(port: number) {
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer(client => {
    const inside = connect(port, '127.0.0.1')
    for (const socket of [client, inside]) sockets.add(socket.on('error', () => {}))
    client.on('data', chunk => isCut || inside.write(chunk)).on('close', () => inside.destroy())
    inside.on('readable', () => {}).on('close', () => isCut || client.destroy())
    const timer = setInterval(() => {
      const size = Math.min(inside.readableLength, (BYTES_PER_SECOND * PERIOD_MS) / 1_000)
      if (size > 0 && !isCut) client.write(inside.read(size) as Buffer)
    }, PERIOD_MS)
    client.on('close', () => clearInterval(timer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => void (isCut = true),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** Asks until a frame is on its way. */
const asked = (gateway: Gateway, ask: () => unknown) =>
  until(
    async () => {
      ask()
      return (await gateway.metric('chrysalis_unsent_bytes')) > 0
    },
    { what: 'a frame on its way', everyMs: 100 },
  )

for (const scheme of ['http', 'https'] as const) {
  test(`a client that a frame takes half a minute to reach gets it, by ${scheme}`, async t => {
    await using folder = await temporaryFolder()
    const { cert, key } = await selfSigned()
    for (const [name, text] of Object.entries({ cert, key })) await writeFile(folder.file(name), text)
    const tls = { CHRYS_TLS_CERT_FILE: folder.file('cert'), CHRYS_TLS_KEY_FILE: folder.file('key') }
    await using nats = await startNats()
    await using cameras = await startCameras(nats.url, [CAMERA])
    await using gateway = await startGateway(nats.url, scheme === 'https' ? tls : {})
    await until(() => gateway.ready(), { what: 'the gateway to be ready' })
    await using link = await startLink(gateway.port)
    // It takes the frame without a word of its own in between.
    const session = connectHttp2(`${scheme}://127.0.0.1:${link.port}`, {
      ...{ rejectUnauthorized: false, settings: { initialWindowSize: WINDOW } },
    })
    await once(session, 'connect')
    session.setLocalWindowSize(WINDOW)
    const fields = { ':path': '/chrys.cloud.videostreaming.v1beta1.Image/VideoLatestImage', 'content-type': 'application/grpc' }
    const call = session.request({ ':method': 'POST', ...fields })
    let received = 0
    call.on('data', (chunk: Buffer) => (received += chunk.length)).on('error', () => {})
    const ask = () => call.write('\0\0\0\0\x06\x12\x04door')
    ask()
    await once(call, 'data')
    cameras.send(CAMERA, FRAME)
    await asked(gateway, ask)
    const startMs = performance.now()
    await until(() => call.destroyed || received > FRAME_BYTES, { what: 'the frame', timeoutMs: 90_000 })
    t.true(received > FRAME_BYTES, `${received}`)
    t.true(performance.now() - startMs > 30_000)
    session.destroy()
  })
}

test('a client that vanished without a word is gone within half a minute, whether it waited for a frame or had one on its way', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using link = await startLink(gateway.port)
  await using first = grpcClient(link.port)
  await using second = grpcClient(link.port)
  using waiting = first.stream()
  using receiving = second.stream()
  for (const stream of [waiting, receiving]) {
    stream.call.on('error', () => {})
    await stream.ask(REQUEST)
  }
  cameras.send(CAMERA, FRAME)
  await asked(gateway, () => receiving.send(REQUEST))
  link.cut()
  await until(async () => (await gateway.metric('chrysalis_calls_running')) === 0, { what: 'the calls to end', timeoutMs: 60_000 })
  t.is(await gateway.metric('chrysalis_unsent_bytes'), 0)
})
