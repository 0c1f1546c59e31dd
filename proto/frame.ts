// A VideoFrame, serialized around picture bytes that are already in place: the order of fields on the wire is free, so
// `data` goes first and the rest behind it, and the picture is never copied. Encoding: protobuf, fields of video_streaming.proto.
import protobuf from 'protobufjs/minimal.js'

/** Everything of a VideoFrame but its data. */
export type FrameFields = {
  width: number
  height: number
  timestamp: number
  isKeyframe: boolean
  pts: number
  dts: number
  frameType: string
  isCorrupt: boolean
  timeBase: number
  deviceId: string
  packet: number
  keyframe: number
  codecName: string
  pixFmt: string
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const tag = (field: number, wireType: number) => (field << 3) | wireType
const WIDTH = tag(1, VARINT)
const HEIGHT = tag(2, VARINT)
const DATA = tag(3, BYTES)
const CORRUPT = tag(9, VARINT)
const PACKET = tag(13, VARINT)
const KEYFRAME = tag(14, VARINT)
const headOf = (size: number) => protobuf.Writer.create().uint32(DATA).uint32(size).finish()

/**
 * Room that sealFrame needs in front of the picture (a tag and a length, and the five bytes of gRPC) and behind it (all other fields). In front it is
 * 16 bytes: malloc places what is large 16 bytes behind a page's start, and some AMD processors take three times as long to copy a page to an
 * address 8 or 16 bytes behind one, but not 32.
 */
export const FRAME_ROOM = { head: 16, tail: 1024 } as const

/**
 * The serialized VideoFrame as a part of `buffer`, which holds `size` bytes of BGR24 at `offset` with FRAME_ROOM around
 * them. Throws RangeError when the fields do not fit (a device id of a kilobyte).
 */
export function sealFrame(buffer: Buffer, offset: number, size: number, fields: FrameFields): Buffer {
  const head = headOf(size)
  const tail = encodeFields(fields)
  if (head.length > offset || offset + size + tail.length > buffer.length) throw new RangeError('the frame’s fields do not fit behind it')
  buffer.set(head, offset - head.length)
  buffer.set(tail, offset + size)
  return buffer.subarray(offset - head.length, offset + size + tail.length)
}

/** Larger than any camera's picture: what a decoder refuses before it makes room for it. */
export const PIXELS_MAX = 40_000_000

/**
 * The largest frame that a sidecar sends: an eighth of what NATS holds for a connection before it cuts it off (max_pending, 64 MiB), so that a few
 * that come together never fill it.
 */
export const RAW_FRAME_BYTES_MAX = 8 * 2 ** 20

/** How many frames of a camera may be on their way to a gateway: one in any case, more within both bounds. */
export const SEND_WINDOW = { frames: 4, bytes: 6 * 2 ** 20 } as const

/** What a sealed frame is longer than its picture, at most. */
export const SEAL_BYTES_MAX = 6 + FRAME_ROOM.tail

/** What a sealed frame says besides its picture, and where that begins. */
export type Seal = { dataOffset: number; keyframe: number; packet: number; isCorrupt: boolean }

/** What `message` says, if clients can read it and find in it one picture, as large as it says it is, and of this size. */
export function unseal(message: Uint8Array, width: number, height: number): Seal | undefined {
  const size = width * height * 3
  const head = headOf(size)
  if (head.some((byte, i) => message[i] !== byte)) return undefined
  const shape = [0, 0]
  const seal = { dataOffset: head.length, keyframe: 0, packet: 0, isCorrupt: false }
  try {
    const fields = protobuf.Reader.create(message)
    fields.pos = head.length + size
    while (fields.pos < fields.len) {
      const next = fields.uint32()
      if (next === WIDTH) shape[0] = fields.uint32()
      else if (next === HEIGHT) shape[1] = fields.uint32()
      else if (next === CORRUPT) seal.isCorrupt = fields.bool()
      else if (next === PACKET) seal.packet = Number(fields.int64())
      else if (next === KEYFRAME) seal.keyframe = Number(fields.int64())
      else if (next === DATA) return undefined
      else fields.skipType(next & 7)
    }
  } catch {
    return undefined
  }
  return shape[0] === width && shape[1] === height ? seal : undefined
}

function encodeFields(f: FrameFields): Uint8Array {
  const w = protobuf.Writer.create()
  w.uint32(WIDTH).int64(f.width)
  w.uint32(HEIGHT).int64(f.height)
  w.uint32(tag(4, VARINT)).int64(f.timestamp)
  if (f.isKeyframe) w.uint32(tag(5, VARINT)).bool(true)
  w.uint32(tag(6, VARINT)).int64(f.pts)
  w.uint32(tag(7, VARINT)).int64(f.dts)
  w.uint32(tag(8, BYTES)).string(f.frameType)
  if (f.isCorrupt) w.uint32(CORRUPT).bool(true)
  w.uint32(tag(10, FIXED64)).double(f.timeBase)
  w.uint32(tag(11, BYTES)).fork()
  for (const [name, length] of [f.height, f.width, 3].entries()) {
    w.uint32(tag(2, BYTES)).fork().uint32(tag(1, VARINT)).int64(length).uint32(tag(2, BYTES)).string(String(name)).ldelim()
  }
  w.ldelim()
  w.uint32(tag(12, BYTES)).string(f.deviceId)
  w.uint32(PACKET).int64(f.packet)
  w.uint32(KEYFRAME).int64(f.keyframe)
  w.uint32(tag(16, BYTES)).string(f.codecName)
  w.uint32(tag(17, BYTES)).string(f.pixFmt)
  return w.finish()
}
