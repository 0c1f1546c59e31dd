// H.264 of frames that are made of squares, each of one colour: what it takes to write them, and no more. Each square is one macroblock, so
// there is no transform to compute and nothing is lost. Constrained Baseline, CAVLC; the numbers in brackets are sections of ITU-T H.264.
import type { Colour } from './scene.ts'

/** A macroblock's side in pixels. */
export const SQUARE = 16

/** With this quantizer a luma level of 1 is a step of 1, and a chroma level of 1 a step of 2 (8.5.10, 8.5.11). */
const QP = 28
const START_CODE = [0, 0, 0, 1]
const UNIT = { slice: 0x61, keySlice: 0x65, sequence: 0x67, picture: 0x68 } as const
const SLICE = { p: 5, i: 7 } as const
/** Macroblock types of P slices stand in front of those of I slices (table 7-13). */
const INTRA_IN_P = 5
const FRAME_NUMBER_BITS = 8

/** What a macroblock is predicted from: Intra_16x16's mode, and the same for chroma (tables 8-4, 8-5). */
const FROM = { above: { luma: 0, chroma: 2 }, left: { luma: 1, chroma: 1 }, nothing: { luma: 2, chroma: 0 } } as const
const NOTHING: Colour = [128, 128, 128]

/** Level, macroblocks a frame, macroblocks a second (table A-1). */
const LEVELS = [
  [10, 99, 1_485],
  [30, 1_620, 40_500],
  [31, 3_600, 108_000],
  [40, 8_192, 245_760],
  [51, 36_864, 983_040],
  [52, 36_864, 2_073_600],
  [60, 139_264, 4_177_920],
] as const

export type Size = { width: number; height: number }
export const columnsOf = ({ width }: Size): number => Math.ceil(width / SQUARE)
export const rowsOf = ({ height }: Size): number => Math.ceil(height / SQUARE)

/** Writes one stream. */
export class SquaresEncoder {
  /** The parameter sets, Annex B. */
  readonly extradata: Buffer
  readonly #columns: number
  #before: readonly Colour[] = []
  #frame = 0
  #keyframes = 0

  constructor(size: Size, rate: number) {
    this.#columns = columnsOf(size)
    this.extradata = Buffer.concat([unit(UNIT.sequence, sequence(size, rate)), unit(UNIT.picture, picture())])
  }

