import type { BadMessage } from '../../proto/messages.ts'
import type { LiveFrame, RenditionDemand } from '../../proto/rendition.ts'
import type { Where } from './placement.ts'

/** Where a camera's frames come from: its sidecar (sidecar-frames.ts), or a decoder in this process (gateway-decoder.ts). */
export type Upstream = {
  readonly where: Where
  /** Two upstreams of the same key give the same frames. */
  readonly key: string
  /** NATS ended it, as when permissions change. */
  readonly isClosed: boolean
  want(demand: readonly RenditionDemand[]): void
  /** Once a second. `nowMs` as performance.now(); `lastPacketAt`: capture time of the newest packet that the sidecar says it published. */
  tick(nowMs: number, lastPacketAt: number | undefined): void
  /** Resolves when nothing of it is left. */
  end(): Promise<void>
}

/** A frame of one rendition, by the rendition's key. The receiver of the frame releases its lease. */
export type OnFrame = (rendition: string, frame: LiveFrame) => void

export type UpstreamEvents = {
  onFrame: OnFrame
  onBad: (bad: BadMessage) => void
}
