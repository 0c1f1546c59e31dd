// What crosses NATS: packets (sidecar → packet stream) and frames (sidecar → gateways that listen). The payload is the
// thing itself, the headers say what it is. Decoding is total: a checked value, or a BadMessage to be counted.
import { headers as newHeaders, type MsgHdrs } from 'nats'
import * as v from 'valibot'
import { PIXELS_MAX, SEAL_BYTES_MAX, unseal, type Seal } from './frame.ts'
import { frameBytes, PIXEL_FORMATS, type LiveFrame } from './rendition.ts'
import { Codec } from './state.ts'
import { HEADER } from './subjects.ts'

const WIRE_VERSION = '1'
/** Beyond this no packet or frame is believed: the largest picture there is. */
const SIZE_MAX = PIXELS_MAX * 3 + SEAL_BYTES_MAX
/** Of one frame. */
const JPEG_MAX = 64 * 2 ** 20
const PARTS_MAX = 1024
const TEN_YEARS_MS = 10 * 365.25 * 86_400_000

export type BadReason =
  'empty' | 'header' | 'version' | 'size' | 'camera' | 'sequence' | 'timestamp' | 'shape' | 'encoding' | 'incomplete' | 'reply'

/** A message that no honest peer of this version sends; `reason` is the label of `bad_messages_total`. */
export class BadMessage extends Error {
  readonly reason: BadReason
  constructor(reason: BadReason, message: string) {
    super(message)
    this.reason = reason
  }
}

const integer = v.pipe(v.number(), v.safeInteger())
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const flag = v.picklist([0, 1])

/** A time of the camera's own clock, in ms since the epoch. */
export const CameraTime = v.object({ ms: integer, uncertaintyMs: natural })
export type CameraTime = v.InferOutput<typeof CameraTime>

const PacketHeader = v.object({
  /** The epoch's name: ms since the epoch when it began. */
  epoch: natural,
  /** Place in its GOP, 0 at the keyframe. */
  index: natural,
  /** Keyframes since the epoch began, this GOP's included. */
  keyframe: natural,
  pts: integer,
  dts: integer,
  /** Capture time, ms since the epoch. */
  timestamp: integer,
  camera: v.optional(CameraTime),
  key: flag,
  corrupt: flag,
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(SIZE_MAX)),
  /** Stream sequence of the GOP's keyframe (its first part); 0 on the keyframe itself. */
  keySeq: natural,
})

/** One packet of the compressed stream, as every process sees it. Times in the codec's time base, timestamp in ms. */
export type Packet = {
  /** It is of the camera's substream. */
  sub?: true | undefined
  epoch: number
  index: number
  keyframe: number
  pts: number
  dts: number
  timestamp: number
  /** When the camera captured it by its own clock, where the camera tells. */
  camera?: CameraTime | undefined
  key: boolean
  corrupt: boolean
  data: Uint8Array
}
/** A packet read from its stream; a keyframe brings its epoch's codec. */
export type StoredPacket = Packet & { keySeq: number; codec?: Codec }

const FrameHeader = v.object({
  epoch: natural,
  /** Rises with every frame a sidecar publishes; with epoch, the order of frames. */
  seq: natural,
  timestamp: integer,
  camera: v.optional(CameraTime),
  key: flag,
  width: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  height: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  /** Of the payload: a serialized VideoFrame. */
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(SIZE_MAX)),
})

/** A decoded frame: `message` is a serialized VideoFrame, forwarded to clients as it is. */
export type Frame = {
  epoch: number
  seq: number
  timestamp: number
  camera?: CameraTime | undefined
  key: boolean
  width: number
  height: number
  message: Buffer
  /** Where the memory of `message` is used again: who reads it later than now holds it until then. */
  lease?: MemoryLease | undefined
}

const fraction = v.pipe(v.number(), v.finite(), v.minValue(0))
const rectangle = { x: natural, y: natural, width: natural, height: natural }

const RenditionHeader = v.object({
  ...FrameHeader.entries,
  /** Its place, as a Packet has it. */
  keyframe: natural,
  index: natural,
  corrupt: flag,
  gap: flag,
  format: v.picklist(PIXEL_FORMATS),
  geometry: v.object({
    source: v.object({ width: natural, height: natural }),
    region: v.object(rectangle),
    scaleX: fraction,
    scaleY: fraction,
    padLeft: natural,
    padTop: natural,
  }),
})

export type MemoryLease = {
  hold(): void
  /** By each who holds it, once. */
  release(): void
  /** Instead of releasing it: somebody may go on reading, so that the memory is left to the garbage collector. */
  forfeit(): void
}

