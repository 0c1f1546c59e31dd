// GET …/stats: how this gateway serves a camera.
import type { Counter } from 'prom-client'
import { refText } from '../../proto/subjects.ts'
import type { KnownCamera } from '../cameras.ts'
import type { PacketReaders } from '../frames/packet-readers.ts'
import type { FrameSource } from '../frames/source.ts'
import type { Metrics } from '../metrics.ts'

export type StatsParts = { frames: FrameSource; packets: PacketReaders; metrics: Metrics }

/** `clients` of the encoded stream, and wishes for frames; equal wishes of clients without a cursor count once. */
export async function statsJson({ ref, uid, report }: KnownCamera, { frames, packets, metrics }: StatsParts) {
  const camera = refText(ref)
  const { decodedIn, wishes } = frames.view(uid)
  const dropped = await Promise.all([metrics.framesDropped, metrics.framesMissed, metrics.framesWithheld].map(each => sumOf(each, camera)))
  return {
    clients: packets.readersOf(uid) + wishes,
    dropped: dropped.reduce((sum, each) => sum + each, 0),
    ...(decodedIn === undefined ? {} : { decodedIn }),
    reconnects: report?.state.reconnects ?? 0,
  }
}

async function sumOf(counter: Counter<'camera'> | Counter<'camera' | 'reason'>, camera: string): Promise<number> {
  const { values } = await counter.get()
  return values.reduce((sum, { labels, value }) => (labels.camera === camera ? sum + value : sum), 0)
}
