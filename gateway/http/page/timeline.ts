// The past as a strip: what exists, the gaps, annotations, and the time that is shown. Dragged, zoomed, and moved by keyboard.
import { clock, momentText, timeText } from './cameras.ts'
import type { Seen } from './annotations.ts'
import { nameOf } from './annotations.ts'
import { colourOf } from './boxes.ts'
import { fitted } from './dom.ts'
import type { PastExtent } from './past.ts'

const SPANS_MS = [30_000, 120_000, 600_000, 3_600_000, 6 * 3_600_000, 24 * 3_600_000, 7 * 24 * 3_600_000]
/** Between two labels, in pixels. */
const LABEL_PX = 90
const STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400].map(s => s * 1000)

export class Timeline {
  readonly #canvas: HTMLCanvasElement
  readonly #onSeek: (ms: number) => void
  #extent: PastExtent | undefined
  #annotations: readonly Seen[] = []
  #atMs: number | undefined
  #spanMs = 120_000
  #endMs = 0
  #isChosen = false

  constructor(canvas: HTMLCanvasElement, onSeek: (ms: number) => void) {
    this.#canvas = canvas
    this.#onSeek = onSeek
    canvas.addEventListener('pointerdown', event => {
      canvas.setPointerCapture(event.pointerId)
      this.#seekTo(event)
    })
    canvas.addEventListener('pointermove', event => canvas.hasPointerCapture(event.pointerId) && this.#seekTo(event))
    canvas.addEventListener('keydown', event => this.#key(event))
    canvas.addEventListener('wheel', event => {
      event.preventDefault()
      this.zoom(event.deltaY > 0 ? 1 : -1)
    })
    new ResizeObserver(() => this.draw()).observe(canvas)
  }

  /** `atMs`: the time that is shown; undefined: live. */
  show(extent: PastExtent | undefined, annotations: readonly Seen[], atMs: number | undefined): void {
    this.#extent = extent
    this.#annotations = annotations
    this.#atMs = atMs
    if (!this.#isChosen && extent !== undefined) {
      const past = clock.now() - (extent.stretches[0]?.from ?? clock.now())
      this.#spanMs = SPANS_MS.find(span => span >= past) ?? SPANS_MS.at(-1) ?? past
    }
    const now = clock.now()
    if (atMs === undefined) this.#endMs = now
    else if (atMs > this.#endMs || atMs < this.#endMs - this.#spanMs) this.#endMs = Math.min(now, atMs + this.#spanMs / 2)
    const text = atMs === undefined ? 'live' : momentText(atMs)
    this.#canvas.setAttribute('aria-valuetext', text)
    this.#canvas.setAttribute('aria-valuenow', String(Math.round(atMs ?? now)))
    this.#canvas.setAttribute('aria-valuemin', String(Math.round(extent?.from ?? now)))
    this.#canvas.setAttribute('aria-valuemax', String(Math.round(now)))
    this.draw()
  }

  /** 1: more time; -1: less. */
  zoom(direction: 1 | -1): void {
    const at = SPANS_MS.findIndex(span => span >= this.#spanMs)
    const span = SPANS_MS[Math.min(SPANS_MS.length - 1, Math.max(0, at + direction))] ?? this.#spanMs
    const centre = this.#atMs ?? this.#endMs
    this.#endMs = Math.min(clock.now(), centre + ((this.#endMs - centre) * span) / this.#spanMs)
    this.#spanMs = span
    this.#isChosen = true
    this.draw()
  }

  /** Of another camera. */
  reset(): void {
    this.#isChosen = false
    this.show(undefined, [], undefined)
  }

  #seekTo({ offsetX }: PointerEvent): void {
    const share = Math.min(1, Math.max(0, offsetX / this.#canvas.clientWidth))
    this.#onSeek(this.#endMs - this.#spanMs * (1 - share))
  }

  #key(event: KeyboardEvent): void {
    const now = clock.now()
    const at = this.#atMs ?? now
    const stepMs = (event.shiftKey ? 10 : 1) * Math.max(1_000, this.#spanMs / 120)
    const targets: Record<string, number | undefined> = {
      ArrowLeft: at - stepMs,
      ArrowRight: Math.min(now, at + stepMs),
      PageUp: at - this.#spanMs / 4,
      PageDown: Math.min(now, at + this.#spanMs / 4),
      Home: (this.#extent?.from ?? at) + 1,
    }
    const target = targets[event.key]
    if (target === undefined) return
    event.preventDefault()
    event.stopPropagation()
    this.#onSeek(target)
  }

  draw(): void {
    const fit = fitted(this.#canvas)
    if (fit === undefined) return
    const { context, width, height } = fit
    const style = getComputedStyle(this.#canvas)
    const colour = (name: string) => style.getPropertyValue(name)
    const x = (ms: number) => ((ms - this.#endMs + this.#spanMs) / this.#spanMs) * width
    const [top, bottom] = [6, height - 22]
    context.fillStyle = colour('--groove')
    context.fillRect(0, top, width, bottom - top)
    for (const { from, to, source } of this.#extent?.stretches ?? []) {
      context.fillStyle = colour(source === 'buffer' ? '--buffer' : '--archive')
      const end = source === 'buffer' && this.#endMs - to < 15_000 && this.#atMs === undefined ? this.#endMs : to
      context.fillRect(x(from), top, Math.max(1, x(end) - x(from)), bottom - top)
    }
    for (const seen of this.#annotations) {
      context.fillStyle = colourOf(nameOf(seen))
      context.fillRect(x(seen.captureTime) - 1, bottom - 9, 2, 9)
    }
    this.#drawLabels(context, x, { width, bottom, quiet: colour('--quiet') })
    const at = Math.min(width - 1, x(this.#atMs ?? this.#endMs))
    context.fillStyle = colour(this.#atMs === undefined ? '--bad' : '--accent')
    context.fillRect(at - 1.5, 0, 3, bottom + 4)
  }

  #drawLabels(
    context: CanvasRenderingContext2D,
    x: (ms: number) => number,
    { width, bottom, quiet }: { width: number; bottom: number; quiet: string },
  ): void {
    const step = STEPS_MS.find(ms => (ms / this.#spanMs) * width >= LABEL_PX) ?? 86_400_000
    const shiftMs = new Date(this.#endMs).getTimezoneOffset() * 60_000
    context.font = '12px system-ui, sans-serif'
    context.textBaseline = 'top'
    context.fillStyle = quiet
    const first = Math.ceil((this.#endMs - this.#spanMs - shiftMs) / step) * step + shiftMs
    for (let ms = first; ms <= this.#endMs; ms += step) {
      const text = step >= 86_400_000 ? new Date(ms).toLocaleDateString() : timeText(ms)
      const left = x(ms)
      context.fillRect(left, bottom, 1, 5)
      if (left + 60 < width) context.fillText(text, left + 3, bottom + 6)
    }
  }
}
