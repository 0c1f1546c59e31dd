// Cameras start a few at a time. Each takes a core for half a second until it has said its first word: many at once would take the
// cores from the cameras that run already, and keep each other from connecting in time.
import { availableParallelism } from 'node:os'
import { sleep } from '../../common/abort.ts'

/** Half of the machine goes on with what it does. */
const STARTS_AT_ONCE = Math.max(1, Math.floor(availableParallelism() / 2))
/** One that has not said a word by then is waited for no longer. */
const START_MS_MAX = 10_000

export class Starts {
  readonly #atOnce: number
  readonly #startMsMax: number
  /** Who starts now, by camera; each ends its turn. */
  readonly #starting = new Map<string, AbortController>()
  readonly #waiting: (() => void)[] = []

  constructor({ atOnce = STARTS_AT_ONCE, startMsMax = START_MS_MAX }: { atOnce?: number; startMsMax?: number } = {}) {
    this.#atOnce = atOnce
    this.#startMsMax = startMsMax
  }

  /** Resolves when this camera may start, in the order of asking, or when `stop` aborts. Its turn is over with `done`, or after a time. */
  async turn(camera: string, stop: AbortSignal): Promise<void> {
    if (this.#starting.size < this.#atOnce) return this.#begin(camera, stop)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push(() => {
      this.#begin(camera, stop)
      resolve()
    })
    stop.addEventListener('abort', () => resolve(), { once: true })
    await promise
  }

  /** The camera's process has started, or ended. */
  done(camera: string): void {
    this.#starting.get(camera)?.abort()
  }

  #begin(camera: string, stop: AbortSignal): void {
    if (stop.aborted) return
    const over = new AbortController()
    this.#starting.set(camera, over)
    void sleep(this.#startMsMax, AbortSignal.any([over.signal, stop])).then(() => {
      this.#starting.delete(camera)
      this.#waiting.shift()?.()
    })
  }
}
