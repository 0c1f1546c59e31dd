// The frames of one camera that clients ask for, shared by all of them: from wherever they come, in order, into a ring.
import { refText, type CameraRef } from '../../proto/subjects.ts'
import type { Frame } from '../../proto/messages.ts'
import type { KnownCamera } from '../cameras.ts'
import { Wish } from './demand.ts'
import { Feeds } from './takeover.ts'
import { ORDER_FORGOTTEN_MS } from './sidecar-frames.ts'
import { Leisure } from './client-rate.ts'
import type { Metrics } from '../metrics.ts'
import { KnownRate } from './placement.ts'
import { Ring } from './ring.ts'

/** From the first request for frames until none came for ten seconds. */
export class Subscription {
  readonly ref: CameraRef
  /** As metrics and logs name it. */
  readonly camera: string
  readonly ring: Ring
  readonly wish = new Wish()
  readonly leisure = new Leisure()
  readonly rate = new KnownRate()
  readonly feeds = new Feeds(frame => this.#receive(frame))
  /** As it was known at the last request. */
  known: KnownCamera
  /** What the sidecar was told last, as JSON. */
  said = ''
  /** Until then it is not tried to decode here again, by performance.now(). */
  failedHereUntilMs = -Infinity
  readonly #metrics: Metrics
  readonly #onHaste: () => void
  readonly #waiting = new Set<() => void>()
  #last: { epoch: number; timestamp: number; receivedMs: number } | undefined
  #isOver = false

  /** `onHaste`: every frame is wanted again, at once. */
  constructor(known: KnownCamera, ringBytesMax: number, metrics: Metrics, onHaste: () => void) {
    this.known = known
    this.ref = known.ref
    this.camera = refText(known.ref)
    this.ring = new Ring(ringBytesMax)
    this.#metrics = metrics
    this.#onHaste = onHaste
  }

  /** No frame comes any more. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** A request of `client`, which found a frame that it had not had, or has to wait. */
  asked(client: object, found: boolean): void {
    if (this.leisure.asked(client, found, performance.now())) this.#onHaste()
  }

  /** The next frame's arrival, or the end of the wait: `ms`, `signal`, the end of the subscription. */
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

  /** Resolves when nothing of it is left; nobody gets a frame from it any more at once. */
  async end(): Promise<void> {
    this.#isOver = true
    const ending = this.feeds.end()
    this.ring.clear()
    this.#wake()
    this.#metrics.ringFrames.remove({ camera: this.camera })
    this.#metrics.ringBytes.remove({ camera: this.camera })
    await ending
  }

  #receive(frame: Frame): void {
    if (this.#isOver) return frame.lease?.release()
    const nowMs = performance.now()
    if (!this.#isNew(frame, nowMs)) {
      frame.lease?.release()
      return this.#metrics.framesRepeated.inc({ camera: this.camera })
    }
    this.ring.push(frame, nowMs)
    this.#wake()
  }

  /** False for a picture that was there before, as when a decoder begins anew, or frames have begun to come from elsewhere. */
  #isNew({ epoch, timestamp }: Frame, nowMs: number): boolean {
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
