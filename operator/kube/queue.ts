// Which keys want work. A key waits at most once and is worked on by at most one worker; what happens to it meanwhile
// makes it wait again. Bounded by the number of keys, that is of Cameras.
import { backoffMs } from '../../common/backoff.ts'
import { messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { whenAborted } from '../../common/abort.ts'
import { Wakeup } from '../../common/queue.ts'
import type { QueueMetrics } from '../metrics.ts'

const BACKOFF = { minMs: 1_000, maxMs: 300_000 }

type Options = { now?: () => number; random?: () => number; metrics?: QueueMetrics }

/** Times are milliseconds of `now`'s clock, a monotonic one. */
export class KeyedQueue {
  readonly #now: () => number
  readonly #random: () => number
  readonly #metrics: QueueMetrics | undefined
  /** Since when each key waits; the order of a Map is the order of its keys' arrival. */
  readonly #ready = new Map<string, number>()
  readonly #running = new Map<string, { since: number; dirty: boolean }>()
  readonly #delayed = new Map<string, number>()
  readonly #failures = new Map<string, number>()
  /** No key of #delayed is due before. */
  #due = Infinity
  readonly #wakeup = new Wakeup()

  constructor({ now = performance.now.bind(performance), random = Math.random, metrics }: Options = {}) {
    this.#now = now
    this.#random = random
    this.#metrics = metrics
  }

  /** Wants `key` worked on now. */
  add(key: string): void {
    this.#delayed.delete(key)
    const running = this.#running.get(key)
    if (running !== undefined) running.dirty = true
    else if (!this.#ready.has(key)) {
      this.#ready.set(key, this.#now())
      this.#metrics?.adds.inc()
      this.#metrics?.depth.set(this.#ready.size)
      this.#wakeup.wake()
    }
  }

  /** Wants `key` worked on in `ms` at the latest; an earlier wish stands. */
  addAfter(key: string, ms: number): void {
    if (this.#ready.has(key)) return
    const due = Math.min(this.#now() + ms, this.#delayed.get(key) ?? Infinity)
    this.#delayed.set(key, due)
    if (due >= this.#due) return
    this.#due = due
    this.#wakeup.wake()
  }

  /** The key that waited longest, now being worked on until `done` or `failed`; undefined when none waits. */
  take(): string | undefined {
    this.#promote()
    const [next] = this.#ready
    if (next === undefined) return undefined
    const [key, since] = next
    this.#ready.delete(key)
    this.#running.set(key, { since: this.#now(), dirty: false })
    this.#metrics?.depth.set(this.#ready.size)
    this.#metrics?.queueSeconds.observe((this.#now() - since) / 1000)
    return key
  }

  done(key: string): void {
    this.#failures.delete(key)
    this.#end(key)
  }

  /** Wants `key` again after its backoff, 1 s doubling to 5 min, or `atLeastMs` where that is longer. Returns the wait in ms. */
  failed(key: string, atLeastMs = 0): number {
    const failures = this.#failures.get(key) ?? 0
    this.#failures.set(key, failures + 1)
    this.#metrics?.retries.inc()
    const ms = Math.max(atLeastMs, backoffMs(failures, BACKOFF, this.#random))
    this.#end(key)
    this.addAfter(key, ms)
    return ms
  }

  /** Drops what is remembered of a key that is gone. */
  forget(key: string): void {
    this.#failures.delete(key)
    this.#delayed.delete(key)
  }

  get depth(): number {
    return this.#ready.size
  }

  /** How long each key that is being worked on has been, in ms. */
  running(): number[] {
    return Array.from(this.#running.values(), ({ since }) => this.#now() - since)
  }

  /** Resolves when a key may be taken, or `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#promote()
      if (this.#ready.size > 0) return
      const woken = this.#wakeup.next
      const timer = this.#due === Infinity ? undefined : setTimeout(() => this.#wakeup.wake(), Math.max(1, this.#due - this.#now()))
      using _ = whenAborted(signal, () => this.#wakeup.wake())
      await woken
      clearTimeout(timer)
    }
  }

  #end(key: string): void {
    const running = this.#running.get(key)
    if (running === undefined) return
    this.#running.delete(key)
    this.#metrics?.workSeconds.observe((this.#now() - running.since) / 1000)
    if (running.dirty) this.add(key)
  }

  #promote(): void {
    const now = this.#now()
    if (now < this.#due) return
    this.#due = Infinity
    for (const [key, due] of this.#delayed) {
      if (due <= now) this.add(key)
      else this.#due = Math.min(this.#due, due)
    }
  }
}

/** Works on the queue's keys, `workers` at a time, until `signal` aborts; then ends what was begun. */
export async function work(
  queue: KeyedQueue,
  workers: number,
  handle: (key: string) => Promise<void>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const worker = async () => {
    while (!signal.aborted) {
      const key = queue.take()
      if (key === undefined) {
        await queue.wait(signal)
        continue
      }
      try {
        await handle(key)
        queue.done(key)
      } catch (error) {
        const { retryAfterMs = 0 } = error as { retryAfterMs?: number }
        const ms = queue.failed(key, retryAfterMs)
        log.warn({ camera: key, error: messageOf(error), retryInMs: Math.round(ms) }, 'reconcile failed')
      }
    }
  }
  await Promise.all(Array.from({ length: workers }, worker))
}
