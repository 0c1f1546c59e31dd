// The HTTP proxy through which ffmpeg fetches http and https sources: playlists, segments and redirects may lead
// anywhere, so every single request is resolved and checked against the address policy here. All TLS ends here too, since a camera's
// certificate is hardly ever valid: ffmpeg asks for http only, and of what it is told to fetch, https is rewritten and all else refused.
// The relay logs in and keeps cookies; ffmpeg sees neither. Answers are read by parsers of our own (`head.ts`, `parts.ts`).
import type { LookupAddress } from 'node:dns'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'
import type { BlockList, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { Failure, messageOf } from '../../common/errors.ts'
import { hostOf, targetOf, type Origin, type Target } from '../../common/net/target.ts'
import type { Variant } from '../../proto/camera.ts'
import { connectFailure } from '../../common/net/connect-failure.ts'
import { listening, newProgress, type Progress, type Relay } from '../rtsp/relay.ts'
import { resolveHost } from '../../common/net/address.ts'
import type { CameraTrust } from '../../common/net/camera-tls.ts'
import type { Credentials } from '../../common/net/credentials.ts'
import { ask, type Answer } from '../../common/net/ask.ts'
import { Cookies } from './cookies.ts'
import { isMultipart } from '../../common/net/head.ts'
import type { LoginMemory } from '../../common/net/authorization.ts'
import { Login } from './login.ts'
import { Origins } from './origins.ts'
import { Parts } from './parts.ts'
import { tamed } from './playlist.ts'
import { refusalOf } from './refusal.ts'

const PLAYLIST = Buffer.from('#EXTM3U')
const PLAYLIST_BYTES_MAX = 4 * 2 ** 20
const REDIRECTS_MAX = 8
/** What ffmpeg may say to a camera, and hear of it. */
const ASKED = ['User-Agent', 'Accept', 'Range'] as const
const TOLD = ['Content-Type', 'Content-Range', 'Accept-Ranges'] as const

export type HttpRelayOptions = {
  credentials?: Credentials | undefined
  /** Kept from one relay to the next, so that a camera can't ask for a weaker login later. */
  memory?: LoginMemory
  /** Of an HLS master playlist. */
  variant?: Variant
  /** Of the camera itself; what it leads to is not verified. */
  trust?: CameraTrust
  resolve?: typeof resolveHost
}

/** A forward proxy on loopback, for one ffmpeg that fetches `url`; everything ends with it. */
export async function openHttpRelay(url: string, deny: BlockList, options: HttpRelayOptions = {}): Promise<Relay> {
  const { credentials, memory = { strength: 0 }, variant = 'Largest', trust, resolve = resolveHost } = options
  const progress = newProgress()
  const sockets = new Set<Socket>()
  const own = targetOf(url)
  if (own === undefined) throw new Failure('ProtocolRefused', 'source.url is no HTTP URL')
  const forwarding = new Forwarding(url, new Login(own.origin, credentials, memory), variant, trust, host => resolve(host, deny), progress)
  const server = createServer((incoming, response) => void forwarding.handle(incoming, response))
  server.on('connection', (socket: Socket) => sockets.add(socket.once('close', () => sockets.delete(socket))))
  return listening(server, sockets, progress)
}

class Forwarding {
  readonly #origins = new Origins()
  readonly #cookies = new Cookies()
  readonly #login: Login
  readonly #variant: Variant
  readonly #trust: CameraTrust | undefined
  readonly #resolve: (host: string) => Promise<LookupAddress[]>
  readonly #progress: Progress
  #redirects = 0
  #foreignLogin: Failure | undefined
  /** What came so far: nothing, a playlist, or what it names. */
  #served: 'nothing' | 'playlist' | 'media' = 'nothing'

  constructor(
    url: string,
    login: Login,
    variant: Variant,
    trust: CameraTrust | undefined,
    resolve: (host: string) => Promise<LookupAddress[]>,
    progress: Progress,
  ) {
    this.#origins.hide(url)
    this.#login = login
    this.#variant = variant
    this.#trust = trust
    this.#resolve = resolve
    this.#progress = progress
  }

  /** `GET http://host/path`, for a source with or without TLS. */
  async handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = this.#origins.find(incoming.url ?? '')
    if (target === undefined || incoming.method !== 'GET') return void response.writeHead(400).end()
    response.shouldKeepAlive = false
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    try {
      using answer = await this.#fetch(target, incoming.headers, gone.signal)
      await this.#tell(target, answer, response)
    } catch (error) {
      if (error instanceof Failure && !gone.signal.aborted) this.#progress.failure ??= error
      if (response.destroyed) return // ffmpeg has left, or is told by the end of what it was reading
      this.#progress.failure ??=
        error instanceof Error ? connectFailure(error, this.#progress) : new Failure('ConnectFailed', messageOf(error))
      if (!response.headersSent) response.writeHead(502)
      response.end()
    }
  }

  async #fetch(target: Target, headers: IncomingHttpHeaders, signal: AbortSignal): Promise<Answer> {
    const connected = () => {
      if (this.#progress.phase === 'connecting') this.#progress.phase = 'connected'
    }
    for (let tries = 0; ; tries++) {
      const addresses = await this.#resolve(target.origin.host)
      using open = new DisposableStack()
      const trust = this.#login.serves(target.origin) ? this.#trust : undefined
      const answer = open.use(await ask(target.origin, addresses, await this.#request(target, headers), connected, signal, { trust }))
      await this.#cookies.store(target, answer.fields.all('set-cookie'))
      if (answer.status === 401 && this.#login.challenge(target, answer.fields, tries)) continue
      open.move()
      return answer
    }
  }

  async #request(target: Target, headers: IncomingHttpHeaders): Promise<string[]> {
    // A playlist may name other servers with user and password: those are ffmpeg's to send.
    const isOwn = this.#login.serves(target.origin)
    const authorization = isOwn ? this.#login.header(target) : headers.authorization
    if (!isOwn && authorization !== undefined && this.#progress.failure === this.#foreignLogin) this.#progress.failure = undefined
    const cookie = await this.#cookies.header(target)
    return [
      `GET ${target.path} HTTP/1.1`,
      `Host: ${hostOf(target.origin)}`,
      ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
      ...ASKED.flatMap(name => (headers[name.toLowerCase()] === undefined ? [] : [`${name}: ${String(headers[name.toLowerCase()])}`])),
      ...(cookie === undefined ? [] : [`Cookie: ${cookie}`]),
      'Accept-Encoding: identity',
      'Connection: close',
    ]
  }

  async #tell(target: Target, answer: Answer, response: ServerResponse): Promise<void> {
    const { status, fields } = answer
    if (status >= 400) this.#refuse(target, answer, response)
    else if (status >= 300) this.#redirect(target, fields.last('location'), status, response)
    else await this.#serve(target, answer, response)
  }

  #refuse({ origin }: Target, { status, fields }: Answer, response: ServerResponse): void {
    const isForeign = status === 401 && !this.#login.serves(origin)
    const asked = this.#served === 'nothing' ? 'the camera' : 'the server of what the playlist names'
    const { hasCredentials } = this.#login
    const failure = isForeign && hasCredentials ? foreignLogin(origin) : refusalOf(status, hasCredentials, asked)
    // Where a playlist came, what it names may be missing for a while.
    if (this.#served === 'media' || (this.#served === 'playlist' && status !== 401 && status !== 403)) this.#progress.refusal = failure
    else this.#progress.failure ??= failure
    // ffmpeg may have user and password from the playlist, and then asks again.
    if (isForeign) this.#foreignLogin = failure
    const challenges = isForeign ? fields.all('www-authenticate').map(inAscii) : []
    response.writeHead(status, challenges.length === 0 ? {} : { 'www-authenticate': challenges }).end()
  }

  #redirect({ origin }: Target, location: string, status: number, response: ServerResponse): void {
    if (location === '') throw new Failure('InvalidStream', `the camera redirects (${status}), but does not say where to`)
    if (++this.#redirects > REDIRECTS_MAX) throw new Failure('RedirectRefused', 'the camera redirects in a circle')
    const [text = ''] = this.#origins.hide(location, origin).split('#', 1)
    response.writeHead(status, { location: text.replaceAll(' ', '%20') }).end()
  }

  async #serve(target: Target, answer: Answer, response: ServerResponse): Promise<void> {
    this.#redirects = 0
    const { fields, framing, status } = answer
    const body = answer.body[Symbol.asyncIterator]()
    const { bytes, isPlaylist } = await beginning(body, isCalledPlaylist(target, answer))
    if (isPlaylist) {
      if (this.#served === 'nothing') this.#served = 'playlist'
      this.#received()
      const text = Buffer.from(tamed(bytes.toString('latin1'), this.#origins, target.origin, this.#variant), 'latin1')
      return void response.writeHead(200, { ...told(answer, ['Content-Type']), 'content-length': text.length }).end(text)
    }
    const begun = bytes.toString('latin1').trimStart()
    if (this.#served === 'nothing' && /^<[!?a-z]/i.test(begun)) throw new Failure('InvalidStream', 'a web page answers, not a video stream')
    this.#served = 'media'
    this.#progress.refusal = undefined
    const all = this.#watched(bytes, body)
    if (isMultipart(fields) || begun.startsWith('--')) {
      response.writeHead(200, { 'content-type': `multipart/x-mixed-replace;boundary=${BOUNDARY}` })
      return pipeline(multipart(all), response)
    }
    const length = framing.kind === 'length' && fields.last('content-encoding') === '' ? { 'content-length': framing.bytes } : {}
    response.writeHead(status, { ...told(answer), ...length })
    await pipeline(all, response)
  }

  #received(): void {
    this.#progress.lastByteAt = performance.now()
    this.#progress.phase = 'playing'
  }

  async *#watched(first: Buffer, body: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
    try {
      for (let next = { done: first.length === 0, value: first } as IteratorResult<Buffer>; ; next = await body.next()) {
        if (next.done === true) return
        this.#received()
        yield next.value
      }
    } finally {
      await body.return?.()
    }
  }
}

function told({ fields }: Answer, names: readonly string[] = TOLD): OutgoingHttpHeaders {
  const known = names.map(name => [name.toLowerCase(), inAscii(fields.last(name.toLowerCase()))] as const)
  return Object.fromEntries(known.filter(([, value]) => value !== ''))
}

const inAscii = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '')

const foreignLogin = ({ host }: Origin) =>
  new Failure(
    'RedirectRefused',
    `the camera leads to ${host}, which asks for a login, but user name and password are sent to the server in spec.source.url only`,
  )

const BOUNDARY = 'frame'

/** A multipart stream as ffmpeg understands it, which gets each JPEG as soon as it is complete. */
async function* multipart(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const parts = new Parts()
  for await (const chunk of body) {
    for (const jpeg of parts.push(chunk)) {
      yield Buffer.from(`--${BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: ${jpeg.length}\r\n\r\n`)
      yield jpeg
      yield CRLF
    }
  }
}

const CRLF = Buffer.from('\r\n')

/** ffmpeg takes it for a playlist whatever it begins with. */
const isCalledPlaylist = ({ path }: Target, { fields }: Answer) =>
  /\.m3u8?$/i.test(path.split(/[?#]/, 1)[0] ?? '') || /mpegurl/i.test(fields.last('content-type'))

/** All of a playlist, of anything else the first bytes. */
async function beginning(body: AsyncIterator<Buffer>, isCalled: boolean): Promise<{ bytes: Buffer; isPlaylist: boolean }> {
  const chunks: Buffer[] = []
  let isPlaylist = isCalled
  let length = 0
  for (let next = await body.next(); next.done !== true; next = await body.next()) {
    chunks.push(next.value)
    length += next.value.length
    if (!isPlaylist && length >= PLAYLIST.length) {
      if (!Buffer.concat(chunks).subarray(0, PLAYLIST.length).equals(PLAYLIST)) break
      isPlaylist = true
    }
    if (length > PLAYLIST_BYTES_MAX) throw new Failure('InvalidStream', 'the camera’s playlist is too long')
  }
  return { bytes: Buffer.concat(chunks), isPlaylist }
}
