// What models annotate of one camera: of the past as it is asked for, and live as it comes.
import { clock } from './cameras.ts'
import type { ShownFrame } from './mp4-events.ts'

/** As docs/http.md has it. */
export type Seen = {
  id: string
  frameId?: string
  captureTime: number
  endTime?: number
  type: string
  label?: string
  confidence?: number
  trackingId?: string
  model?: string
  box?: { left: number; top: number; width: number; height: number }
  frameSize?: { width: number; height: number }
}

const KEPT_MAX = 5_000
/** For so long a box is held, fainter, until the next one of the same model. */
const HELD_MS = 400
/** Of how late annotations come, so many of the last are looked at, and forgotten after so long without any. */
const LATENESS_MAX = 30
const LATENESS_FORGOTTEN_MS = 20_000
const DELAY_MAX_S = 3

export const nameOf = ({ label, type }: Seen): string => label ?? type
export const seenText = (seen: Seen): string =>
  [nameOf(seen), seen.confidence === undefined ? '' : `${Math.round(seen.confidence * 100)} %`].filter(Boolean).join(' ')

export class Annotations {
  readonly #path: string
  readonly #onChange: () => void
  readonly #events: EventSource
  readonly #gone = new AbortController()
  /** By capture time. */
  #list: Seen[] = []
  readonly #ids = new Set<string>()
  #lateness: number[] = []
  #lastMs = -Infinity
  /** The times that are known. */
  #known: { from: number; to: number } = { from: Infinity, to: -Infinity }

  constructor(path: string, onChange: () => void) {
    this.#path = path
    this.#onChange = onChange
    this.#events = new EventSource(`${path}/annotations`)
    this.#events.addEventListener('open', () => void this.load(clock.now() - 600_000, clock.now() + 60_000))
    this.#events.addEventListener('message', ({ data }: MessageEvent<string>) => {
      const seen = JSON.parse(data) as Seen
      this.#lateness = [...this.#lateness.slice(1 - LATENESS_MAX), Math.max(0, clock.now() - seen.captureTime)]
      this.#lastMs = performance.now()
      this.#add([seen])
    })
  }

  get all(): readonly Seen[] {
    return this.#list
  }

  /** How far behind the camera a picture has to be for its annotations to be there. */
  get delayS(): number {
    if (performance.now() - this.#lastMs > LATENESS_FORGOTTEN_MS) return 0
    const late = this.#lateness.toSorted((a, b) => a - b).at(Math.floor(this.#lateness.length * 0.9)) ?? 0
    return Math.min(DELAY_MAX_S, (late + 100) / 1000)
  }

  /** Those of a time, unless they are known. */
  async load(fromMs: number, toMs: number): Promise<void> {
    const { from, to } = this.#known
    if (fromMs >= from && toMs <= to) return
    const answer = await fetch(`${this.#path}/annotations?from=${Math.floor(fromMs)}&to=${Math.ceil(toMs)}&limit=2000`, {
      signal: this.#gone.signal,
    }).catch(() => undefined)
    if (answer?.ok !== true) return
    const { annotations } = (await answer.json()) as { annotations: Seen[] }
    this.#known = fromMs <= to && toMs >= from ? { from: Math.min(from, fromMs), to: Math.max(to, toMs) } : { from: fromMs, to: toMs }
    this.#add(annotations)
  }

  /** Those about this very frame. `intervalMs`: between two frames. */
  of(frame: ShownFrame, intervalMs: number): Seen[] {
    return this.#around(frame.captureTime - 60_000, frame.captureTime + intervalMs).filter(seen => isAbout(seen, frame, intervalMs))
  }

  /** The last ones before a frame that has none itself. */
  before(frame: ShownFrame): Seen[] {
    const some = this.#around(frame.captureTime - HELD_MS, frame.captureTime)
    const newest = new Map<string, number>()
    for (const { model = '', captureTime } of some) newest.set(model, captureTime)
    return some.filter(({ model = '', captureTime }) => newest.get(model) === captureTime)
  }

  #around(fromMs: number, toMs: number): Seen[] {
    return this.#list.filter(({ captureTime }) => captureTime >= fromMs && captureTime <= toMs)
  }

  #add(some: readonly Seen[]): void {
    const news = some.filter(({ id }) => !this.#ids.has(id))
    if (news.length === 0) return
    for (const { id } of news) this.#ids.add(id)
    this.#list = [...this.#list, ...news].sort((a, b) => a.captureTime - b.captureTime)
    for (const { id } of this.#list.splice(0, Math.max(0, this.#list.length - KEPT_MAX))) this.#ids.delete(id)
    this.#onChange()
  }

  dispose(): void {
    this.#gone.abort()
    this.#events.close()
  }
}

function isAbout({ frameId, captureTime, endTime }: Seen, frame: ShownFrame, intervalMs: number): boolean {
  if (endTime !== undefined && endTime > captureTime) return frame.captureTime >= captureTime && frame.captureTime <= endTime
  if (frameId !== undefined && frame.id !== '') return frameId === frame.id
  return Math.abs(captureTime - frame.captureTime) <= intervalMs / 2
}
