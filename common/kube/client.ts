// Requests to the API server: pooled connections (the library opens one per call), a time limit, and a count of each.
// Objects go and come as plain JSON: the library's typed calls drop fields that it does not know.
import { HttpMethod, IsomorphicFetchHttpLibrary, KubeConfig, RequestContext, Watch } from '@kubernetes/client-node'
import type { Counter } from 'prom-client'
import { messageOf, unless } from '../errors.ts'
import { API_VERSION, type Camera } from '../../proto/camera.ts'

const TIMEOUT_MS = 15_000

export const JSON_PATCH = 'application/json-patch+json'
export const MERGE_PATCH = 'application/merge-patch+json'
export const APPLY_PATCH = 'application/apply-patch+yaml'

/** A kind of object, as paths name it. */
export const CAMERAS = { api: `/apis/${API_VERSION}`, resource: 'cameras' }
export const DISCOVERIES = { api: `/apis/${API_VERSION}`, resource: 'cameradiscoveries' }
export const DEPLOYMENTS = { api: '/apis/apps/v1', resource: 'deployments' }
export const PODS = { api: '/api/v1', resource: 'pods' }

/** Where its objects are listed: in each of the namespaces, or in all at once where none is given. */
export const listPaths = ({ api, resource }: typeof CAMERAS, namespaces: readonly string[]): string[] =>
  namespaces.length === 0 ? [`${api}/${resource}`] : namespaces.map(namespace => `${api}/namespaces/${namespace}/${resource}`)

export const cameraPath = ({ metadata: { namespace, name } }: Pick<Camera, 'metadata'>): string =>
  `/apis/${API_VERSION}/namespaces/${namespace}/cameras/${name}`

