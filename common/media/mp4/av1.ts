// How MP4 describes AV1 (the binding of AV1 to the ISO base media file format 2.3, 2.4), of the sequence header (AV1 5.5). Pure.
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

class Bits {
  readonly #bytes: Buffer
  #bit = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  take(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++, this.#bit++) {
      value = value * 2 + ((this.#bytes.readUInt8(this.#bit >> 3) >> (7 - (this.#bit & 7))) & 1)
    }
    return value
  }

  flag(): boolean {
    return this.take(1) === 1
  }

  /** uvlc(): 4.10.3 */
  skipVariable(): void {
    let zeros = 0
    while (!this.flag()) if (++zeros > 32) throw new RangeError('malformed number')
    this.take(zeros)
  }
}

/** 5.5.1, as far as the colours. */
function sequenceHeader(payload: Buffer) {
  const bits = new Bits(payload)
  const profile = bits.take(3)
  bits.take(1) // still picture
  const isReduced = bits.flag()
  const { level, tier } = isReduced ? { level: bits.take(5), tier: 0 } : operatingPoint(bits)
  const [widthBits, heightBits] = [bits.take(4) + 1, bits.take(4) + 1]
  bits.take(widthBits)
  bits.take(heightBits)
  if (!isReduced && bits.flag()) bits.take(7) // frame ids
  bits.take(3)
  if (!isReduced) skipTools(bits)
  bits.take(3)
  return { profile, level, tier, ...colours(bits, profile) }
}

/** The first one's, which is that of the whole stream; all are read. */
function operatingPoint(bits: Bits): { level: number; tier: number } {
  let delayBits: number | undefined
  if (bits.flag()) {
    bits.take(32)
    bits.take(32)
    if (bits.flag()) bits.skipVariable() // ticks per picture
    if (bits.flag()) {
      delayBits = bits.take(5) + 1
      bits.take(32)
      bits.take(10)
    }
  }
  const hasDisplayDelay = bits.flag()
  const points = Array.from({ length: bits.take(5) + 1 }, () => {
    bits.take(12)
    const level = bits.take(5)
    const tier = level > 7 ? bits.take(1) : 0
    if (delayBits !== undefined && bits.flag()) {
      bits.take(delayBits)
      bits.take(delayBits)
      bits.take(1)
    }
    if (hasDisplayDelay && bits.flag()) bits.take(4)
    return { level, tier }
  })
  return points[0] ?? { level: 31, tier: 0 }
}

function skipTools(bits: Bits): void {
  bits.take(4)
  const hasOrder = bits.flag()
  if (hasOrder) bits.take(2)
  const screenContent = bits.flag() ? 2 : bits.take(1)
  if (screenContent > 0 && !bits.flag()) bits.take(1) // integer motion vectors
  if (hasOrder) bits.take(3)
}

/** 5.5.2 */
function colours(bits: Bits, profile: number) {
  const isHigh = bits.flag()
  const depth = isHigh ? (profile === 2 && bits.flag() ? 12 : 10) : 8
  const isMono = profile !== 1 && bits.flag()
  const [primaries, transfer, matrix] = bits.flag() ? [bits.take(8), bits.take(8), bits.take(8)] : [2, 2, 2]
  if (isMono) return { depth, isMono, subX: 1, subY: 1, position: 0 }
  if (primaries === 1 && transfer === 13 && matrix === 0) return { depth, isMono, subX: 0, subY: 0, position: 0 }
  bits.take(1) // range
  const subX = profile === 0 ? 1 : profile === 1 ? 0 : depth === 12 ? bits.take(1) : 1
  const subY = profile === 0 ? 1 : profile === 2 && depth === 12 && subX === 1 ? bits.take(1) : 0
  return { depth, isMono, subX, subY, position: subX === 1 && subY === 1 ? bits.take(2) : 0 }
}
