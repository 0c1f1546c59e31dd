// The frames of one rendition of a camera, shared by all its consumers: in order, into a ring.
import type { LiveFrame, Rendition, RenditionDemand } from '../../proto/rendition.ts'
import type { Metrics } from '../metrics.ts'
import { found, now, read, type Choice, type Cursor, type Reading } from './cursor.ts'
import { Wishes } from './demand.ts'
import { Ring } from './ring.ts'

/** A camera whose every frame comes out of order was set back in time: after this long without one in order, its new order is taken. */
export const ORDER_FORGOTTEN_MS = 10_000

/** Why there are no frames. */
export type Why = { readonly reason: string; readonly message: string }

/** How a consumer reads. */
export type How = Omit<Choice, 'newest'> & {
  /** `adaptive`: every frame in order for a client that keeps up, the newest for one that does not. */
  readonly mode: 'every' | 'newest' | 'adaptive'
  /** How long to wait for a frame. */
  readonly waitMs: number
}

export type RenditionParts = {
  readonly key: string
  readonly rendition: Rendition
  /** As metrics name it. */
  readonly camera: string
  readonly ringBytesMax: number
  readonly metrics: Metrics
  readonly why: () => Why | undefined
}

/** From the first request for the rendition until none came for ten seconds. */
export class RenditionFrames {
  readonly key: string
  readonly ring: Ring
  readonly wishes = new Wishes()
  readonly #parts: RenditionParts
  readonly #waiting = new Set<() => void>()
  #last: { epoch: number; timestamp: number; receivedMs: number } | undefined
  #isOver = false

  constructor(parts: RenditionParts) {
    this.#parts = parts
    this.key = parts.key
    this.ring = new Ring(parts.ringBytesMax)
  }

  /** No frame comes any more: ask the FrameSource again. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** A frame has come since it was first asked for. */
  get hasFrames(): boolean {
    return this.#last !== undefined
  }

  /** Why no frames come, as far as this gateway is the cause; undefined while they do, or would if the camera gave packets. */
  why(): Why | undefined {
    return this.#parts.why()
  }

  /** The client's next frame, which is held for it, or none where it did not come in time. The cursor moves on. */
  async next(cursor: Cursor, { mode, waitMs, ...choice }: How, signal: AbortSignal): Promise<Reading> {
    const startMs = performance.now()
    if (mode === 'adaptive') cursor.pace.asked(found(this.ring, cursor.position, choice.keyframesOnly, startMs), startMs)
    for (;;) {
      const time = now()
      // Read again each time: two calls may share the cursor.
      const newest = mode === 'newest' || (mode === 'adaptive' && cursor.pace.isSlow)
      const reading = read(this.ring, cursor.position, { ...choice, newest }, time, cursor.limit)
      cursor.position = reading.position
      const restMs = startMs + waitMs - time.ms
      if (reading.frame !== undefined || restMs <= 0 || signal.aborted || this.#isOver) {
        reading.frame?.lease?.hold()
        cursor.pace.answered(reading.frame !== undefined, time.ms)
        return reading
      }
      await this.changed(restMs, signal)
    }
  }

  /** The next frame's arrival, or the end of the wait: `ms`, `signal`, the end of the rendition. */
  changed(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      if (signal.aborted) return resolve()
      const end = () => {
        clearTimeout(timer)
        this.#waiting.delete(end)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      this.#waiting.add(end)
      signal.addEventListener('abort', end)
    })
  }

  /** What upstreams are to give; undefined: nothing. */
  demand(nowMs: number): RenditionDemand | undefined {
    const wants = this.wishes.wants(nowMs)
    if (wants === 'none') return undefined
    return { key: this.key, rendition: this.#parts.rendition, wants, maxFps: this.wishes.maxFps(nowMs) }
  }

  receive(frame: LiveFrame): void {
    const nowMs = performance.now()
    if (this.#isOver) return frame.lease?.release()
    if (!this.#isNew(frame, nowMs)) {
      frame.lease?.release()
      return this.#parts.metrics.framesRepeated.inc({ camera: this.#parts.camera })
    }
    this.ring.push(frame, nowMs)
    this.#wake()
  }

  /** No client gets a frame from it any more, from now on. */
  end(): void {
    this.#isOver = true
    this.ring.clear()
    this.#wake()
  }

  /** False for a frame that was there before, as when a decoder begins again, or frames have begun to come from elsewhere. */
  #isNew({ epoch, timestamp }: LiveFrame, nowMs: number): boolean {
    const last = this.#last
    if (last !== undefined && epoch < last.epoch && nowMs - last.receivedMs < ORDER_FORGOTTEN_MS) return false
    const repeats = epoch === last?.epoch && timestamp <= last.timestamp
    this.#last = { epoch, timestamp: repeats ? last.timestamp : timestamp, receivedMs: nowMs }
    return !repeats
  }

  #wake(): void {
    for (const end of this.#waiting) end()
  }
}
