import { LagWindow } from './lag-window.ts'
import { RateEstimate } from './rate-estimate.ts'

/** How much faster than pts timestamps may rise when packets come a little later and later (a crystal that runs slow): ms per second. */
const GAIN_MS_PER_S = 1
/** A lag of more than this for a whole second is no jitter. What is more is made up for in about CATCH_UP_MS. */
const LAG_MAX_MS = 60
const CATCH_UP_MS = 3_000
/** A lag of more than this is made up for at once: nothing is steady where it grows so fast. */
const LEAP_MS = 400
/** How much of a step may be taken back when packets come early: timestamps must go on rising. */
const LOSS_SHARE = 0.5
/** Timestamps are whole ms, and of no two frames the same, where a camera's pts are a tick apart: ffmpeg makes that of pts that repeat or go back. */
const STEP_MIN_MS = 1
/** A step that is longer than the time that passed by more than this is a jump. */
const SLACK_MS = 100
/** B-frames need room between the frames around them. */
const STEP_MIN_SHARE = 0.1
/** Further apart than this from the arrival's clock, timestamps are of another time: one of the clocks was set. */
const OFF_MS = 10_000
/** How far back in decoding order a frame may lie in presentation order. */
const POINTS_MAX = 32
/** Leaps within this time, after which the camera's clock is taken to tell nothing. */
const LEAPS_MAX = 3
const LEAPS_WITHIN_MS = 60_000

/** `ptsMs` as the camera has it; `outMs` where its rate was corrected. */
type Point = { ptsMs: number; outMs: number; atMs: number; arrivedAt: number }

/**
 * Capture times of an unbroken stretch of pts. A packet can't arrive before it was captured, so the offset between the two clocks is the
 * smallest (arrival − pts) of late: network jitter only ever delays, hence does not move it; a camera's drift does, slowly. A camera whose rate
 * is wrong (it says 25 frames a second and sends 21) shows a steady trend instead, and its pts are corrected by it. Timestamps
 * rise in presentation order, whatever the order of packets: what lies between two frames in pts gets a time between theirs.
 */
export class CaptureClock {
  /** Of the frames with a higher pts than any before, which B-frames lie between. */
  readonly #points: Point[] = []
  readonly #startOffsetMs: number | undefined
  #rate: RateEstimate
  readonly #lag = new LagWindow()
  /** Arrival times of the last leaps. */
  #leaps: number[] = []

  /**
   * `startOffsetMs`: arrival − pts as far as it is known already. Packets read in a burst have waited: the first alone says too much.
   * `rate`: as an earlier clock of this camera found it.
   */
  constructor(startOffsetMs?: number, rate = 1) {
    this.#startOffsetMs = startOffsetMs
    this.#rate = new RateEstimate(rate)
  }

  /** Arrival time per pts: 1 unless the camera's rate is wrong. */
  get rate(): number {
    return this.#rate.rate
  }

  /** Packets come at a rate that changes all the time: pts tell nothing. */
  get isErratic(): boolean {
    return this.#leaps.length >= LEAPS_MAX
  }

  /** Pts are of another clock from here on, whose rate is right. */
  expectRight(): void {
    this.#rate = new RateEstimate()
    this.#lag.forget()
    this.#leaps = []
  }

  /** ms since the epoch for the packet of `ptsMs` that arrived at `arrivedAt`. */
  timestamp(ptsMs: number, arrivedAt: number): number {
    const newest = this.#points.at(-1)
    if (newest !== undefined && ptsMs <= newest.ptsMs) return Math.round(this.#between(ptsMs, 'atMs'))
    this.#rate.push(ptsMs, arrivedAt)
    const atMs = newest === undefined ? ptsMs + (this.#startOffsetMs ?? arrivedAt - ptsMs) : this.#follow(newest, ptsMs, arrivedAt)
    const stepMs = ptsMs - (newest?.ptsMs ?? ptsMs)
    const outMs = newest === undefined ? ptsMs : newest.outMs + (this.rate === 1 ? stepMs : atMs - newest.atMs)
    this.#lag.push(arrivedAt, arrivedAt - atMs)
    this.#points.push({ ptsMs, outMs, atMs, arrivedAt })
    if (this.#points.length > POINTS_MAX) this.#points.shift()
    return Math.round(atMs)
  }

  /** A time of the camera's, as it would be if its rate were right, in ms. Of pts that `timestamp` has seen, and of dts. */
  corrected(ptsMs: number): number {
    return this.#points.length === 0 ? ptsMs : this.#between(ptsMs, 'outMs')
  }

  /** True when timestamps have lost touch with the clock that packets arrive by. */
  isOff(ptsMs: number, arrivedAt: number): boolean {
    const newest = this.#points.at(-1)
    return newest !== undefined && Math.abs(arrivedAt - (newest.atMs + (ptsMs - newest.ptsMs) * this.rate)) > OFF_MS
  }

  #follow(newest: Point, ptsMs: number, arrivedAt: number): number {
    const stepMs = (ptsMs - newest.ptsMs) * this.rate
    const lateMs = this.#lag.leastMs
    if (lateMs > LEAP_MS && lateMs < OFF_MS) return newest.atMs + stepMs + this.#leap(lateMs, arrivedAt)
    const gain = GAIN_MS_PER_S / 1000 + Math.max(0, lateMs - LAG_MAX_MS) / CATCH_UP_MS
    const passedMs = Math.max(0, arrivedAt - newest.arrivedAt)
    const possibleMs = Math.min(stepMs, passedMs + SLACK_MS)
    // Ahead of arrival, as behind a clock that runs many times too fast, timestamps rise as slowly as B-frames allow.
    const aheadMs = Math.max(Math.min(stepMs, passedMs) * (1 - LOSS_SHARE), possibleMs * STEP_MIN_SHARE)
    const leastMs = Math.max(STEP_MIN_MS, newest.atMs > arrivedAt ? aheadMs : possibleMs * (1 - LOSS_SHARE))
    return Math.max(newest.atMs + leastMs, Math.min(newest.atMs + stepMs * (1 + gain), arrivedAt))
  }

  #leap(lateMs: number, arrivedAt: number): number {
    this.#leaps = [...this.#leaps.filter(atMs => arrivedAt - atMs < LEAPS_WITHIN_MS), arrivedAt]
    this.#lag.forget()
    this.#rate.forget()
    return lateMs
  }

  #between(ptsMs: number, time: 'atMs' | 'outMs'): number {
    const after = this.#points.findIndex(point => point.ptsMs >= ptsMs)
    const [right = this.#points.at(-1), left] = [this.#points[after], this.#points[after - 1]]
    if (right === undefined) throw new Error('no point')
    if (left === undefined || ptsMs > right.ptsMs) return right[time] - (right.ptsMs - ptsMs)
    return left[time] + ((ptsMs - left.ptsMs) * (right[time] - left[time])) / (right.ptsMs - left.ptsMs)
  }
}
