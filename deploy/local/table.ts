// The screen: on a terminal a table that is redrawn, with lines passing above it; elsewhere a line per change.
import type { WriteStream } from 'node:tty'
import { printable } from '../../common/text.ts'
import { rowKey, rowLine, tableLines, type Row } from './rows.ts'

export type Screen = Disposable & {
  /** A line that stays. */
  say(line: string): void
  /** What is true now; `below` stands under the table. */
  show(rows: readonly Row[], below: readonly string[]): void
}

export const openScreen = (out: WriteStream | NodeJS.WritableStream): Screen =>
  'isTTY' in out && out.isTTY ? new TableScreen(out) : new LineScreen(out)

class LineScreen implements Screen {
  readonly #out: NodeJS.WritableStream
  readonly #said = new Map<string, string>()
  #below: readonly string[] = []

  constructor(out: NodeJS.WritableStream) {
    this.#out = out
  }

  say(line: string): void {
    this.#out.write(`${printable(line)}\n`)
  }

  show(rows: readonly Row[], below: readonly string[]): void {
    for (const row of rows) {
      const key = rowKey(row)
      if (this.#said.get(row.camera) !== key) this.say(rowLine(row))
      this.#said.set(row.camera, key)
    }
    for (const line of below) if (!this.#below.includes(line)) this.say(line)
    this.#below = below
  }

  [Symbol.dispose](): void {}
}

const REDRAW_MS = 200

class TableScreen implements Screen {
  readonly #out: WriteStream
  #lines: string[] = []
  #drawn = 0
  #timer: NodeJS.Timeout | undefined
  #redraw = () => this.#draw('')

  constructor(out: WriteStream) {
    this.#out = out
    out.on('resize', this.#redraw)
  }

  say(line: string): void {
    this.#draw(`${printable(line)}\n`)
  }

  show(rows: readonly Row[], below: readonly string[]): void {
    this.#lines = ['', ...tableLines(rows), '', ...below]
    this.#timer ??= setTimeout(this.#redraw, REDRAW_MS)
  }

  /** Writes `above` where the table stood, and the table under it: in one piece, so that nothing flickers. */
  #draw(above: string): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const erase = this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A\u001b[J`
    const fitting = this.#lines.slice(0, Math.max(1, this.#out.rows - 1))
    if (fitting.length < this.#lines.length)
      fitting[fitting.length - 1] = `… ${this.#lines.length - fitting.length + 1} more lines than fit here`
    const table = fitting.map(line => `${printable(line).slice(0, Math.max(1, this.#out.columns - 1))}\n`).join('')
    this.#out.write(erase + above + table)
    this.#drawn = fitting.length
  }

  [Symbol.dispose](): void {
    if (this.#timer !== undefined) this.#draw('')
    this.#out.off('resize', this.#redraw)
  }
}
