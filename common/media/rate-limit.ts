// At most so many frames a second, evenly. Pure.

/** A frame may come so much before it is due, as cameras' intervals jitter: of the period, and of the interval between frames. */
const EARLY = { ofPeriod: 0.25, ofInterval: 0.5 }
/** How fast the interval that is believed grows to one that is larger. */
const GROWTH = 1.1
/** Frames may stand out of order by less than this. A frame that is further back shows that the clock was set back. */
const BACK_MS = 2_000

export class RateLimit {
  #dueMs: number | undefined
  #lastMs: number | undefined
  #intervalMs = Infinity

  /** Whether the frame captured at `timestamp` (ms) is one of at most `maxFps` a second. */
  takes(timestamp: number, maxFps: number): boolean {
    const periodMs = 1000 / maxFps
    this.#learn(timestamp)
    const dueMs = this.#dueMs ?? timestamp
    const lateMs = timestamp - dueMs
    const earlyMs = Math.min(EARLY.ofPeriod * periodMs, EARLY.ofInterval * this.#intervalMs)
    if (lateMs < -earlyMs && lateMs > -periodMs - BACK_MS) return false
    this.#dueMs = Math.abs(lateMs) <= periodMs ? Math.max(dueMs + periodMs, timestamp + periodMs / 2) : timestamp + periodMs
    return true
  }

  /** Frames may come out of order, so that the smallest step is the interval. */
  #learn(timestamp: number): void {
    const stepMs = Math.abs(timestamp - (this.#lastMs ?? timestamp))
    if (stepMs > 0) this.#intervalMs = Math.min(this.#intervalMs * GROWTH, stepMs)
    this.#lastMs = timestamp
  }
}
