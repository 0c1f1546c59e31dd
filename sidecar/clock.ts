/** How fast the anchor gives way to packets that come later and later (a camera whose clock runs slow): ms per second. */
const RISE_MS_PER_S = 1
/** How much of the time between two packets may be taken back when one comes early: timestamps must go on rising. */
const FALL_SHARE = 0.5

/**
 * Capture times of one epoch: an anchor + pts. A packet can't arrive before it was captured, so the anchor is the smallest
 * (arrival − pts) of late: network jitter only ever delays, hence does not move it; a camera's drift does, slowly. Within the
 * epoch timestamps rise in presentation order.
 */
export class CaptureClock {
  #anchorMs: number | undefined
  #lastPtsMs = 0

  /** ms since the epoch for the packet of `ptsMs` that arrived at `arrivedAt`. */
  timestamp(ptsMs: number, arrivedAt: number): number {
    const offset = arrivedAt - ptsMs
    if (this.#anchorMs === undefined) {
      this.#anchorMs = offset
      this.#lastPtsMs = ptsMs
    }
    // B-frames go back in pts: they take the anchor as it is.
    const advanced = Math.max(0, ptsMs - this.#lastPtsMs)
    this.#lastPtsMs = Math.max(this.#lastPtsMs, ptsMs)
    const lowest = this.#anchorMs - advanced * FALL_SHARE
    const highest = this.#anchorMs + (advanced * RISE_MS_PER_S) / 1000
    this.#anchorMs = Math.min(highest, Math.max(lowest, offset))
    return Math.round(this.#anchorMs + ptsMs)
  }
}
