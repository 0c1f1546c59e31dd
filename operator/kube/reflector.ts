// A copy of one kind of object, kept up to date by list and watch. It survives what API servers do: closed watches, expired
// versions (410), silence, absence; and calls back once for each change, whichever way it learnt of it.
import { backoffMs } from '../../common/backoff.ts'
import { messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { sleep } from '../../common/abort.ts'
import { ApiError, isApiError, type KubeApi, type WatchEvent } from '../../common/kube/client.ts'
import type { OperatorMetrics } from '../metrics.ts'

export type KubeObject = {
  metadata: { namespace?: string; name: string; uid: string; resourceVersion: string }
}
type List = { metadata: { resourceVersion: string; continue?: string }; items: KubeObject[] }

const PAGE = 500
/** The server closes a watch after this, with a bookmark before it; silence beyond it means that the link is dead. */
const WATCH_SECONDS = { min: 20, max: 25 }
/** Events that were missed in spite of everything are found after this. */
const RELIST_MS = 600_000
const BACKOFF = { minMs: 500, maxMs: 30_000 }

export type ReflectorOptions<T extends KubeObject> = {
  api: Pick<KubeApi, 'request' | 'watch'>
  /** e.g. /api/v1/pods */
  path: string
  labelSelector?: string
  /** What to keep of an object. */
  keep: (object: KubeObject) => T
  /** `now` is undefined when the object is gone. */
  onChange: (now: T | undefined, before: T | undefined) => void
  metrics: Pick<OperatorMetrics, 'relists' | 'watchRestarts' | 'lastEvent'>
  log: Logger
  relistMs?: number
}

export const keyOf = ({ metadata }: { metadata: { namespace?: string; name: string } }): string =>
  metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`

export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>
  readonly #resource: string
  readonly #objects = new Map<string, T>()
  readonly #synced = Promise.withResolvers<void>()
  #isSynced = false

  constructor(options: ReflectorOptions<T>) {
    this.#options = options
    this.#resource = options.path.slice(options.path.lastIndexOf('/') + 1)
  }

  /** Resolves when the first list is complete. */
  get synced(): Promise<void> {
    return this.#synced.promise
  }
  get isSynced(): boolean {
    return this.#isSynced
  }
  get(key: string): T | undefined {
    return this.#objects.get(key)
  }
  keys(): MapIterator<string> {
    return this.#objects.keys()
  }
  values(): MapIterator<T> {
    return this.#objects.values()
  }
  get size(): number {
    return this.#objects.size
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, metrics } = this.#options
    let failures = 0
    while (!signal.aborted) {
      try {
        const version = await this.#list(signal)
        failures = 0
        await this.#follow(version, signal)
      } catch (error) {
        if (signal.aborted) return
        const ms = Math.max(backoffMs(failures++, BACKOFF), error instanceof ApiError ? error.retryAfterMs : 0)
        metrics.watchRestarts.inc({ resource: this.#resource, reason: 'failed' })
        log.warn({ resource: this.#resource, error: messageOf(error), retryInMs: Math.round(ms) }, 'list failed')
        await sleep(ms, signal)
      }
    }
  }

  /** Reads everything, page by page, and gives the version from which to watch. */
  async #list(signal: AbortSignal): Promise<string> {
    const { api, path, labelSelector, metrics } = this.#options
    metrics.relists.inc({ resource: this.#resource })
    const seen = new Map<string, KubeObject>()
    let next: string | undefined
    let limit: number | undefined = PAGE
    for (;;) {
      signal.throwIfAborted()
      let page: List
      try {
        page = await api.request<List>('GET', path, { query: { labelSelector, limit, continue: next } })
      } catch (error) {
        if (!isApiError(error, 410) || next === undefined) throw error
        // The server compacted the version that the pages belong to: once more, in one piece.
        next = limit = undefined
        seen.clear()
        continue
      }
      for (const item of page.items) seen.set(keyOf(item), item)
      next = page.metadata.continue || undefined
      if (next === undefined) {
        this.#replace(seen)
        this.#beat()
        this.#isSynced = true
        this.#synced.resolve()
        return page.metadata.resourceVersion
      }
    }
  }

  #replace(seen: Map<string, KubeObject>): void {
    for (const key of [...this.#objects.keys()]) if (!seen.has(key)) this.#drop(key)
    for (const object of seen.values()) this.#put(object)
  }

  /** Watches from `version` on, beginning again where a watch ends; returns when a new list is needed. */
  async #follow(version: string, signal: AbortSignal): Promise<void> {
    const { api, path, labelSelector, log, metrics, relistMs = RELIST_MS } = this.#options
    const relistAt = performance.now() + relistMs * (0.9 + Math.random() * 0.2)
    let failures = 0
    while (!signal.aborted && performance.now() < relistAt) {
      const begun = performance.now()
      const timeoutSeconds = WATCH_SECONDS.min + Math.floor(Math.random() * (WATCH_SECONDS.max - WATCH_SECONDS.min + 1))
      const query = { labelSelector, resourceVersion: version, allowWatchBookmarks: true, timeoutSeconds }
      const end = await api.watch(path, query, event => (version = this.#event(event)), signal)
      if (signal.aborted) return
      if (isApiError(end, 410)) {
        metrics.watchRestarts.inc({ resource: this.#resource, reason: 'gone' })
        return
      }
      if (end === 'closed' && performance.now() - begun > 1_000) {
        failures = 0
        metrics.watchRestarts.inc({ resource: this.#resource, reason: 'closed' })
        continue
      }
      const why = end === 'closed' ? 'closed at once' : end.message
      const ms = Math.max(backoffMs(failures++, BACKOFF), end instanceof ApiError ? end.retryAfterMs : 0)
      metrics.watchRestarts.inc({ resource: this.#resource, reason: 'failed' })
      log.warn({ resource: this.#resource, error: why, retryInMs: Math.round(ms) }, 'watch failed')
      await sleep(ms, signal)
    }
  }

  /** Takes in one event and gives its version. */
  #event({ type, object }: WatchEvent): string {
    if (type === 'ERROR') {
      const { code, reason, message } = object as { code?: number; reason?: string; message?: string }
      throw new ApiError(code ?? 500, reason ?? 'Unknown', message ?? 'the watch reports an error')
    }
    const changed = object as KubeObject
    this.#beat()
    if (type === 'ADDED' || type === 'MODIFIED') this.#put(changed)
    else if (type === 'DELETED') this.#drop(keyOf(changed))
    return changed.metadata.resourceVersion
  }

  #put(object: KubeObject): void {
    const key = keyOf(object)
    const before = this.#objects.get(key)
    if (before?.metadata.resourceVersion === object.metadata.resourceVersion) return
    const now = this.#options.keep(object)
    this.#objects.set(key, now)
    this.#options.onChange(now, before)
  }

  #drop(key: string): void {
    const before = this.#objects.get(key)
    if (before === undefined) return
    this.#objects.delete(key)
    this.#options.onChange(undefined, before)
  }

  #beat(): void {
    this.#options.metrics.lastEvent.set({ resource: this.#resource }, Date.now() / 1000)
  }
}