export type Outgoing = { headers: MsgHdrs; payload: Uint8Array }
/** What is read of a message as nats.js delivers it. */
export type Incoming = { headers?: MsgHdrs | undefined; data: Uint8Array }

/** The messages that carry one packet: one, unless it exceeds `payloadMax` bytes. A keyframe needs its codec. */
export function packetMessages(uid: string, packet: Packet, keySeq: number, codec: Codec, payloadMax: number): Outgoing[] {
  const { data, key, corrupt, sub: _, ...rest } = packet
  const header = { ...rest, key: key ? 1 : 0, corrupt: corrupt ? 1 : 0, size: data.length, keySeq }
  const extra = key ? { [HEADER.codec]: JSON.stringify(codec) } : {}
  return inParts({ [HEADER.camera]: uid, [HEADER.packet]: JSON.stringify(header), ...extra }, data, payloadMax)
}

/** The messages that carry one frame: one, unless it exceeds `payloadMax` bytes. */
export function frameMessages(uid: string, frame: Frame, payloadMax: number): Outgoing[] {
  const { message, epoch, seq, timestamp, camera, key, width, height } = frame
  const header = { epoch, seq, timestamp, camera, key: key ? 1 : 0, width, height, size: message.length }
  return inParts({ [HEADER.camera]: uid, [HEADER.frame]: JSON.stringify(header) }, message, payloadMax)
}

/** The messages that carry one frame of a rendition. `seq` rises with each frame that the sidecar publishes. */
export function renditionMessages(uid: string, frame: LiveFrame, seq: number, payloadMax: number): Outgoing[] {
  const { epoch, timestamp, camera, key, width, height, keyframe, index, corrupt, gap, format, geometry, data } = frame
  const place = { epoch, seq, timestamp, camera, keyframe, index, width, height, format, geometry, size: data.length }
  const header = { ...place, key: key ? 1 : 0, corrupt: corrupt ? 1 : 0, gap: gap ? 1 : 0 }
  return inParts({ [HEADER.camera]: uid, [HEADER.frame]: JSON.stringify(header) }, data, payloadMax)
}

function inParts(fields: Record<string, string>, payload: Uint8Array, payloadMax: number): Outgoing[] {
  const count = Math.max(1, Math.ceil(payload.length / payloadMax))
  return Array.from({ length: count }, (_, i) => {
    const headers = newHeaders() // fresh: to append is to set, at half the cost
    headers.append(HEADER.version, WIRE_VERSION)
    for (const [name, value] of Object.entries(fields)) headers.append(name, value)
    if (count > 1) headers.append(HEADER.part, `${i + 1}/${count}`)
    return { headers, payload: payload.subarray(i * payloadMax, (i + 1) * payloadMax) }
  })
}

/** What a stored packet's headers say, where its bytes are not wanted; `part` counts from 1. */
export type PacketSummary = { epoch: number; index: number; timestamp: number; key: boolean; keySeq: number; part: number }

/** Throws BadMessage. */
export function packetSummary(uid: string, headers: MsgHdrs | undefined): PacketSummary {
  const { epoch, index, timestamp, key, keySeq } = checkHeader(uid, headers, HEADER.packet, PacketHeader)
  return { epoch, index, timestamp, key: key === 1, keySeq, part: partOf(headers)?.index ?? 1 }
}

/** Puts the messages of one camera's subject together again. One per subject and direction; holds at most one payload. */
export class Reassembly {
  readonly #uid: string
  #open: { key: string; count: number; size: number; bytes: number; parts: Uint8Array[] } | undefined

  constructor(uid: string) {
    this.#uid = uid
  }

  /** The packet this message completes; undefined while parts are missing. Throws BadMessage. */
  packet(message: Incoming): StoredPacket | undefined {
    const { key, corrupt, size, ...rest } = this.#header(message, HEADER.packet, PacketHeader)
    const data = this.#join(message, size)
    if (data === undefined) return undefined
    const codec = key === 1 ? { codec: parse(Codec, message.headers?.get(HEADER.codec)) } : {}
    return { ...rest, key: key === 1, corrupt: corrupt === 1, data, ...codec }
  }

  /** The frame this message completes; undefined while parts are missing. Throws BadMessage. */
  frame(message: Incoming): (Frame & { seal: Seal }) | undefined {
    const { key, size, ...rest } = this.#header(message, HEADER.frame, FrameHeader)
    const { width, height } = rest
    const besides = size - width * height * 3
    if (besides < 0 || besides > SEAL_BYTES_MAX) throw new BadMessage('shape', `${size} bytes for ${width}×${height}`)
    const data = this.#join(message, size)
    if (data === undefined) return undefined
    const seal = unseal(data, width, height)
    if (seal === undefined) throw new BadMessage('shape', `no frame of ${width}×${height}`)
    return { ...rest, key: key === 1, seal, message: Buffer.from(data.buffer, data.byteOffset, data.length) }
  }

