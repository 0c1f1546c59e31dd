// The HTTP proxy through which ffmpeg fetches http and https sources: playlists, segments and redirects may lead
// anywhere, so every single request is resolved and held against the address policy here. TLS to the source ends here too, since cameras
// vouch for themselves, and ffmpeg from version 9 on takes no such word for an HLS segment.
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'
import { request as requestTls } from 'node:https'
import { connect, type BlockList, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Failure, messageOf } from '../common/errors.ts'
import { resolveHost } from './address.ts'
import { connectFailure, isName, listening, own, type Progress, type Relay } from './relay.ts'
import { withoutTls } from './source.ts'

const TIMEOUT_MS = 10_000
const ORIGINS_MAX = 64

/** A forward proxy on loopback, for one ffmpeg that fetches `url`; everything ends with it. */
export async function openEgress(url: string, deny: BlockList): Promise<Relay> {
  const progress: Progress = { phase: 'connecting', lastByteAt: undefined, failure: undefined }
  const sockets = new Set<Socket>()
  const tls = new TlsOrigins(url)
  const server = createServer((incoming, response) => void forward(incoming, response, deny, progress, tls))
  server.on('connect', (incoming, client) => void tunnel(incoming, client as Socket, deny, progress, sockets))
  server.on('connection', (socket: Socket) => sockets.add(socket.once('close', () => sockets.delete(socket))))
  return listening(server, sockets, progress)
}

/** Where TLS is spoken, though ffmpeg asks for it without. */
class TlsOrigins {
  readonly #hosts = new Set<string>()

  constructor(url: string) {
    this.hide(url)
  }

  has(url: URL): boolean {
    return this.#hosts.has(url.host)
  }

  /** The same place for ffmpeg; of anything but https the text as it is. */
  hide(text: string): string {
    if (!URL.canParse(text) || new URL(text).protocol !== 'https:' || this.#hosts.size >= ORIGINS_MAX) return text
    const hidden = withoutTls(text)
    this.#hosts.add(new URL(hidden).host)
    return hidden
  }
}

function received(progress: Progress): void {
  progress.lastByteAt = performance.now()
  progress.phase = 'playing'
}

/** `GET http://host/path`, for a source with or without TLS. */
async function forward(
  incoming: IncomingMessage,
  response: ServerResponse,
  deny: BlockList,
  progress: Progress,
  tls: TlsOrigins,
): Promise<void> {
  const url = URL.parse(incoming.url ?? '')
  if (url === null || url.protocol !== 'http:') return void response.writeHead(400).end()
  try {
    const host = await resolveHost(url.hostname, deny)
    const { 'proxy-connection': _, ...asked } = incoming.headers
    const isTls = tls.has(url)
    const headers = { ...asked, host: isTls ? url.host.replace(/:443$/, '') : url.host, connection: 'close' }
    const outgoing = (isTls ? requestTls : request)({
      ...{ host, port: url.port === '' ? 80 : url.port, path: `${url.pathname}${url.search}`, method: incoming.method, headers },
      ...(isTls ? { rejectUnauthorized: false, servername: isName(url.hostname) ? url.hostname : '' } : {}),
      timeout: TIMEOUT_MS,
    })
    outgoing.on('error', () => {}) // after the answer began, its end tells
    outgoing.once('timeout', () => outgoing.destroy(new Failure('ConnectTimeout', 'the camera does not answer')))
    response.once('close', () => outgoing.destroy())
    const answer = await new Promise<IncomingMessage>((resolve, reject) => outgoing.once('response', resolve).once('error', reject).end())
    answer.on('data', () => received(progress)).on('error', () => response.destroy())
    const { location } = answer.headers
    const told: OutgoingHttpHeaders = location === undefined ? answer.headers : { ...answer.headers, location: tls.hide(location) }
    response.writeHead(answer.statusCode ?? 502, told)
    answer.pipe(response)
  } catch (error) {
    progress.failure ??= failureOf(error, progress)
    if (!response.headersSent) response.writeHead(502)
    response.end()
  }
}

/** `CONNECT host:443`, for what a playlist has elsewhere: ffmpeg's TLS goes through it untouched. */
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