/** Labels as a query has them. */
export const labelSelector = (labels: Record<string, string>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')

/** The API server's refusal. `reason` is its own word: NotFound, Conflict, Invalid, Expired … */
export class ApiError extends Error {
  readonly code: number
  readonly reason: string
  /** How long it asks us to wait, in ms. */
  readonly retryAfterMs: number
  constructor(code: number, reason: string, message: string, retryAfterMs = 0) {
    super(message)
    this.code = code
    this.reason = reason
    this.retryAfterMs = retryAfterMs
  }
}

/** No answer from the API server: it is away, or too slow. */
export class ApiAway extends Error {}

export const isApiError = (error: unknown, code: number): error is ApiError => error instanceof ApiError && error.code === code

/** Undefined for what does not exist. */
export const ignoringMissing = <T>(request: Promise<T>): Promise<T | undefined> => unless(error => isApiError(error, 404), request)

/** Keeps one pool of connections, where the library would make one for each call. */
class PooledConfig extends KubeConfig {
  #pool: ReturnType<RequestContext['getDispatcher']>

  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    await super.applySecurityAuthentication(context)
    this.#pool ??= context.getDispatcher()
    if (this.#pool !== undefined) context.setDispatcher(this.#pool)
  }

  /** The next call makes a new pool, with the CA certificate that the file holds by then. */
  renew(): void {
    const old = this.#pool
    this.#pool = undefined
    void old?.close().catch(() => {})
  }
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Query = Record<string, string | number | boolean | undefined>
export type RequestOptions = { query?: Query; body?: object; contentType?: string; accept?: string; timeoutMs?: number }

export type WatchEvent = { type: string; object: unknown }
/** Why a watch ended: `closed` by the server, as it does from time to time, or an error. */
export type WatchEnd = 'closed' | Error

export class KubeApi {
  readonly #config = new PooledConfig()
  readonly #http = new IsomorphicFetchHttpLibrary()
  readonly #server: string
  readonly #requests: Counter<'code' | 'method' | 'host'> | undefined

  /** `kubeconfig`: a file; without it the pod's own ServiceAccount. */
  constructor(kubeconfig: string | undefined, requests?: Counter<'code' | 'method' | 'host'>) {
    if (kubeconfig === undefined) this.#config.loadFromCluster()
    else this.#config.loadFromFile(kubeconfig)
    const cluster = this.#config.getCurrentCluster()
    if (cluster === null) throw new Error('the kubeconfig names no current cluster')
    this.#server = cluster.server.replace(/\/+$/, '')
    this.#requests = requests
  }

  /** Rejects with ApiError when the server refuses, with ApiAway when no answer came. */
  async request<T>(method: Method, path: string, options: RequestOptions = {}): Promise<T> {
    const { query, body, contentType = 'application/json', accept = 'application/json', timeoutMs = TIMEOUT_MS } = options
    const url = new URL(this.#server + path)
    for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) url.searchParams.set(name, String(value))
    const context = new RequestContext(url.toString(), HttpMethod[method])
    context.setHeaderParam('Accept', accept)
    if (body !== undefined) {
      context.setBody(JSON.stringify(body))
      context.setHeaderParam('Content-Type', contentType)
    }
    let status: number
    let text: string
    let retryAfter: string | undefined
    try {
      await this.#config.applySecurityAuthentication(context)
      context.setSignal(AbortSignal.timeout(timeoutMs))
      const response = await this.#http.send(context).toPromise()
      status = response.httpStatusCode
      retryAfter = response.headers['retry-after']
      text = await response.body.text()
    } catch (error) {
      this.#requests?.inc({ code: '<error>', method, host: url.host })
      this.#config.renew()
      throw new ApiAway(`the API server is unreachable: ${causeOf(error)}`)
    }
    this.#requests?.inc({ code: String(status), method, host: url.host })
    if (status < 200 || status > 299) throw refusal(status, text, retryAfter)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  /** Watches `path` until the server closes it, something fails, 30 s pass without a byte, or `signal` aborts. */
  watch(path: string, query: Query, onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<WatchEnd> {
    const { promise, resolve } = Promise.withResolvers<WatchEnd>()
    let ended = false
    const finish = (end: WatchEnd) => {
      ended = true
      resolve(end)
    }
    const stop = () => finish('closed')
    signal.addEventListener('abort', stop, { once: true })
    const host = new URL(this.#server).host
    const watch = new Watch(this.#config).watch(
      path,
      query,
      // The library swallows what this throws; late calls of a watch that ended are ignored.
      (type, object: unknown) => {
        if (ended) return
        try {
          onEvent({ type, object })
        } catch (error) {
          finish(error instanceof Error ? error : new Error(String(error)))
        }
      },
      (error: unknown) => {
        if (ended) return
        const code = (error as { statusCode?: number } | null)?.statusCode
        this.#requests?.inc({ code: code === undefined ? (error ? '<error>' : '200') : String(code), method: 'GET', host })
        if (!error) return finish('closed')
        if (code !== undefined) return finish(new ApiError(code, messageOf(error), `watch refused: ${code} ${messageOf(error)}`))
        this.#config.renew()
        finish(new ApiAway(`the watch broke: ${causeOf(error)}`))
      },
    )
    watch.catch(error => finish(error instanceof Error ? error : new Error(String(error))))
    return promise.finally(() => {
      signal.removeEventListener('abort', stop)
      watch.then(
        controller => controller.abort(),
        () => {},
      )
    })
  }
}

function refusal(status: number, text: string, retryAfter: string | undefined): ApiError {
  let reason = `HTTP ${status}`
  let message = text.slice(0, 500)
  try {
    const body = JSON.parse(text) as { reason?: string; message?: string }
    reason = body.reason ?? reason
    message = body.message ?? message
  } catch {
    // a proxy's page, not the API server's Status
  }
  const seconds = Number(retryAfter)
  return new ApiError(status, reason, message, Number.isFinite(seconds) ? Math.min(seconds, 60) * 1000 : 0)
}

/** fetch says "fetch failed", its cause says why. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const { code } = cause as { code?: string }
  return code ?? messageOf(cause)
}
