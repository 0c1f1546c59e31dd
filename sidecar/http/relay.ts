// The HTTP proxy through which ffmpeg fetches http and https sources: playlists, segments and redirects may lead
// anywhere, so every single request is resolved and held against the address policy here. All TLS ends here too, since cameras
// vouch for themselves: ffmpeg asks for http only, and of what it is told to fetch, https is rewritten and all else refused.
import type { LookupAddress } from 'node:dns'
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'
import { request as requestTls } from 'node:https'
import type { BlockList, Socket } from 'node:net'
import { Failure, messageOf } from '../../common/errors.ts'
import { oneAfterTheOther, resolveHost } from '../source/address.ts'
import { CAMERA_TLS, connectFailure, isName, listening, newProgress, type Progress, type Relay } from '../rtsp/relay.ts'
import { withoutTls } from '../source/url.ts'

const TIMEOUT_MS = 20_000
const ORIGINS_MAX = 64
const PLAYLIST = Buffer.from('#EXTM3U')
const PLAYLIST_BYTES_MAX = 4 * 2 ** 20
/** By these ffmpeg would make other bytes of an answer than were looked at here. */
const RECODING = ['content-encoding', 'icy-metaint'] as const

/** A forward proxy on loopback, for one ffmpeg that fetches `url`; everything ends with it. */
export async function openHttpRelay(url: string, deny: BlockList, resolve = resolveHost): Promise<Relay> {
  const progress = newProgress()
  const sockets = new Set<Socket>()
  const tls = new TlsOrigins(url)
  const server = createServer((incoming, response) => void forward(incoming, response, host => resolve(host, deny), progress, tls))
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

  /** The same place for ffmpeg; of anything but https the text as it is. Throws Failure RedirectRefused. */
  hide(text: string): string {
    if (URL.parse(text)?.protocol !== 'https:') return text
    const hidden = new URL(withoutTls(text))
    if (!this.has(hidden) && this.#hosts.size >= ORIGINS_MAX) throw new Failure('RedirectRefused', 'the camera leads to too many servers')
    this.#hosts.add(hidden.host)
    return hidden.href
  }
}

/** A playlist by which ffmpeg goes nowhere past the proxy. Throws Failure RedirectRefused. */
function tamed(playlist: string, tls: TlsOrigins): string {
  const address = (text: string) => {
    const scheme = /^([a-z0-9+.-]*):/i.exec(text)?.[1] ?? 'http'
    if (!/^https?$/i.test(scheme)) throw new Failure('RedirectRefused', 'the camera’s playlist leads to another protocol than HTTP')
    return tls.hide(text)
  }
  // As ffmpeg reads it: a backslash is left out, and lines end so.
  const unescaped = (text: string) => text.replace(/\\(.)/g, '$1')
  const line = (text: string) => (text.startsWith('#') ? text.replace(/(?<=URI="?)[^",]+/g, uri => address(unescaped(uri))) : address(text))
  return playlist
    .split(/[\r\n\0]/)
    .map(line)
    .join('\n')
}

function received(progress: Progress): void {
  progress.lastByteAt = performance.now()
  progress.phase = 'playing'
}

/** `GET http://host/path`, for a source with or without TLS. */
async function forward(
  incoming: IncomingMessage,
  response: ServerResponse,
  resolve: (host: string) => Promise<LookupAddress[]>,
  progress: Progress,
  tls: TlsOrigins,
): Promise<void> {
  const url = URL.parse(incoming.url ?? '')
  if (url === null || url.protocol !== 'http:') return void response.writeHead(400).end()
  try {
    const addresses = await resolve(url.hostname)
    const { 'proxy-connection': _, ...asked } = incoming.headers
    const isTls = tls.has(url)
    const name = isTls ? url.host.replace(/:443$/, '') : url.host
    const headers = { ...asked, host: name, connection: 'close', 'accept-encoding': 'identity' }
    const outgoing = (isTls ? requestTls : request)({
      ...oneAfterTheOther(url.hostname, addresses),
      ...{ port: url.port === '' ? 80 : url.port, path: `${url.pathname}${url.search}`, method: incoming.method, headers },
      ...(isTls ? { ...CAMERA_TLS, servername: isName(url.hostname) ? url.hostname : '' } : {}),
      timeout: TIMEOUT_MS,
    })
    outgoing.on('error', () => {}) // after the answer began, its end tells
    outgoing.once('timeout', () => outgoing.destroy(new Failure('ConnectTimeout')))
    response.once('close', () => outgoing.destroy())
    const answer = await new Promise<IncomingMessage>((resolve, reject) => outgoing.once('response', resolve).once('error', reject).end())
    answer.on('error', () => response.destroy())
    const { bytes, isPlaylist } = await beginning(answer, isCalledPlaylist(url, answer))
    if (bytes.length > 0) received(progress)
    const { location } = answer.headers
    const told: OutgoingHttpHeaders = { ...answer.headers, ...(location === undefined ? {} : { location: tls.hide(location) }) }
    for (const header of RECODING) delete told[header]
    if (isPlaylist) {
      const body = Buffer.from(tamed(bytes.toString('latin1'), tls), 'latin1')
      for (const header of ['content-range', 'transfer-encoding']) delete told[header]
      const status = answer.statusCode === 206 ? 200 : (answer.statusCode ?? 502)
      return void response.writeHead(status, { ...told, 'content-length': body.length }).end(body)
    }
    response.writeHead(answer.statusCode ?? 502, told)
    response.write(bytes)
    answer.on('data', () => received(progress)).pipe(response)
  } catch (error) {
    if (response.destroyed) return // ffmpeg has gone, or is told by the end of what it was reading
    progress.failure ??= failureOf(error, progress)
    if (!response.headersSent) response.writeHead(502)
    response.end()
  }
}

/** ffmpeg takes it for a playlist whatever it begins with. */
const isCalledPlaylist = ({ pathname }: URL, { headers }: IncomingMessage) =>
  /\.m3u8?$/i.test(pathname) || /mpegurl/i.test(headers['content-type'] ?? '')

/** All of a playlist, of anything else the first bytes. */
async function beginning(answer: IncomingMessage, isCalled: boolean): Promise<{ bytes: Buffer; isPlaylist: boolean }> {
  const chunks: Buffer[] = []
  let isPlaylist = isCalled
  let length = 0
  for await (const chunk of answer.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (!isPlaylist && length >= PLAYLIST.length) {
      if (!Buffer.concat(chunks).subarray(0, PLAYLIST.length).equals(PLAYLIST)) break
      isPlaylist = true
    }
    if (length > PLAYLIST_BYTES_MAX) throw new Failure('InvalidStream', 'the camera’s playlist is too long')
  }
  return { bytes: Buffer.concat(chunks), isPlaylist }
}

function failureOf(error: unknown, progress: Progress): Failure {
  if (error instanceof Failure) return error
  return error instanceof Error ? connectFailure(error, progress) : new Failure('ConnectFailed', messageOf(error))
}
