import type { Wants } from '../../common/media/live-decoder.ts'
import type { BadMessage, Frame } from '../../proto/messages.ts'
import type { Where } from './placement.ts'

/** Where a camera's frames come from. */
export type Feed = {
  readonly where: Where
  /** Two feeds of the same key give the same frames. */
  readonly key: string
  /** NATS ended it, as when permissions change. */
  readonly isClosed: boolean
  /** `fps`: so many frames a second are enough, where all are wanted. */
  want(wants: Wants, fps?: number): void
  /** Once a second. `nowMs` as performance.now(); `lastPacketAt`: capture time of the newest packet that the sidecar says it published. */
  tick(nowMs: number, lastPacketAt: number | undefined): void
  /** Resolves when nothing of it is left. */
  end(): Promise<void>
}

export type FeedEvents = {
  /** Whoever takes the frame releases its lease. */
  onFrame: (frame: Frame) => void
  onBad: (bad: BadMessage) => void
}
