// How MP4 describes AV1 (the binding of AV1 to the ISO base media file format 2.3, 2.4), of the sequence header (AV1 5.5). Pure.
import { BitReader } from '../bit-reader.ts'
import { u8 } from './boxes.ts'

const SEQUENCE_HEADER = 1
/** Delimiters of temporal units and padding, which MP4 does not have. */
const LEFT_OUT = [2, 15]

export type Described = { readonly type: 'av01'; readonly record: Buffer; readonly codecs: string }

/** Undefined without a sequence header. `extradata`: av1C, or OBUs. Throws RangeError. */
export function describeAv1(extradata: Buffer, key: Buffer): Described | undefined {
  const own = extradata[0] === 0x81 ? extradata.subarray(4) : extradata
  const header = [...obusIn(own), ...obusIn(key)].find(({ type }) => type === SEQUENCE_HEADER)
  if (header === undefined) return undefined
  const { profile, level, tier, depth, isMono, subX, subY, position } = sequenceHeader(header.payload)
  const colour = [tier << 7, Number(depth > 8) << 6, Number(depth === 12) << 5, Number(isMono) << 4, subX << 3, subY << 2, position]
  const record = Buffer.concat([u8(0x81), u8((profile << 5) | level), u8(colour.reduce((sum, bits) => sum | bits, 0)), u8(0), header.whole])
  const two = (value: number) => String(value).padStart(2, '0')
  return { type: 'av01', record, codecs: `av01.${profile}.${two(level)}${tier === 1 ? 'H' : 'M'}.${two(depth)}` }
}

/** A temporal unit as it stands in a file. Throws RangeError. */
export const av1Sample = (data: Buffer): Buffer[] =>
  [...obusIn(data)].filter(({ type }) => !LEFT_OUT.includes(type)).map(({ whole }) => whole)

type Obu = { readonly type: number; readonly whole: Buffer; readonly payload: Buffer }

function* obusIn(bytes: Buffer): Generator<Obu> {
  for (let at = 0; at < bytes.length;) {
    const head = bytes.readUInt8(at)
    const sizeAt = at + (head & 4 ? 2 : 1)
    let [payloadAt, size] = [sizeAt, bytes.length - sizeAt]
    if (head & 2) {
      size = 0
      for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
        if (shift > 28) throw new RangeError('malformed size of an OBU')
        byte = bytes.readUInt8(payloadAt++)
        size += (byte & 0x7f) * 2 ** shift
      }
    }
    const end = payloadAt + size
    if (end > bytes.length) throw new RangeError('beyond the OBU')
    yield { type: (head >> 3) & 15, whole: bytes.subarray(at, end), payload: bytes.subarray(payloadAt, end) }
    at = end
  }
}

/** 5.5.1, as far as the colours. */
function sequenceHeader(payload: Buffer) {
  const r = new BitReader(payload)
  const profile = r.bits(3)
  r.bits(1) // still picture
  const isReduced = r.flag()
  const { level, tier } = isReduced ? { level: r.bits(5), tier: 0 } : operatingPoint(r)
  const [widthBits, heightBits] = [r.bits(4) + 1, r.bits(4) + 1]
  r.bits(widthBits)
  r.bits(heightBits)
  if (!isReduced && r.flag()) r.bits(7) // frame ids
  r.bits(3)
  if (!isReduced) skipTools(r)
  r.bits(3)
  return { profile, level, tier, ...colours(r, profile) }
}

/** The first one's, which is that of the whole stream; all are read. */
function operatingPoint(r: BitReader): { level: number; tier: number } {
  let delayBits: number | undefined
  if (r.flag()) {
    r.bits(32)
    r.bits(32)
    if (r.flag()) r.ue() // ticks per picture
    if (r.flag()) {
      delayBits = r.bits(5) + 1
      r.bits(32)
      r.bits(10)
    }
  }
  const hasDisplayDelay = r.flag()
  const points = Array.from({ length: r.bits(5) + 1 }, () => {
    r.bits(12)
    const level = r.bits(5)
    const tier = level > 7 ? r.bits(1) : 0
    if (delayBits !== undefined && r.flag()) {
      r.bits(delayBits)
      r.bits(delayBits)
      r.bits(1)
    }
    if (hasDisplayDelay && r.flag()) r.bits(4)
    return { level, tier }
  })
  return points[0] ?? { level: 31, tier: 0 }
}

function skipTools(r: BitReader): void {
  r.bits(4)
  const hasOrder = r.flag()
  if (hasOrder) r.bits(2)
  const screenContent = r.flag() ? 2 : r.bits(1)
  if (screenContent > 0 && !r.flag()) r.bits(1) // integer motion vectors
  if (hasOrder) r.bits(3)
}

/** 5.5.2 */
function colours(r: BitReader, profile: number) {
  const isHigh = r.flag()
  const depth = isHigh ? (profile === 2 && r.flag() ? 12 : 10) : 8
  const isMono = profile !== 1 && r.flag()
  const [primaries, transfer, matrix] = r.flag() ? [r.bits(8), r.bits(8), r.bits(8)] : [2, 2, 2]
  if (isMono) return { depth, isMono, subX: 1, subY: 1, position: 0 }
  if (primaries === 1 && transfer === 13 && matrix === 0) return { depth, isMono, subX: 0, subY: 0, position: 0 }
  r.bits(1) // range
  const subX = profile === 0 ? 1 : profile === 1 ? 0 : depth === 12 ? r.bits(1) : 1
  const subY = profile === 0 ? 1 : profile === 2 && depth === 12 && subX === 1 ? r.bits(1) : 0
  return { depth, isMono, subX, subY, position: subX === 1 && subY === 1 ? r.bits(2) : 0 }
}
