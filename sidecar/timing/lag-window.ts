// How late the packets of the last second were, by the one that was least late: jitter only ever delays.

type Sample = { atMs: number; lagMs: number }

const WINDOW_MS = 1_000
/** Before it says anything. */
const SPAN_MIN_MS = 750
const SAMPLES_MIN = 3
/** More than a second of the fastest camera. */
const SAMPLES_MAX = 512
/** A queue that empties this fast (ms of lag per ms) is left to empty. */
const DRAIN = 0.3

export class LagWindow {
  readonly #samples: Sample[] = []

  push(atMs: number, lagMs: number): void {
    const last = this.#samples.at(-1)
    if (last !== undefined && atMs < last.atMs) this.#samples.length = 0 // the clock was set
    this.#samples.push({ atMs, lagMs })
    while (this.#samples.length > SAMPLES_MAX || this.#startsTooEarly(atMs)) this.#samples.shift()
  }

  /** What all packets of the last second were late by; 0 while that is not known, and while it passes by itself. */
  get leastMs(): number {
    const [first] = this.#samples
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || this.#samples.length < SAMPLES_MIN) return 0
    const spanMs = last.atMs - first.atMs
    if (spanMs < SPAN_MIN_MS || first.lagMs - last.lagMs > DRAIN * spanMs) return 0
    return Math.max(0, Math.min(...this.#samples.map(({ lagMs }) => lagMs)))
  }

  forget(): void {
    this.#samples.length = 0
  }

  /** Frames may come seconds apart: the last few count however old they are. */
  #startsTooEarly(atMs: number): boolean {
    const [, second] = this.#samples
    return this.#samples.length > SAMPLES_MIN && second !== undefined && atMs - second.atMs >= WINDOW_MS
  }
}
