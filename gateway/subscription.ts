// Frames of the cameras that clients ask for: one NATS subscription per camera, shared by all its clients, into a ring.
import type { Msg, Subscription as NatsSubscription } from 'nats'
import { messageOf } from '../common/errors.ts'
import { everyMinute, type Logger } from '../common/log.ts'
import type { Wants } from '../common/media/live.ts'
import type { Nats } from '../common/nats.ts'
import { within } from '../common/stop.ts'
import { BadMessage, Reassembly, type Frame } from '../proto/messages.ts'
import { frameSubject, refText, type CameraRef } from '../proto/subjects.ts'
import { DEMAND_INTERVAL_MS, sayDemand, Wish } from './demand.ts'
import { frameInPlace } from './framing.ts'
import type { Metrics } from './metrics.ts'
import { Ring } from './ring.ts'
import { Refusal } from './status.ts'

/** A camera whose every frame comes out of order was set back in time: after this long without one in order, its new order is taken. */
const ORDER_FORGOTTEN_MS = 10_000
const FLUSH_MS = 1_000

export type Source = { readonly ref: CameraRef; readonly uid: string }

/** The frames of one camera, from the first request for them until none came for ten seconds. */
export class Subscription implements Disposable {
  readonly ref: CameraRef
  /** As metrics and logs name it. */
  readonly camera: string
  readonly ring: Ring
  readonly wish = new Wish()
  /** What the sidecar was told last. */
  said: Wants = 'none'
  readonly #onBad: (bad: BadMessage) => void
  readonly #metrics: Metrics
  readonly #reassembly: Reassembly
  readonly #waiting = new Set<() => void>()
  readonly #subscription: NatsSubscription
  #last: { epoch: number; seq: number; timestamp: number; receivedMs: number } | undefined

  constructor(nats: Nats, { ref, uid }: Source, ringBytesMax: number, metrics: Metrics, onBad: (bad: BadMessage) => void, log: Logger) {
    this.ref = ref
    this.camera = refText(ref)
    this.ring = new Ring(ringBytesMax)
    this.#onBad = onBad
    this.#metrics = metrics
    this.#reassembly = new Reassembly(uid)
    // A callback, since an iterator would queue without bound.
    this.#subscription = nats.nc.subscribe(frameSubject(ref), {
      callback: (error, message) => {
        if (error === null) this.#receive(message)
        else log.error({ camera: this.camera, error: messageOf(error) }, 'the subscription to a camera’s frames failed')
      },
    })
  }

  /** NATS ended it, as when permissions change. */
  get isClosed(): boolean {
    return this.#subscription.isClosed()
  }

  /** The next frame's arrival, or the end of the wait: `ms`, `signal`, the end of the subscription. */
  changed(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      if (signal.aborted || this.isClosed) return resolve()
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

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe()
    this.ring.clear()
    this.#wake()
    this.#metrics.ringFrames.remove({ camera: this.camera })
    this.#metrics.ringBytes.remove({ camera: this.camera })
  }

  #receive(message: Msg): void {
    try {
      const frame = this.#reassembly.frame(message)
      if (frame === undefined) return
      const nowMs = performance.now()
      const isNew = this.#isNew(frame, nowMs)
      this.#metrics.framesReceived.inc({ camera: this.camera })
      this.#metrics.bytesReceived.inc({ camera: this.camera }, frame.message.length)
      if (!isNew) return this.#metrics.framesRepeated.inc({ camera: this.camera })
      // Over the end of its NATS headers, which have been read. What came in parts was put together elsewhere.
      if (frame.message.buffer === message.data.buffer) frameInPlace(frame.message)
      this.ring.push(frame, nowMs)
      this.#wake()
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      this.#onBad(error)
    }
  }

  /** False for a picture that was there before, as when the sidecar begins anew at its last keyframe. Throws BadMessage. */
  #isNew({ epoch, seq, timestamp }: Frame, nowMs: number): boolean {
    const last = this.#last
    const rises = last === undefined || epoch > last.epoch || (epoch === last.epoch && seq > last.seq)
    if (!rises && nowMs - last.receivedMs < ORDER_FORGOTTEN_MS) {
      throw new BadMessage('sequence', `frame ${epoch}/${seq} after ${last.epoch}/${last.seq}`)
    }
    const repeats = rises && epoch === last?.epoch && timestamp <= last.timestamp
    this.#last = { epoch, seq, timestamp: repeats ? last.timestamp : timestamp, receivedMs: nowMs }
    return !repeats
  }

  #wake(): void {
    for (const end of this.#waiting) end()
  }
}

