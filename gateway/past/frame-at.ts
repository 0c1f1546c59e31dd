// The frame that was the newest at a past time: the last one that a replay gives up to then.
import type { BadMessage, StoredPacket } from '../../proto/messages.ts'
import type { LiveFrame, Rendition } from '../../proto/rendition.ts'
import type { Read } from './packet-reader.ts'
import { decodingMs, replayFrames, type PacketSource } from './replay.ts'

/** Where reading begins for a time: at the keyframe of `startSeq`. `startMs`: when the source itself begins. `endSeq`: where it ends. */
export type PastPlace = {
  readonly source: PacketSource
  readonly startSeq: number
  readonly startMs: number
  readonly endSeq?: number | undefined
}
export type PastPacket = Pick<StoredPacket, 'epoch' | 'keyframe' | 'index' | 'timestamp'>

/** `place`: where its frame is decoded from. */
export type PastFrame = { readonly place: PastPlace; readonly packet: PastPacket }

/** Of what is read to find a packet, so many bytes are kept to decode it. */
const KEPT_BYTES_MAX = 32 * 2 ** 20

/** The last packet captured at or before `atMs`. */
export async function packetAt(place: PastPlace, atMs: number, signal: AbortSignal): Promise<PastFrame | undefined> {
  const { source, startSeq, endSeq = Infinity } = place
  let found: PastPacket | undefined
  let codec: StoredPacket['codec']
  let bytes = 0
  const kept: Read[] = []
  for await (const read of source.read(startSeq, () => {}, signal)) {
    const { packet, caughtUp, seq = 0 } = read
    if (seq > endSeq) break
    bytes += packet?.data.length ?? 0
    if (bytes <= KEPT_BYTES_MAX) kept.push(read)
    codec = packet?.codec ?? codec
    if (packet !== undefined) {
      if (decodingMs(packet, codec) > atMs) break
      if (packet.timestamp <= atMs && packet.timestamp > (found?.timestamp ?? 0)) {
        const { epoch, keyframe, index, timestamp } = packet
        found = { epoch, keyframe, index, timestamp }
      }
    }
    if (caughtUp) break
  }
  if (found === undefined) return undefined
  return { packet: found, place: bytes <= KEPT_BYTES_MAX ? { ...place, source: keptSource(kept) } : place }
}

/** What has been read already. */
const keptSource = (kept: readonly Read[]): PacketSource => ({
  async *read() {
    yield* kept
  },
})

/** What `take` makes of the packet's frame; where it can't be decoded, of the last one before it that can. */
export async function frameOf<T>(
  { source, startSeq, startMs, endSeq }: PastPlace,
  { timestamp: toMs }: PastPacket,
  { rendition, onBad }: { rendition: Rendition; onBad: (bad: BadMessage) => void },
  signal: AbortSignal,
  take: (frame: LiveFrame) => T,
): Promise<T | undefined> {
  for (const fromMs of [toMs, startMs]) {
    let taken: T | undefined
    for await (const frame of replayFrames(source, { fromMs, toMs, startSeq, endSeq }, { rendition, onBad }, signal)) taken = take(frame)
    if (taken !== undefined) return taken
  }
  return undefined
}
