// The HTTP proxy through which ffmpeg fetches http and https sources: playlists, segments and redirects may lead
// anywhere, so every single request is resolved and held against the address policy here.
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type BlockList, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Failure } from '../common/errors.ts'
import { messageOf } from '../common/errors.ts'
import { resolveHost } from './address.ts'
import { connectFailure, listening, own, type Progress, type Relay } from './relay.ts'

const TIMEOUT_MS = 10_000

/** A forward proxy on loopback, for one ffmpeg; everything ends with it. */
export async function openEgress(deny: BlockList): Promise<Relay> {
  const progress: Progress = { phase: 'connecting', lastByteAt: undefined, failure: undefined }
  const sockets = new Set<Socket>()
  const server = createServer((incoming, response) => void forward(incoming, response, deny, progress))
  server.on('connect', (incoming, client) => void tunnel(incoming, client as Socket, deny, progress, sockets))
  server.on('connection', (socket: Socket) => sockets.add(socket.once('close', () => sockets.delete(socket))))
  return listening(server, sockets, progress)
}

function received(progress: Progress): void {
  progress.lastByteAt = performance.now()
  progress.phase = 'playing'
}

/** `GET http://host/path`, the request of a plain http source. */
async function forward(incoming: IncomingMessage, response: ServerResponse, deny: BlockList, progress: Progress): Promise<void> {
  const url = URL.parse(incoming.url ?? '')
  if (url === null || url.protocol !== 'http:') return void response.writeHead(400).end()
  try {
    const host = await resolveHost(url.hostname, deny)
    const { 'proxy-connection': _, ...asked } = incoming.headers
    const headers = { ...asked, host: url.host, connection: 'close' }
    const outgoing = request({
      host,
      port: url.port === '' ? 80 : url.port,
      path: `${url.pathname}${url.search}`,
      method: incoming.method,
      headers,
      timeout: TIMEOUT_MS,
    })
    outgoing.on('error', () => {}) // after the answer began, its end tells
    outgoing.once('timeout', () => outgoing.destroy(new Failure('ConnectTimeout', 'the camera does not answer')))
    response.once('close', () => outgoing.destroy())
    const answer = await new Promise<IncomingMessage>((resolve, reject) => outgoing.once('response', resolve).once('error', reject).end())
    answer.on('data', () => received(progress)).on('error', () => response.destroy())
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  } catch (error) {
    progress.failure ??= failureOf(error, progress)
    if (!response.headersSent) response.writeHead(502)
    response.end()
  }
}

/** `CONNECT host:443`, the way of an https source: ffmpeg's TLS goes through it untouched. */
async function tunnel(incoming: IncomingMessage, client: Socket, deny: BlockList, progress: Progress, sockets: Set<Socket>): Promise<void> {
  const target = URL.parse(`https://${incoming.url ?? ''}`)
  client.on('error', () => {})
  try {
    if (target === null) throw new Failure('ProtocolRefused', 'malformed tunnel request')
    const camera = connect({ host: await resolveHost(target.hostname, deny), port: target.port === '' ? 443 : Number(target.port) })
    own(sockets, client, camera)
    camera.setTimeout(TIMEOUT_MS, () => camera.destroy(new Failure('ConnectTimeout', 'the camera does not answer')))
    await new Promise<void>((resolve, reject) => camera.once('connect', resolve).once('error', reject))
    camera.setTimeout(0)
    camera.on('data', () => received(progress))
    client.write('HTTP/1.1 200 Connection established\r\n\r\n')
    ;(client as Duplex).pipe(camera).pipe(client)
  } catch (error) {
    progress.failure ??= failureOf(error, progress)
    client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
  }
}

function failureOf(error: unknown, progress: Progress): Failure {
  if (error instanceof Failure) return error
  return error instanceof Error ? connectFailure(error, progress) : new Failure('ConnectFailed', messageOf(error))
}
