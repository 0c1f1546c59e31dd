// A stretch of a camera's past, for Replay, Snapshot and Packets.
import type { KnownCamera } from '../../cameras.ts'
import { noBuffer, type Extent, type PacketStream } from '../../past/packet-reader.ts'
import { Refusal } from '../../refusal.ts'

/** Throws a Refusal where the buffer has nothing from `toMs` back, and no archive reaches further. */
export async function extentBefore(
  camera: KnownCamera,
  stream: PacketStream,
  toMs: number,
  signal: AbortSignal,
): Promise<Extent | undefined> {
  const extent = await stream.extent(signal)
  if (!camera.record.archive && (extent === undefined || toMs < extent.startMs)) throw notStored(camera, extent)
  return extent
}

export function notStored(camera: KnownCamera, extent: Extent | undefined): Refusal {
  if (camera.record.archive) {
    return new Refusal('outOfRange', `neither the buffer of camera "${camera.deviceId}" nor its archive has frames of this time`)
  }
  return extent === undefined ? noBuffer(camera.ref) : new Refusal('outOfRange', `buffer starts at ${extent.startMs}`)
}

/** A capture time of a request. Throws a Refusal. */
export function checkedTime(field: string, ms: number): number {
  if (!Number.isSafeInteger(ms) || ms < 0) throw new Refusal('invalid', `${field} must be a time in ms since the epoch, not negative`)
  return ms
}
