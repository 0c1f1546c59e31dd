// Frames by URL, and the page: listener, limits, and which request goes where. docs/http.md has each URL and each answer.
import { createServer, ServerResponse, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { once } from 'node:events'
import type { AddressInfo, BlockList } from 'node:net'
import type { Duplex } from 'node:stream'
import { Failure, messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { denied as addressRanges } from '../../common/net/address.ts'
import type { Access, Subject } from '../access/access.ts'
import type { Right } from '../access/rights.ts'
import { denied, type Use, type VisibleCameras } from '../access/visible-cameras.ts'
import type { KnownCamera } from '../cameras.ts'
import { streamOf } from '../frames/substream.ts'
import type { BufferExtents } from '../past/buffer-extents.ts'
import { Refusal } from '../refusal.ts'
import type { ServerTls } from '../rpc/tls.ts'
import { sendAnnotations, type AnnotationParts } from './annotations.ts'
import { answerError, answerJson, HEADERS, problemOf } from './answer.ts'
import { cameraJson } from './cameras.ts'
import { HttpFrames, type FrameParts } from './frames.ts'
import { LIVE_FORMATS } from './live-formats.ts'
import { live, type LiveParts } from './live.ts'
import { pageFile } from './page.ts'
import { clientAddress } from './client-address.ts'
import { Clips, type ClipParts } from './clip.ts'
import { pastJson } from './past.ts'
import { annotationsQuery, checkNames, clipQuery, frameQuery, parseRequest, pastQuery, streamQuery, type Resource } from './request.ts'
import { statsJson } from './stats.ts'
import { RequestLimit } from './request-limit.ts'
import { httpOutlet, type Exchange } from './sending.ts'
import { isSameOrigin, peerOf, Sockets } from './sockets.ts'
import { answerSession, authorizationOf, tokenIn } from './visitor.ts'

const CONNECTIONS_MAX = 1_024
/** Of connections on which nothing is sent, so that clients without power or network are noticed. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 30_000 }
/** How often it is asked whether a running stream still has the right that it uses. */
const RECHECK_MS = 2_000

export type HttpParts = FrameParts &
  LiveParts &
  ClipParts &
  AnnotationParts & { bufferExtents: BufferExtents; access: Access; cameras: VisibleCameras }
/** `isTlsElsewhere`: a proxy in front of it ends TLS. `proxies`: address ranges of those whose `X-Forwarded-For` counts. */
export type HttpConfig = { host: string; port: number; proxies: readonly string[]; isTlsElsewhere: boolean }
export type HttpServer = AsyncDisposable & { readonly port: number }

/** Throws Failure when the address can't be had. Port 0 takes any free one. */
export async function serveHttp(at: HttpConfig, tls: ServerTls | undefined, parts: HttpParts, log: Logger): Promise<HttpServer> {
  const sockets = new Sockets()
  const handler = new Handler(parts, { isSecure: tls !== undefined || at.isTlsElsewhere, sockets, proxies: addressRanges(at.proxies) }, log)
  const options = { requestTimeout: 10_000, headersTimeout: 10_000, keepAliveTimeout: 5_000, maxHeaderSize: 32_768, ...KEEP_ALIVE }
  const listener: RequestListener = (request, response) => void handler.handle(request, response)
  const server = tls === undefined ? createServer(options, listener) : tls.secure(createTlsServer(options, listener))
  server.maxConnections = CONNECTIONS_MAX
  server.on('upgrade', (request, socket, head) => void handler.upgrade(request, socket, head))
  await listen(server, at)
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      sockets.end()
      await closed
    },
  }
}

async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    throw new Failure('AddressUnavailable', `HTTP cannot be served at ${host}:${port}: ${messageOf(error)}`)
  }
}

function rightTo(resource: Resource, query: URLSearchParams): Right {
  if (resource === 'annotations') return 'annotations'
  if (resource === 'stats') return 'camera'
  return resource === 'past' || resource === 'clip.mp4' || query.has('at') ? 'past' : 'frames'
}

/** `isSecure`: browsers reach it by TLS. */
type Means = { isSecure: boolean; sockets: Sockets; proxies: BlockList }

class Handler {
  readonly #parts: HttpParts
  readonly #means: Means
  readonly #frames: HttpFrames
  readonly #log: Logger
  readonly #clips: Clips
  readonly #limit = new RequestLimit()

