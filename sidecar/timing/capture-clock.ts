/** How much faster than pts timestamps may rise when packets come later and later (a camera whose clock runs slow): ms per second. */
const GAIN_MS_PER_S = 1
/** How much of a step of pts may be taken back when packets come early: timestamps must go on rising. */
const LOSS_SHARE = 0.5
/** Timestamps are whole ms, and of no two pictures the same, where a camera's pts are a tick apart: ffmpeg makes that of pts that repeat or go back. */
const STEP_MIN_MS = 1
/** Further apart than this from the arrival's clock, timestamps are of another time: one of the clocks was set. */
const OFF_MS = 10_000
/** How far back in decoding order a picture may lie in presentation order. */
const POINTS_MAX = 32

type Point = { ptsMs: number; atMs: number }

/**
 * Capture times of an unbroken stretch of pts. A packet can't arrive before it was captured, so the offset between the two clocks is the
 * smallest (arrival − pts) of late: network jitter only ever delays, hence does not move it; a camera's drift does, slowly. Timestamps
 * rise in presentation order, whatever the order of packets: what lies between two pictures in pts gets a time between theirs.
 */
export class CaptureClock {
  /** Of the pictures with a higher pts than any before, which B-frames lie between. */
  readonly #points: Point[] = []
  readonly #startOffsetMs: number | undefined

  /** `startOffsetMs`: arrival − pts as far as it is known already. Packets read in a burst have waited: the first alone says too much. */
  constructor(startOffsetMs?: number) {
    this.#startOffsetMs = startOffsetMs
  }

  /** ms since the epoch for the packet of `ptsMs` that arrived at `arrivedAt`. */
  timestamp(ptsMs: number, arrivedAt: number): number {
    const newest = this.#points.at(-1)
    if (newest !== undefined && ptsMs <= newest.ptsMs) return Math.round(this.#between(ptsMs))
    const atMs = newest === undefined ? ptsMs + (this.#startOffsetMs ?? arrivedAt - ptsMs) : follow(newest, ptsMs, arrivedAt)
    this.#points.push({ ptsMs, atMs })
    if (this.#points.length > POINTS_MAX) this.#points.shift()
    return Math.round(atMs)
  }

  /** True when timestamps have lost touch with the clock that packets arrive by. */
  isOff(ptsMs: number, arrivedAt: number): boolean {
    const newest = this.#points.at(-1)
    return newest !== undefined && Math.abs(arrivedAt - (newest.atMs + ptsMs - newest.ptsMs)) > OFF_MS
  }

  #between(ptsMs: number): number {
    const after = this.#points.findIndex(point => point.ptsMs >= ptsMs)
    const [right, left] = [this.#points[after], this.#points[after - 1]]
    if (right === undefined) throw new Error('not between')
    if (left === undefined) return right.atMs - (right.ptsMs - ptsMs)
    return left.atMs + ((ptsMs - left.ptsMs) * (right.atMs - left.atMs)) / (right.ptsMs - left.ptsMs)
  }
}

function follow(newest: Point, ptsMs: number, arrivedAt: number): number {
  const step = ptsMs - newest.ptsMs
  const earliest = newest.atMs + Math.max(STEP_MIN_MS, step * (1 - LOSS_SHARE))
  return Math.max(earliest, Math.min(newest.atMs + step * (1 + GAIN_MS_PER_S / 1000), arrivedAt))
}
