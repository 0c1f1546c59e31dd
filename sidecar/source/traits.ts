import type { LearntTimes } from '../timing/epoch.ts'
import { CONNECT_MS } from './watchdog.ts'

/** What was learnt of a source while it ran: it holds for the next connection too. */
export type Traits = {
  /** It has no timestamps: the wall clock gives them. */
  wallClock: boolean
  /** It comes faster than it plays (a file): it is read at its own pace. */
  paced: boolean
  /** A first look did not find the size of its frames. */
  slow: boolean
  /** Its frames may come seconds apart: ffmpeg does not look at many of them first. */
  sparse: boolean
  /** How long it may take until its first packet. */
  connectMs: number
  times: LearntTimes
  /** performance.now() when its clock last jumped back in a way that took a restart. */
  jumpedBackMs?: number
}

export type LearntTrait = 'wallClock' | 'paced'

/** Of a source that has not run yet. */
export const newTraits = (): Traits => ({
  ...{ wallClock: false, paced: false, slow: false, sparse: false },
  connectMs: CONNECT_MS,
  times: { isArrival: false, rate: 1 },
})
