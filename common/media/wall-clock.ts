// Times for a source that has none of its own: those at which its packets came.
import { ticksToMs, type TimeBase } from './timebase.ts'

/** As RTP has it: steps of one tick would be taken for timestamps that stand still. */
const TICKS_PER_MS = 90
export const WALL_CLOCK_TIME_BASE: [number, number] = [1, TICKS_PER_MS * 1000]
/** Between packets that come at once. Half of it may be taken back (CaptureClock), and timestamps rise by 1 ms at least. */
const STEP_MS = 2
/** Further back than this the clock was set. */
const SET_MS = 10_000

/** Times in WALL_CLOCK_TIME_BASE from the first packet on, each later than the one before unless the clock is set. */
export class WallClock {
  #startMs: number | undefined
  #lastMs = -Infinity

  /** ffmpeg read the packet by the end of tick `pts`, unless others took the ticks before, and no later than it arrived here. */
  read(pts: number | undefined, timeBase: TimeBase, arrivedAt: number): { pts: number; dts: number } {
    const atMs = pts === undefined ? arrivedAt : Math.min(arrivedAt, Math.ceil(ticksToMs(pts + 1, timeBase)))
    this.#startMs ??= atMs
    const sinceMs = atMs - this.#startMs
    this.#lastMs = this.#lastMs - sinceMs > SET_MS ? sinceMs : Math.max(sinceMs, this.#lastMs + STEP_MS)
    const time = this.#lastMs * TICKS_PER_MS
    return { pts: time, dts: time }
  }
}
