// Answers that carry a frame, serialized around its pixels: they are copied once, into the message that is sent.
import protobuf from 'protobufjs/minimal.js'
import { PictureMemory } from '../../../common/media/frame-memory.ts'
import { frameInPlace } from '../../../common/patches/grpc-framing.ts'
import { frameId } from '../../../proto/frame-id.ts'
import { PIXEL_FORMATS, strides, type Geometry, type LiveFrame } from '../../../proto/rendition.ts'

/** What is said of a frame besides the frame. */
export type Said = {
  /** As calls name it. */
  readonly camera: string
  readonly skipped: number
  readonly gap: boolean
  /** 0 where there is none. */
  readonly wish: number
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const tag = (field: number, wireType: number) => (field << 3) | wireType
/** Of the frame in WatchResponse, ReplayResponse and SnapshotResponse alike. */
const FRAME = tag(1, BYTES)
const DATA = tag(15, BYTES)
/** In front of the message, for gRPC: see frameInPlace. */
const PREFIX = 5
/** CameraTime.Source. */
const SOURCE = { none: 1, rtcp: 2 } as const
/** Stream. */
const STREAM = { main: 1, sub: 2 } as const
const UINT32_MAX = 2 ** 32 - 1

/** A message, and the buffer that it lies in. */
export type Encoded = { readonly message: Buffer; readonly buffer: Buffer }

/** The answers of one call. A buffer may be used again once its message has been sent. */
export class FrameEncoder {
  readonly #memory = new PictureMemory()

  /** A WatchResponse, ReplayResponse or SnapshotResponse with the frame as it is handed over at `nowMs` (Date.now()). */
  encode(frame: LiveFrame, said: Said, nowMs: number): Encoded {
    const { data } = frame
    const head = headOf(frame, said, nowMs)
    const outer = protobuf.Writer.create()
      .uint32(FRAME)
      .uint32(head.length + data.length)
      .finish()
    const size = outer.length + head.length + data.length
    const buffer = this.#memory.take(roundedUp(PREFIX + size))
    buffer.set(outer, PREFIX)
    buffer.set(head, PREFIX + outer.length)
    buffer.set(data, PREFIX + outer.length + head.length)
    const message = buffer.subarray(PREFIX, PREFIX + size)
    frameInPlace(message)
    return { message, buffer }
  }

  sent({ buffer }: Encoded): void {
    this.#memory.give(buffer)
  }
}

/** Heads differ by a few bytes from frame to frame; buffers of one size are used again. */
const roundedUp = (size: number): number => Math.ceil(size / 4096) * 4096

/** All fields, and the tag and length of `data`, which comes last. */
function headOf(frame: LiveFrame, { camera, skipped, gap, wish }: Said, nowMs: number): Uint8Array {
  const { timestamp, camera: cameraTime, key, corrupt, width, height, format, geometry, data, sub } = frame
  const w = protobuf.Writer.create()
  w.uint32(tag(1, BYTES)).string(camera)
  w.uint32(tag(2, BYTES)).string(frameId(frame))
  w.uint32(tag(3, VARINT)).int64(timestamp)
  w.uint32(tag(4, VARINT)).uint32(ageMs(frame, nowMs))
  if (skipped > 0) w.uint32(tag(5, VARINT)).uint64(skipped)
  if (gap) w.uint32(tag(6, VARINT)).bool(true)
  if (key) w.uint32(tag(7, VARINT)).bool(true)
  if (corrupt) w.uint32(tag(8, VARINT)).bool(true)
  w.uint32(tag(9, VARINT)).uint32(width).uint32(tag(10, VARINT)).uint32(height)
  w.uint32(tag(11, VARINT)).uint32(PIXEL_FORMATS.indexOf(format) + 1)
  w.uint32(tag(12, BYTES)).fork()
  for (const stride of strides(format, width)) w.uint32(stride)
  w.ldelim()
  w.uint32(tag(13, BYTES)).fork()
  writeGeometry(w, geometry)
  w.ldelim()
  if (wish > 0) w.uint32(tag(14, VARINT)).uint32(wish)
  w.uint32(tag(16, BYTES)).fork()
  if (cameraTime !== undefined) w.uint32(tag(1, VARINT)).int64(cameraTime.ms)
  w.uint32(tag(2, VARINT)).uint32(cameraTime === undefined ? SOURCE.none : SOURCE.rtcp)
  if (cameraTime !== undefined) w.uint32(tag(3, VARINT)).uint32(cameraTime.uncertaintyMs)
  w.ldelim()
  w.uint32(tag(17, VARINT)).uint32(sub === true ? STREAM.sub : STREAM.main)
  return w.uint32(DATA).uint32(data.length).finish()
}

function writeGeometry(w: protobuf.Writer, { source, region, scaleX, scaleY, padLeft, padTop }: Geometry): void {
  w.uint32(tag(1, VARINT)).uint32(source.width).uint32(tag(2, VARINT)).uint32(source.height)
  w.uint32(tag(3, BYTES)).fork()
  for (const [i, value] of [region.x, region.y, region.width, region.height].entries()) w.uint32(tag(i + 1, VARINT)).uint32(value)
  w.ldelim()
  w.uint32(tag(4, FIXED64)).double(scaleX).uint32(tag(5, FIXED64)).double(scaleY)
  w.uint32(tag(6, VARINT)).uint32(padLeft).uint32(tag(7, VARINT)).uint32(padTop)
}

/** Not negative, where the clock of the camera's node is ahead. */
const ageMs = ({ timestamp }: LiveFrame, nowMs: number): number => Math.min(UINT32_MAX, Math.max(0, Math.round(nowMs - timestamp)))
