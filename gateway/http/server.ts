// Frames by URL, and the page: listener, limits, and which request goes where. docs/http.md has each URL and each answer.
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Failure, messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Access, Subject } from '../access/access.ts'
import { denied, type Use, type VisibleCameras } from '../access/visible-cameras.ts'
import type { KnownCamera } from '../cameras.ts'
import { Refusal } from '../refusal.ts'
import type { ServerTls } from '../rpc/tls.ts'
import { answerError, answerJson, HEADERS } from './answer.ts'
import { cameraJson } from './cameras.ts'
import { HttpFrames, type FrameParts } from './frames.ts'
import { liveMp4, type LiveParts } from './live.ts'
import { pageFile } from './page.ts'
import { pastJson, type PastParts } from './past.ts'
import { checkNames, frameQuery, parseRequest, pastQuery, type Resource } from './request.ts'
import type { Exchange } from './sending.ts'
import { answerSession, authorizationOf, tokenIn } from './visitor.ts'

const CONNECTIONS_MAX = 1_024
/** Requests that run at once: in all, and from one address. */
const REQUESTS_MAX = 512
const REQUESTS_EACH_MAX = 64
/** How often it is asked whether a running stream still has the right that it uses. */
const RECHECK_MS = 2_000

export type HttpParts = FrameParts & LiveParts & PastParts & { access: Access; cameras: VisibleCameras }
export type HttpServer = AsyncDisposable & { readonly port: number }

/** Throws Failure when the address can't be had. Port 0 takes any free one. */
export async function serveHttp(
  at: { host: string; port: number },
  tls: ServerTls | undefined,
  parts: HttpParts,
  log: Logger,
): Promise<HttpServer> {
  const handler = new Handler(parts, tls !== undefined, log)
  const options = { requestTimeout: 10_000, headersTimeout: 10_000, keepAliveTimeout: 5_000, maxHeaderSize: 32_768 }
  const listener: RequestListener = (request, response) => void handler.handle(request, response)
  const server = tls === undefined ? createServer(options, listener) : tls.secure(createTlsServer(options, listener))
  server.maxConnections = CONNECTIONS_MAX
  await listen(server, at)
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
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

class Handler {
  readonly #parts: HttpParts
  readonly #isTls: boolean
  readonly #frames: HttpFrames
  readonly #log: Logger
  readonly #running = new Map<string, number>()
  #requests = 0

  constructor(parts: HttpParts, isTls: boolean, log: Logger) {
    this.#parts = parts
    this.#isTls = isTls
    this.#frames = new HttpFrames(parts)
    this.#log = log
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const address = request.socket.remoteAddress ?? ''
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    response.on('error', () => {}) // the connection broke: `close` follows
    try {
      using _ = this.#enter(address)
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
      return answerSession(response, token, this.#isTls)
    }
    if (asked.kind === 'logout' && request.method === 'POST') return answerSession(response, undefined, this.#isTls)
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
      return answerJson(
        response,
        200,
        list.map(camera => cameraJson(camera, isConnected())),
      )
    }
    const { resource, deviceId, query } = asked
    checkNames(resource, query)
    const answer = this.#resource(resource, query)
    const camera = await cameras.resolve(visitor, deviceId, resource === 'past' ? 'past' : 'frames')
    if (request.method === 'HEAD') return void response.writeHead(200, HEADERS).end()
    const { port } = request.socket.address() as AddressInfo
    const exchange = { request, response, peer: `${address}:${request.socket.remotePort ?? port}`, signal }
    using _ = this.#recheck(subject, uses, response)
    await answer(camera, exchange)
  }

  /** What answers for a resource of a camera. Throws a Refusal where the query is not as it must be. */
  #resource(resource: Resource, query: URLSearchParams): (camera: KnownCamera, exchange: Exchange) => Promise<void> {
    if (resource === 'live.mp4') return async (camera, exchange) => await liveMp4(camera, this.#parts, exchange)
    if (resource === 'past') {
      const range = pastQuery(query)
      return async (camera, { response, signal }) => answerJson(response, 200, await pastJson(camera, range, this.#parts, signal))
    }
    const wish = frameQuery(query)
    const frames = this.#frames
    return async (camera, exchange) => await frames[resource === 'frame.jpg' ? 'jpeg' : 'mjpeg'](camera, wish, exchange)
  }

  /** Ends a stream whose caller has lost the right to it. */
  #recheck(subject: Subject, uses: readonly Use[], response: ServerResponse): Disposable {
    const check = async () => {
      for (const { right, camera } of uses) {
        if (!(await this.#parts.access.may(subject, right, camera.ref))) throw denied(subject, right, camera)
      }
    }
    const timer = subject === undefined ? undefined : setInterval(() => void check().catch(() => response.destroy()), RECHECK_MS)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  }

  #enter(address: string): Disposable {
    const own = this.#running.get(address) ?? 0
    if (this.#requests >= REQUESTS_MAX) throw new Refusal('exhausted', `too many requests, at most ${REQUESTS_MAX} are served at once`)
    if (own >= REQUESTS_EACH_MAX) {
      throw new Refusal('exhausted', `too many requests from one address, at most ${REQUESTS_EACH_MAX} are served at once`)
    }
    this.#requests++
    this.#running.set(address, own + 1)
    return {
      [Symbol.dispose]: () => {
        this.#requests--
        const left = (this.#running.get(address) ?? 1) - 1
        if (left === 0) this.#running.delete(address)
        else this.#running.set(address, left)
      },
    }
  }
}