  constructor(parts: HttpParts, means: Means, log: Logger) {
    this.#parts = parts
    this.#means = means
    this.#frames = new HttpFrames(parts)
    this.#clips = new Clips(parts)
    this.#log = log
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const address = clientAddress(request, this.#means.proxies)
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    response.on('error', () => {}) // the connection broke: `close` follows
    try {
      using _ = this.#limit.enter(address)
      await this.#answer(request, response, address, gone.signal)
    } catch (error) {
      if (!gone.signal.aborted) answerError(response, error, this.#log)
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse, address: string, signal: AbortSignal): Promise<void> {
    const asked = parseRequest(request.url ?? '')
    if (asked === undefined) throw new Refusal('notFound', 'nothing is served here; see docs/http.md')
    if (asked.kind === 'login' && request.method === 'POST') {
      const token = await tokenIn(request)
      await this.#parts.access.identify(`Bearer ${token}`, address)
      return answerSession(response, token, this.#means.isSecure)
    }
    if (asked.kind === 'logout' && request.method === 'POST') return answerSession(response, undefined, this.#means.isSecure)
    if (asked.kind === 'login' || asked.kind === 'logout' || (request.method !== 'GET' && request.method !== 'HEAD')) {
      return void response
        .writeHead(405, { ...HEADERS, allow: asked.kind === 'login' || asked.kind === 'logout' ? 'POST' : 'GET, HEAD' })
        .end()
    }
    if (asked.kind === 'page') return await pageFile(asked.file, response)
    const subject = await this.#parts.access.identify(authorizationOf(request), address)
    const { cameras, isConnected } = this.#parts
    const uses: Use[] = []
    const visitor = { subject, uses: (use: Use) => void uses.push(use) }
    if (asked.kind === 'cameras') {
      const list = await cameras.list(visitor)
      const buffers = await this.#parts.bufferExtents.of(list, signal)
      const said = list.map(camera => cameraJson(camera, isConnected(), buffers.get(camera.uid)))
      // A page shows ages by this clock, and who is logged in.
      response.setHeader('x-server-time', Date.now())
      if (subject !== undefined) response.setHeader('x-user', encodeURIComponent(subject.name))
      return answerJson(response, 200, said)
    }
    const { resource, deviceId, query } = asked
    checkNames(resource, query)
    const answer = this.#resource(resource, query)
    const camera = await cameras.resolve(visitor, deviceId, rightTo(resource, query))
    if (request.method === 'HEAD') return void response.writeHead(200, HEADERS).end()
    const exchange = { request, response, peer: peerOf(request), signal, cutOff: () => void response.destroy() }
    using _ = this.#recheck(subject, uses, exchange.cutOff)
    await answer(camera, exchange)
  }

  /** What answers for a resource of a camera. Throws a Refusal where the query is not as it must be. */
  #resource(resource: Resource, query: URLSearchParams): (camera: KnownCamera, exchange: Exchange) => Promise<void> {
    if (resource === 'live.mp4' || resource === 'live.ts') {
      const stream = streamQuery(query)
      return async (camera, exchange) => await live(streamOf(camera, stream), LIVE_FORMATS[resource], this.#parts, httpOutlet(exchange))
    }
    if (resource === 'past') {
      const range = pastQuery(query)
      return async (camera, { response, signal }) => answerJson(response, 200, await pastJson(camera, range, this.#parts.past, signal))
    }
    if (resource === 'clip.mp4') {
      const range = clipQuery(query)
      return async (camera, exchange) => await this.#clips.send(camera, range, exchange)
    }
    if (resource === 'annotations') {
      const wish = annotationsQuery(query)
      return async (camera, exchange) => await sendAnnotations(camera, wish, this.#parts, exchange)
    }
    if (resource === 'stats') {
      return async (camera, { response }) => answerJson(response, 200, await statsJson(camera, this.#parts))
    }
    const wish = frameQuery(query)
    const { atMs } = wish
    if (resource === 'live.mjpeg') return async (camera, exchange) => await this.#frames.mjpeg(camera, wish, exchange)
    if (atMs === undefined) return async (camera, exchange) => await this.#frames.jpeg(camera, wish, exchange)
    return async (camera, exchange) => await this.#frames.jpegAt(camera, { ...wish, atMs }, exchange)
  }

  /** live.mp4 for a page, which may have more WebSockets than connections of other kinds. What is refused is refused before the upgrade. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const address = clientAddress(request, this.#means.proxies)
    socket.on('error', () => {}) // the connection broke: `close` follows
    const response = new ServerResponse(request)
    response.assignSocket(request.socket)
    response.shouldKeepAlive = false
    response.once('finish', () => socket.end())
    try {
      using _ = this.#limit.enter(address)
      const asked = parseRequest(request.url ?? '')
      if (asked?.kind !== 'camera' || asked.resource !== 'live.mp4') throw new Refusal('invalid', 'only live.mp4 is there as a WebSocket')
      checkNames(asked.resource, asked.query)
      const stream = streamQuery(asked.query)
      if (!isSameOrigin(request)) throw new Refusal('denied', 'a WebSocket of another site’s page is refused')
      const subject = await this.#parts.access.identify(authorizationOf(request), address)
      const uses: Use[] = []
      const known = await this.#parts.cameras.resolve({ subject, uses: use => void uses.push(use) }, asked.deviceId, 'frames')
      const camera = streamOf(known, stream)
      response.detachSocket(request.socket)
      const client = await this.#means.sockets.open(request, socket, head)
      if (client === undefined) return
      using _recheck = this.#recheck(subject, uses, client.cutOff)
      await live(camera, LIVE_FORMATS['live.mp4'], this.#parts, client).catch((error: unknown) =>
        client.problem(503, problemOf(error, request, this.#log)),
      )
    } catch (error) {
      answerError(response, error, this.#log)
    }
  }

  /** Ends a stream whose caller has lost the right to it. */
  #recheck(subject: Subject, uses: readonly Use[], cutOff: () => void): Disposable {
    const check = async () => {
      for (const { right, camera } of uses) {
        if (!(await this.#parts.access.may(subject, right, camera.ref))) throw denied(subject, right, camera)
      }
    }
    const timer = subject === undefined ? undefined : setInterval(() => void check().catch(cutOff), RECHECK_MS)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  }
}
