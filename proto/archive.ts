// What the gateway asks a camera's sidecar about its archive, and the answers. An answer is the length of its head (4 bytes), the head as JSON, and
// the bytes of packets. Every part is checked when it is read.
import * as v from 'valibot'
import { BadMessage, parseJson } from './messages.ts'
import { Codec } from './state.ts'

const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const integer = v.pipe(v.number(), v.safeInteger())

/** Where reading goes on: `offset` bytes into a sample of the segment that begins at `startMs`. */
const Place = v.object({ startMs: natural, sample: natural, offset: natural })
export type ArchivePlace = v.InferOutput<typeof Place>

/** gateway → sidecar. Capture times in ms. */
export const ArchiveRequest = v.variant('ask', [
  v.object({ v: v.literal(1), uid: v.string(), ask: v.literal('ranges'), fromMs: natural, toMs: natural }),
  /** From the keyframe at or before a time on. */
  v.object({ v: v.literal(1), uid: v.string(), ask: v.literal('packets'), fromMs: natural }),
  v.object({ v: v.literal(1), uid: v.string(), ask: v.literal('packets'), at: Place }),
])
export type ArchiveRequest = v.InferOutput<typeof ArchiveRequest>

export const RANGES_MAX = 2_000
export const ARCHIVE_PACKETS_MAX = 512
/** Of packets in one answer. */
export const ARCHIVE_BYTES_MAX = 512 * 1024
/** No packet of a camera is larger. */
const PACKET_BYTES_MAX = 64 * 2 ** 20

/** Segments without a gap between them are one range; the newest, where there are too many. */
const Ranges = v.object({ v: v.literal(1), ranges: v.pipe(v.array(v.tuple([natural, natural])), v.maxLength(RANGES_MAX)) })
const ArchivePacket = v.object({
  ...{ epoch: natural, keyframe: natural, index: natural, pts: integer, dts: integer, timestamp: natural, key: v.boolean() },
  size: v.pipe(natural, v.minValue(1), v.maxValue(PACKET_BYTES_MAX)),
})
export type ArchivePacket = v.InferOutput<typeof ArchivePacket>
const Packets = v.object({
  v: v.literal(1),
  /** Of these packets. */
  codec: v.optional(Codec),
  /** In decoding order. The first one's bytes begin at `offset`; the last one's may go on in the next answer. */
  packets: v.pipe(v.array(ArchivePacket), v.maxLength(ARCHIVE_PACKETS_MAX)),
  offset: natural,
  /** Absent where there is no more. */
  next: v.optional(Place),
})
const Problem = v.object({ v: v.literal(1), problem: v.picklist(['busy', 'unreadable']) })

export type ArchiveRanges = v.InferOutput<typeof Ranges>
export type ArchivePackets = v.InferOutput<typeof Packets>
export type ArchiveProblem = v.InferOutput<typeof Problem>
export type ArchiveAnswer = ArchiveRanges | ArchivePackets | ArchiveProblem

export function encodeAnswer(head: ArchiveAnswer, bytes: readonly Uint8Array[] = []): Buffer {
  const json = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([length, json, ...bytes])
}

const parts = (answer: Uint8Array): { head: Uint8Array; bytes: Uint8Array } => {
  const length = answer.length < 4 ? NaN : new DataView(answer.buffer, answer.byteOffset).getUint32(0)
  if (!(length <= answer.length - 4)) throw new BadMessage('size', 'an archive’s answer is cut off')
  return { head: answer.subarray(4, 4 + length), bytes: answer.subarray(4 + length) }
}

const orProblem = <T>(schema: v.GenericSchema<unknown, T>) => v.union([Problem, schema])

/** Throws BadMessage. */
export const decodeRanges = (answer: Uint8Array): ArchiveRanges | ArchiveProblem => parseJson(orProblem(Ranges), parts(answer).head)

/** Throws BadMessage. */
export function decodePackets(answer: Uint8Array): (ArchivePackets & { bytes: Uint8Array }) | ArchiveProblem {
  const { head, bytes } = parts(answer)
  const said = parseJson(orProblem(Packets), head)
  if ('problem' in said) return said
  const declared = said.packets.reduce((sum, { size }) => sum + size, -said.offset)
  const isCut = declared > bytes.length && said.next !== undefined
  if (declared !== bytes.length && !isCut) throw new BadMessage('size', `${bytes.length} bytes of packets, ${declared} declared`)
  return { ...said, bytes }
}