  /** One frame, Annex B. `squares`: row by row. Without `key` it holds what has changed since the frame before. */
  encode(squares: readonly Colour[], key: boolean): Buffer {
    if (key) this.#frame = 0
    const bits = new BitWriter()
    header(bits, key, this.#frame, this.#keyframes)
    let skipped = 0
    for (let at = 0; at < squares.length; at++) {
      if (!key && squares[at] === this.#before[at]) {
        skipped++
        continue
      }
      if (!key) bits.ue(skipped)
      skipped = 0
      this.#macroblock(bits, squares, at, key ? 0 : INTRA_IN_P)
    }
    if (skipped > 0) bits.ue(skipped)
    this.#before = squares
    this.#frame = (this.#frame + 1) % 2 ** FRAME_NUMBER_BITS
    if (key) this.#keyframes++
    return unit(key ? UNIT.keySlice : UNIT.slice, bits)
  }

  /** Predicted from the macroblock to the left, which has one colour too: what remains is a difference for each plane. */
  #macroblock(bits: BitWriter, squares: readonly Colour[], at: number, typesBefore: number): void {
    const [y, cb, cr] = squares[at] ?? NOTHING
    const from = at % this.#columns > 0 ? FROM.left : at > 0 ? FROM.above : FROM.nothing
    const neighbour = from === FROM.left ? squares[at - 1] : squares[at - this.#columns]
    const [y0, cb0, cr0] = neighbour ?? NOTHING
    const hasChroma = cb !== cb0 || cr !== cr0
    bits.ue(typesBefore + 1 + from.luma + (hasChroma ? 4 : 0))
    bits.ue(from.chroma)
    bits.se(0) // the quantizer stays
    coefficient(bits, y - y0, LUMA_TOKENS)
    if (!hasChroma) return
    coefficient(bits, (cb - cb0) / 2, CHROMA_TOKENS)
    coefficient(bits, (cr - cr0) / 2, CHROMA_TOKENS)
  }
}

/** How many coefficients there are: none; one of ±1; one that is larger (table 9-5). */
type Tokens = { none: string; one: string; larger: string }
const LUMA_TOKENS: Tokens = { none: '1', one: '01', larger: '000101' }
const CHROMA_TOKENS: Tokens = { none: '01', one: '1', larger: '000111' }

/** A block of which at most the first coefficient is not 0 (9.2). */
function coefficient(bits: BitWriter, level: number, tokens: Tokens): void {
  if (level === 0) return bits.code(tokens.none)
  const isNegative = level < 0 ? 1 : 0
  if (Math.abs(level) === 1) {
    bits.code(tokens.one)
    bits.bits(isNegative, 1)
  } else {
    bits.code(tokens.larger)
    const code = 2 * Math.abs(level) - 4 + isNegative
    if (code < 14) bits.bits(1, code + 1)
    else if (code < 30) {
      bits.bits(1, 15)
      bits.bits(code - 14, 4)
    } else {
      bits.bits(1, 16)
      bits.bits(code - 30, 12)
    }
  }
  bits.code('1') // no zeros in front of it
}

/** 7.3.3 */
function header(bits: BitWriter, key: boolean, frame: number, keyframes: number): void {
  bits.ue(0) // the first macroblock
  bits.ue(key ? SLICE.i : SLICE.p)
  bits.ue(0) // picture parameter set
  bits.bits(frame, FRAME_NUMBER_BITS)
  if (key) {
    bits.ue(keyframes % 2) // neighbouring keyframes differ in it
    bits.code('00') // earlier frames are shown; this one is a short-term reference
  } else bits.code('000') // one reference, in its order, which slides
  bits.se(0) // the quantizer is the picture parameter set's
  bits.ue(1) // no deblocking filter: squares have edges
}

/** 7.3.2.1.1 */
function sequence(size: Size, rate: number): BitWriter {
  const [columns, rows] = [columnsOf(size), rowsOf(size)]
  const fits = LEVELS.find(([, perFrame, perSecond]) => columns * rows <= perFrame && columns * rows * rate <= perSecond)
  const bits = new BitWriter()
  bits.bits(66, 8) // Baseline
  bits.bits(0b1100_0000, 8) // … constrained
  bits.bits((fits ?? LEVELS[6])[0], 8)
  bits.ue(0)
  bits.ue(FRAME_NUMBER_BITS - 4)
  bits.ue(2) // frames are shown in the order in which they come
  bits.ue(1) // reference frames
  bits.bits(0, 1)
  bits.ue(columns - 1)
  bits.ue(rows - 1)
  bits.code('111') // frames, not fields; direct_8x8_inference; cropped
  for (const crop of [0, (columns * SQUARE - size.width) / 2, 0, (rows * SQUARE - size.height) / 2]) bits.ue(crop)
  bits.code('1') // usability information, E.1.1
  bits.code('0000') // no aspect ratio, overscan, signal type, chroma location
  bits.code('1')
  bits.bits(1, 32)
  bits.bits(2 * rate, 32) // in fields a second
  bits.code('1') // fixed
  bits.code('000') // no hypothetical decoder's parameters, no picture structure
  bits.code('11') // restrictions, of which the first is none
  for (const value of [0, 0, 16, 16, 0, 1]) bits.ue(value) // … no reordering, one frame held
  return bits
}

/** 7.3.2.2 */
function picture(): BitWriter {
  const bits = new BitWriter()
  bits.ue(0)
  bits.ue(0)
  bits.code('00') // CAVLC
  for (let n = 0; n < 3; n++) bits.ue(0) // one slice group, one reference in each list
  bits.code('000') // no weighted prediction
  bits.se(QP - 26)
  bits.se(0)
  bits.se(0)
  bits.code('100') // slices say how they are deblocked; intra prediction from anything
  return bits
}

/** A NAL unit behind its start code (7.3.1). */
function unit(type: number, bits: BitWriter): Buffer {
  const bytes = [...START_CODE, type]
  let zeros = 0
  for (const byte of bits.bytes()) {
    if (zeros === 2 && byte <= 3) {
      bytes.push(3)
      zeros = 0
    }
    bytes.push(byte)
    zeros = byte === 0 ? zeros + 1 : 0
  }
  return Buffer.from(bytes)
}

class BitWriter {
  readonly #bytes: number[] = []
  #open = 0
  #filled = 0

  bits(value: number, count: number): void {
    for (let bit = count - 1; bit >= 0; bit--) {
      this.#open = (this.#open << 1) | (Math.floor(value / 2 ** bit) & 1)
      if (++this.#filled < 8) continue
      this.#bytes.push(this.#open)
      this.#open = this.#filled = 0
    }
  }

  /** Bits as text. */
  code(text: string): void {
    this.bits(Number.parseInt(text, 2), text.length)
  }

  /** ue(v): Exp-Golomb, 9.1. */
  ue(value: number): void {
    const length = Math.floor(Math.log2(value + 1))
    this.bits(value + 1, 2 * length + 1)
  }

  /** se(v) */
  se(value: number): void {
    this.ue(value > 0 ? 2 * value - 1 : -2 * value)
  }

  /** All that was written, and the mark of its end. */
  bytes(): readonly number[] {
    this.bits(1, 1)
    if (this.#filled > 0) this.bits(0, 8 - this.#filled)
    return this.#bytes
  }
}