  /** The frame of a rendition that this message completes; undefined while parts are missing. Throws BadMessage. */
  rendition(message: Incoming): (LiveFrame & { seq: number }) | undefined {
    const { key, corrupt, gap, size, ...rest } = this.#header(message, HEADER.frame, RenditionHeader)
    const { format, width, height } = rest
    const expected = frameBytes(format, width, height)
    if (expected === undefined ? size > JPEG_MAX : size !== expected) {
      throw new BadMessage('shape', `${size} bytes for ${format} of ${width}×${height}`)
    }
    const data = this.#join(message, size)
    if (data === undefined) return undefined
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length)
    return { ...rest, key: key === 1, corrupt: corrupt === 1, gap: gap === 1, data: bytes, message: undefined, lease: undefined }
  }

  #header<T extends { timestamp: number }>(message: Incoming, name: string, schema: v.GenericSchema<unknown, T>): T {
    if (message.data.length === 0) throw new BadMessage('empty', 'empty message')
    return checkHeader(this.#uid, message.headers, name, schema)
  }

  #join(message: Incoming, size: number): Uint8Array | undefined {
    const part = partOf(message.headers)
    if (part === undefined) {
      this.#open = undefined
      if (message.data.length !== size) throw new BadMessage('size', `${message.data.length} bytes, ${size} declared`)
      return message.data
    }
    const { index, count } = part
    const key = `${message.headers?.get(HEADER.packet)}${message.headers?.get(HEADER.frame)}`
    if (index === 1) this.#open = { key, count, size, bytes: 0, parts: [] }
    const open = this.#open
    if (open === undefined || open.key !== key || open.count !== count || open.parts.length !== index - 1) {
      this.#open = undefined
      throw new BadMessage('incomplete', `part ${index}/${count} without the parts before it`)
    }
    open.parts.push(message.data)
    open.bytes += message.data.length
    if (open.bytes > size || (index === count && open.bytes !== size)) {
      this.#open = undefined
      throw new BadMessage('size', `parts of ${open.bytes} bytes, ${size} declared`)
    }
    if (index < count) return undefined
    this.#open = undefined
    return Buffer.concat(open.parts, size)
  }
}

/** A message's place among those of one payload, from 1 on; undefined where it is all of it. */
function partOf(headers: MsgHdrs | undefined): { index: number; count: number } | undefined {
  const text = headers?.get(HEADER.part)
  if (text === undefined || text === '') return undefined
  const match = /^(\d{1,4})\/(\d{1,4})$/.exec(text)
  const index = Number(match?.[1])
  const count = Number(match?.[2])
  if (match === null || index < 1 || index > count || count > PARTS_MAX) throw new BadMessage('header', 'malformed part')
  return { index, count }
}

function checkHeader<T extends { timestamp: number }>(
  uid: string,
  headers: MsgHdrs | undefined,
  name: string,
  schema: v.GenericSchema<unknown, T>,
): T {
  const version = headers?.get(HEADER.version)
  if (version !== WIRE_VERSION) throw new BadMessage('version', `wire version ${JSON.stringify(version ?? null)}`)
  if (headers?.get(HEADER.camera) !== uid) throw new BadMessage('camera', 'another camera’s uid')
  const value = parse(schema, headers.get(name))
  if (Math.abs(value.timestamp - Date.now()) > TEN_YEARS_MS) throw new BadMessage('timestamp', `timestamp ${value.timestamp}`)
  return value
}

function parse<T>(schema: v.GenericSchema<unknown, T>, text: string | undefined): T {
  if (text === undefined || text === '') throw new BadMessage('header', 'header missing')
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new BadMessage('header', 'header is not JSON')
  }
  const result = v.safeParse(schema, json)
  if (result.success) return result.output
  const { nested } = v.flatten(result.issues)
  throw new BadMessage('header', nested === undefined ? 'header is no object' : JSON.stringify(nested))
}

/** A KV value or small JSON message, checked. Throws BadMessage. */
export function parseJson<T>(schema: v.GenericSchema<unknown, T>, bytes: Uint8Array): T {
  if (bytes.length === 0) throw new BadMessage('empty', 'empty message')
  if (bytes.length > 1_048_576) throw new BadMessage('size', `${bytes.length} bytes of JSON`)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new BadMessage('encoding', 'not UTF-8')
  }
  return parse(schema, text)
}
