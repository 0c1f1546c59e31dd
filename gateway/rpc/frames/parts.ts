// What the RPCs of FramesService are made of.
import type { Nats } from '../../../common/nats/connect.ts'
import type { VisibleCameras } from '../../access/visible-cameras.ts'
import type { PacketReaders } from '../../frames/packet-readers.ts'
import type { FrameSource } from '../../frames/source.ts'
import type { Unsent } from '../../frames/unsent.ts'
import type { Groups } from '../../groups/groups.ts'
import type { Metrics } from '../../metrics.ts'
import type { PacketStream, Source } from '../../past/packet-reader.ts'
import type { Past } from '../../past/past.ts'
import type { PastReads } from '../../past/reads.ts'

export type FramesParts = {
  cameras: VisibleCameras
  frames: FrameSource
  unsent: Unsent
  groups: Groups
  metrics: Metrics
  isConnected: () => boolean
  link: () => Nats | undefined
  /** Throws a Refusal while NATS is unreachable. */
  packets: (source: Source) => PacketStream
  readers: PacketReaders
  past: Past
  reads: PastReads
}
