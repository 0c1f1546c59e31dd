// Watch: frames of one or many cameras, pushed against credit.
import { whenAborted } from '../../../common/abort.ts'
import type { CameraStatus } from '../../../proto/generated/chrys/cloud/frames/v1/CameraStatus.ts'
import type { WatchRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/WatchRequest.ts'
import type { WatchResponse } from '../../../proto/generated/chrys/cloud/frames/v1/WatchResponse.ts'
import type { LiveFrame } from '../../../proto/rendition.ts'
import { refText } from '../../../proto/subjects.ts'
import type { Reading } from '../../frames/cursor.ts'
import { Refusal } from '../../refusal.ts'
import type { Caller } from '../calls.ts'
import { gone } from './camera-status.ts'
import { FrameEncoder } from './encode.ts'
import type { FramesParts } from './parts.ts'
import { Selected } from './selection.ts'
import { WatchGroup } from './watch-group.ts'
import { WatchRequests, type NumberedWish } from './watch-requests.ts'
import { WatchedCamera } from './watched-camera.ts'

/** How often it is looked which cameras there are, how they do, and whether wishes hold. */
const REFRESH_MS = 500
/** Where too much is unsent, it is tried again after so long. */
const WITHHELD_MS = 20
/** A client that has given no credit for so long does not know that it must. */
const NO_CREDIT_MS = 20_000

export type WatchParts = Pick<FramesParts, 'cameras' | 'frames' | 'groups' | 'unsent' | 'metrics' | 'isConnected'> & {
  serialize: (response: WatchResponse) => Buffer
}

export class Watch {
  readonly #parts: WatchParts
  readonly #caller: Caller
  readonly #selected: Selected
  readonly #requests = new WatchRequests(() => this.#wake())
  readonly #group: WatchGroup
  readonly #encoder = new FrameEncoder()
  readonly #startMs = performance.now()
  /** By uid, in the order in which they have their turn. */
  readonly #cameras = new Map<string, WatchedCamera>()
  /** To be said, the last word on each camera. */
  readonly #statuses = new Map<string, CameraStatus>()
  #wish: NumberedWish | undefined
  #refreshMs = -Infinity
  #withheldMs = -Infinity
  #isAwake = false
  #onWake: () => void = () => {}

  constructor(parts: WatchParts, caller: Caller) {
    this.#parts = parts
    this.#caller = caller
    this.#selected = new Selected(parts.cameras, caller, 'frames')
    this.#group = new WatchGroup(parts.groups, caller, () => {
      this.#refreshMs = -Infinity
      this.#wake()
    })
  }

  async *answer(requests: AsyncIterable<WatchRequest__Output>): AsyncGenerator<Buffer> {
    const { signal } = this.#caller
    using _ = whenAborted(signal, () => this.#wake())
    void this.#requests.read(requests)
    try {
      while (!signal.aborted) {
        this.#isAwake = false
        this.#requests.throwFault()
        if (this.#requests.isHalfClosed) return
        await this.#update(performance.now())
        const [status] = this.#statuses.values()
        if (status !== undefined) {
          this.#statuses.delete(status.camera ?? '')
          yield this.#parts.serialize({ status })
        } else if (!(yield* this.#send())) await this.#sleep()
      }
    } finally {
      for (const camera of this.#cameras.values()) camera.end()
      this.#group.leave()
    }
  }

  async #update(nowMs: number): Promise<void> {
    if (!this.#requests.hadCredit && nowMs - this.#startMs > NO_CREDIT_MS) {
      throw new Refusal('precondition', 'credit was never given: no frame is sent without it')
    }
    const wish = this.#requests.wish(nowMs)
    if (wish !== undefined) await this.#apply(wish)
    else if (nowMs >= this.#refreshMs && this.#wish !== undefined) await this.#refresh(this.#wish)
  }

  /** A wish that no camera of the call can give ends it. */
  async #apply(wish: NumberedWish): Promise<void> {
    this.#group.enter(wish)
    await this.#join(wish)
    this.#wish = wish
    const refusals = [...this.#cameras.values()].map(camera => camera.ask(this.#parts.frames, wish))
    const [first] = refusals
    if (first !== undefined && first.kind !== 'unavailable' && !refusals.includes(undefined)) throw first
    this.#report()
  }

  async #refresh(wish: NumberedWish): Promise<void> {
    await this.#join(wish)
    // What a client has no room for need not be decoded.
    if (this.#requests.credit > 0) for (const camera of this.#cameras.values()) camera.ask(this.#parts.frames, wish)
    this.#report()
  }

  /** Brings the cameras of the call up to date. */
  async #join(wish: NumberedWish): Promise<void> {
    const selected = await this.#selected.now(wish.selection)
    const known = new Map(this.#group.share(selected, wish).map(camera => [camera.uid, camera]))
    for (const [uid, camera] of this.#cameras) {
      if (known.has(uid)) continue
      camera.end()
      this.#cameras.delete(uid)
      this.#statuses.set(camera.name, gone(camera.name))
    }
    this.#group.hold(new Set(known.keys()))
    for (const [uid, camera] of known) {
      const watched = this.#cameras.get(uid)
      if (watched !== undefined) watched.known = camera
      else this.#cameras.set(uid, new WatchedCamera(camera, wish.after.get(camera.deviceId), () => this.#wake()))
    }
  }

  #report(): void {
    const nowMs = performance.now()
    this.#refreshMs = nowMs + REFRESH_MS
    for (const camera of this.#cameras.values()) {
      const status = camera.status(this.#parts.isConnected(), nowMs)
      const text = JSON.stringify(status)
      if (text === camera.said) continue
      camera.said = text
      this.#statuses.set(camera.name, status)
    }
  }

  /** One frame, of the camera whose turn it is. False: there is none now, or no room for it. */
  async *#send(): AsyncGenerator<Buffer, boolean> {
    const wish = this.#wish
    if (wish === undefined || performance.now() < this.#withheldMs) return false
    if (this.#requests.credit === 0) {
      if ([...this.#cameras.values()].some(({ hasNews }) => hasNews)) this.#group.full()
      return false
    }
    for (const [uid, camera] of this.#cameras) {
      const reading = camera.hasNews ? await camera.next(wish) : undefined
      if (reading?.frame === undefined) continue
      // Behind all others from now on.
      this.#cameras.delete(uid)
      this.#cameras.set(uid, camera)
      return yield* this.#sendFrame(camera, wish, reading, reading.frame)
    }
    return false
  }

  async *#sendFrame(camera: WatchedCamera, wish: NumberedWish, reading: Reading, frame: LiveFrame): AsyncGenerator<Buffer, boolean> {
    const { metrics, unsent } = this.#parts
    const label = { camera: refText(camera.known.ref) }
    using room = unsent.take(this.#caller, frame.data.length, performance.now())
    if (room === undefined) {
      frame.lease?.release()
      camera.withhold(reading)
      metrics.framesWithheld.inc(label)
      this.#withheldMs = performance.now() + WITHHELD_MS
      return false
    }
    const said = { camera: camera.name, skipped: reading.missed, gap: reading.gap, wish: wish.number }
    const encoded = this.#encoder.encode(frame, said, Date.now())
    frame.lease?.release()
    this.#requests.use()
    metrics.frameAge.observe(label, ageSeconds(frame))
    this.#group.took(ageSeconds(frame))
    if (wish.mode === 'every' && wish.maxFps === undefined && wish.maxAgeMs === undefined) metrics.framesMissed.inc(label, reading.missed)
    yield encoded.message
    this.#encoder.sent(encoded)
    metrics.framesServed.inc(label)
    metrics.bytesServed.inc(label, encoded.message.length)
    metrics.delivery.observe(label, ageSeconds(frame))
    return true
  }

  #wake(): void {
    this.#isAwake = true
    this.#onWake()
  }

  /** Until something has happened, or is due. */
  async #sleep(): Promise<void> {
    if (this.#isAwake) return
    const nowMs = performance.now()
    const withheldMs = this.#withheldMs > nowMs ? this.#withheldMs : Infinity
    const dueMs = Math.min(this.#wish === undefined ? nowMs + REFRESH_MS : this.#refreshMs, this.#requests.wishDueMs(nowMs), withheldMs)
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, Math.max(1, dueMs - nowMs))
    this.#onWake = resolve
    await promise
    clearTimeout(timer)
  }
}

const ageSeconds = ({ timestamp }: LiveFrame): number => Math.max(0, Date.now() - timestamp) / 1000
