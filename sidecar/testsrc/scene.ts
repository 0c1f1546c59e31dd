// What the camera that is none shows: colour bars, a square that moves, the time of day (UTC), and in the bottom row the frame's number in
// binary. All of it is made of squares of one colour.

/** Luma, and chroma, which must be even: what the encoder keeps exactly. */
export type Colour = readonly [y: number, cb: number, cr: number]

const BLACK: Colour = [16, 128, 128]
const WHITE: Colour = [234, 128, 128]
/** Bars of 75 %, by BT.601. */
const BARS: readonly Colour[] = [
  [180, 128, 128],
  [162, 44, 142],
  [131, 156, 44],
  [112, 72, 58],
  [84, 184, 198],
  [65, 100, 212],
  [35, 212, 114],
  [48, 128, 128],
]

/** Three squares by five, row by row. */
const DIGITS = [
  '111101101101111',
  '010110010010111',
  '111001111100111',
  '111001111001111',
  '101101111001001',
  '111100111001111',
  '111100111101111',
  '111001001001001',
  '111101111101111',
  '111101111001111',
]
const COLON = '000010000010000'
const GLYPH = { columns: 3, rows: 5 } as const

/** The squares of one frame, row by row. `elapsedMs`: since the first frame. */
export function scene(columns: number, rows: number, number: number, elapsedMs: number, now: Date): Colour[] {
  const squares = Array.from({ length: columns * rows }, (_, at) => BARS[Math.floor(((at % columns) * BARS.length) / columns)] ?? BLACK)
  const fill = (x: number, y: number, width: number, height: number, colour: Colour) => {
    for (let row = y; row < y + height; row++) squares.fill(colour, row * columns + x, row * columns + x + width)
  }
  const side = Math.max(1, Math.floor(Math.min(columns, rows) / 6))
  const [acrossMax, downMax] = [columns - side, Math.max(0, rows - 1 - side)]
  fill(bounce(elapsedMs, 4_000, acrossMax), bounce(elapsedMs, 6_400, downMax), side, side, WHITE)
  drawTime(fill, columns, rows, now)
  for (let bit = 0; bit < columns; bit++) {
    squares[columns * rows - 1 - bit] = Math.floor(number / 2 ** bit) % 2 === 1 ? WHITE : BLACK
  }
  return squares
}

/** From 0 to `max` and back in `periodMs`. */
function bounce(elapsedMs: number, periodMs: number, max: number): number {
  const phase = (elapsedMs % periodMs) / periodMs
  return Math.round(max * (phase < 0.5 ? 2 * phase : 2 - 2 * phase))
}

type Fill = (x: number, y: number, width: number, height: number, colour: Colour) => void

/** As much of the time as there is room for, as large as there is room for. */
function drawTime(fill: Fill, columns: number, rows: number, now: Date): void {
  const time = now.toISOString().slice(11, 19)
  const text = [time, time.slice(3), time.slice(6)].find(candidate => widthOf(candidate) <= columns)
  if (text === undefined || rows < GLYPH.rows + 3) return
  const scale = Math.floor(Math.min(columns / widthOf(text), (rows - 1) / (GLYPH.rows + 2)))
  const [width, height] = [widthOf(text) * scale, (GLYPH.rows + 2) * scale]
  const [left, top] = [Math.floor((columns - width) / 2), Math.floor((rows - 1 - height) / 2)]
  fill(left, top, width, height, BLACK)
  for (const [place, letter] of Array.from(text).entries()) {
    const glyph = DIGITS[Number(letter)] ?? COLON
    for (const [at, dot] of Array.from(glyph).entries()) {
      if (dot === '0') continue
      const x = 1 + place * (GLYPH.columns + 1) + (at % GLYPH.columns)
      const y = 1 + Math.floor(at / GLYPH.columns)
      fill(left + x * scale, top + y * scale, scale, scale, WHITE)
    }
  }
}

/** In squares, with a margin of one on each side of each letter. */
const widthOf = (text: string): number => text.length * (GLYPH.columns + 1) + 1
