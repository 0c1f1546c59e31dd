// A camera's past, wherever it is kept: in the buffer, and before that in the archive.
import type { StoredPacket } from '../../proto/messages.ts'
import type { KnownCamera } from '../cameras.ts'
import type { Archives } from './archives.ts'
import { BufferRanges } from './buffer-ranges.ts'
import { packetAt, type PastFrame } from './frame-at.ts'
import { Losses } from './losses.ts'
import type { Extent, PacketStream, Read, Source, Stretch } from './packet-reader.ts'
import { decodingMs, type PacketSource } from './replay.ts'
import { clipped, GAP_MIN_MS, without, type TimeRange } from './stretches.ts'

/** What a crash left of the archive has capture times to about a millisecond. */
const SLACK_MS = 2

/** `isArchived`: what it is read from is the archive. */
export type PastStretch = Stretch & { readonly source: PacketSource; readonly isArchived: boolean }
/** `archive`: its ranges; or why there are none. */
export type PastRanges = { readonly buffer: readonly TimeRange[]; readonly archive: readonly TimeRange[] | 'none' | 'unreachable' }

/** Each method throws a Refusal while what it reads is unreachable. */
export class Past {
  readonly #packets: (source: Source) => PacketStream
  readonly #archives: Archives
  readonly #bufferRanges = new BufferRanges()

  /** `packets` throws a Refusal while NATS is unreachable. */
  constructor(packets: (source: Source) => PacketStream, archives: Archives) {
    this.#packets = packets
    this.#archives = archives
  }

  async ranges(camera: KnownCamera, window: TimeRange, signal: AbortSignal): Promise<PastRanges> {
    const archive = camera.record.archive ? this.#archives.ranges(camera, window, signal).catch(() => 'unreachable' as const) : 'none'
    const buffer = clipped(await this.#bufferRanges.of(camera, this.#packets(camera), signal), window)
    const found = await archive
    // What is in both is the buffer's.
    return { buffer, archive: typeof found === 'string' ? found : clipped(found, window).flatMap(range => outside(range, buffer)) }
  }

  /** The newest frame captured at or before `atMs`. One that is older than `maxAgeMs` then is looked for in the archive too. */
  async frameAt(camera: KnownCamera, atMs: number, maxAgeMs: number, signal: AbortSignal): Promise<PastFrame | undefined> {
    const buffered = await this.#inBuffer(camera, atMs, signal)
    if (!camera.record.archive || (buffered !== undefined && atMs - buffered.packet.timestamp <= maxAgeMs)) return buffered
    const place = { source: this.#archives.from(camera, atMs), startSeq: 0, startMs: 0 }
    const archived = await packetAt(place, atMs, signal)
    return archived !== undefined && archived.packet.timestamp > (buffered?.packet.timestamp ?? 0) ? archived : buffered
  }

  async #inBuffer(camera: KnownCamera, atMs: number, signal: AbortSignal): Promise<PastFrame | undefined> {
    const stream = this.#packets(camera)
    const extent = await stream.extent(signal)
    if (extent === undefined || atMs < extent.startMs) return undefined
    const place = await stream.placeBefore(atMs, extent, signal)
    return place && (await packetAt(place, atMs, signal))
  }

  /** What can be decoded of the frames captured in `range`, from the keyframe at or before its begin on. */
  async *packets(camera: KnownCamera, range: TimeRange, signal: AbortSignal): AsyncGenerator<StoredPacket> {
    const extent = await this.#packets(camera).extent(signal)
    for await (const stretch of this.stretches(camera, range, extent, signal)) yield* inRange(stored(stretch, signal), range)
  }

  /** Where the frames of a range are: in the archive up to where the buffer begins, and in the buffer. `extent`: of the buffer. */
  async *stretches(camera: KnownCamera, range: TimeRange, extent: Extent | undefined, signal: AbortSignal): AsyncGenerator<PastStretch> {
    const { fromMs, toMs } = range
    const bufferMs = (extent?.startMs ?? Infinity) - SLACK_MS
    if (fromMs < bufferMs && camera.record.archive) {
      const source: PacketSource = {
        read: (_seq, onBad, until) => archivedBefore(bufferMs, this.#archives.from(camera, fromMs).read(0, onBad, until)),
      }
      yield { source, isArchived: true, startSeq: 0, fromMs, toMs: Math.min(toMs, bufferMs) }
    }
    if (extent === undefined) return
    const source = this.#packets(camera)
    for await (const stretch of source.stretches(range, extent, signal)) yield { source, isArchived: false, ...stretch }
  }
}

async function* archivedBefore(bufferMs: number, reads: AsyncIterable<Read>): AsyncGenerator<Read> {
  for await (const read of reads) {
    if (read.packet?.key === true && read.packet.timestamp >= bufferMs) return
    yield read
  }
}

async function* stored({ source, startSeq, endSeq = Infinity }: PastStretch, signal: AbortSignal): AsyncGenerator<Read> {
  for await (const read of source.read(startSeq, () => {}, signal)) {
    if ((read.seq ?? 0) > endSeq) return
    yield read
    if (read.caughtUp) return
  }
}

async function* inRange(reads: AsyncIterable<Read>, { fromMs, toMs }: TimeRange): AsyncGenerator<StoredPacket> {
  const losses = new Losses()
  let codec: StoredPacket['codec']
  let held: StoredPacket[] | undefined = []
  for await (const read of reads) {
    if (!losses.see(read).isDecodable || read.packet === undefined) continue
    const { packet } = read
    codec = packet.codec ?? codec
    if (decodingMs(packet, codec) > toMs) return
    if (held !== undefined) {
      // A GOP that ended before the range is not wanted.
      if (packet.key && (packet.timestamp <= fromMs || packet.timestamp - (held.at(-1)?.timestamp ?? 0) > GAP_MIN_MS)) held = []
      held.push(packet)
      if (packet.timestamp < fromMs) continue
      yield* held
      held = undefined
    } else yield packet
  }
}

/** The parts of a range that lie outside of others, which are in order. */
function outside(range: TimeRange, others: readonly TimeRange[]): TimeRange[] {
  const inside = clipped(others, range)
  return without(range, inside).filter(({ fromMs, toMs }) => toMs > fromMs)
}