/** The subscriptions of all cameras that are being asked for, and the demand that follows from them. */
export class Subscriptions {
  readonly #open = new Map<string, Subscription>()
  readonly #gateway: string
  readonly #ringBytesMax: number
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #logBad: (message: string) => void
  #nats: Nats | undefined

  constructor(gateway: string, ringBytesMax: number, metrics: Metrics, log: Logger) {
    this.#gateway = gateway
    this.#ringBytesMax = ringBytesMax
    this.#metrics = metrics
    this.#log = log
    this.#logBad = everyMinute((count, error) => log.warn({ count, error }, 'dropped bad frames'))
    metrics.demand.set({ wants: 'all' }, 0)
    metrics.demand.set({ wants: 'keyframes' }, 0)
  }

  /** From here on requests can be served. At disposal the sidecars are told that nothing is wanted any more. */
  start(nats: Nats): AsyncDisposable {
    this.#nats = nats
    const timer = setInterval(() => this.#tick(nats), DEMAND_INTERVAL_MS)
    const reconnected = nats.onReconnect(() => this.#tick(nats))
    return {
      [Symbol.asyncDispose]: async () => {
        clearInterval(timer)
        reconnected[Symbol.dispose]()
        for (const uid of this.#open.keys()) this.end(uid)
        this.#nats = undefined
        // The connection is closed next, which forgets what is not yet sent.
        if (nats.connected()) await within(FLUSH_MS, 'NATS', nats.nc.flush()).catch(() => {})
      },
    }
  }

  /** A client's request for the camera: its frames from now on, and for ten seconds more. */
  ask(source: Source, keyframesOnly: boolean): Subscription {
    if (this.#nats === undefined) throw new Refusal('unavailable', 'NATS has not been reached yet')
    const nowMs = performance.now()
    let subscription = this.#open.get(source.uid)
    if (subscription === undefined) {
      const onBad = (bad: BadMessage) => {
        this.#metrics.badMessages.inc({ reason: bad.reason })
        this.#logBad(`${refText(source.ref)}: ${bad.message}`)
      }
      subscription = new Subscription(this.#nats, source, this.#ringBytesMax, this.#metrics, onBad, this.#log)
      this.#open.set(source.uid, subscription)
    }
    subscription.wish.ask(keyframesOnly, nowMs)
    this.#say(this.#nats, subscription, nowMs)
    return subscription
  }

  /** Ends a camera's subscription, as when the camera is gone. */
  end(uid: string): void {
    const subscription = this.#open.get(uid)
    if (subscription === undefined) return
    this.#open.delete(uid)
    subscription[Symbol.dispose]()
    if (this.#nats !== undefined) sayDemand(this.#nats, this.#gateway, subscription.ref, 'none')
  }

  /** Says what is wanted now unless that is what was said last. */
  #say(nats: Nats, subscription: Subscription, nowMs: number): void {
    const wants = subscription.wish.wants(nowMs)
    if (wants === subscription.said) return
    subscription.said = wants
    sayDemand(nats, this.#gateway, subscription.ref, wants)
  }

  #tick(nats: Nats): void {
    const nowMs = performance.now()
    const wanting = { all: 0, keyframes: 0, none: 0 }
    for (const [uid, subscription] of this.#open) {
      const wants = subscription.wish.wants(nowMs)
      if (wants === 'none' || subscription.isClosed) {
        this.end(uid)
        continue
      }
      wanting[wants]++
      subscription.said = wants
      sayDemand(nats, this.#gateway, subscription.ref, wants)
      subscription.ring.expire(nowMs)
      const { camera } = subscription
      this.#metrics.ringFrames.set({ camera }, subscription.ring.depth)
      this.#metrics.ringBytes.set({ camera }, subscription.ring.bytes)
    }
    this.#metrics.demand.set({ wants: 'all' }, wanting.all)
    this.#metrics.demand.set({ wants: 'keyframes' }, wanting.keyframes)
  }
}
