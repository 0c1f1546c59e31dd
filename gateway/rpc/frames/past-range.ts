// A stretch of a camera's past, for Replay, Snapshot and Packets.
import type { KnownCamera } from '../../cameras.ts'
import { noBuffer, type Extent, type PacketStream } from '../../past/packet-reader.ts'
import { Refusal } from '../../refusal.ts'

/** Throws a Refusal where nothing is stored, or nothing from `toMs` back. */
export async function extentBefore(camera: KnownCamera, stream: PacketStream, toMs: number, signal: AbortSignal): Promise<Extent> {
  const extent = await stream.extent(signal)
  if (extent === undefined) throw noBuffer(camera.ref)
  if (toMs < extent.startMs) throw new Refusal('outOfRange', `buffer starts at ${extent.startMs}`)
  return extent
}

/** A capture time of a request. Throws a Refusal. */
export function checkedTime(field: string, ms: number): number {
  if (!Number.isSafeInteger(ms) || ms < 0) throw new Refusal('invalid', `${field} must be a time in ms since the epoch, not negative`)
  return ms
}
