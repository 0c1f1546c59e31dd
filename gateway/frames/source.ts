// The subscriptions of all cameras that are being asked for: where their frames come from, and the demand that follows from that.
import { everyMinute, type Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { within } from '../../common/abort.ts'
import type { Wants } from '../../common/media/live-decoder.ts'
import type { BadMessage, Frame } from '../../proto/messages.ts'
import type { Activity, Demand } from '../../proto/state.ts'
import { refText } from '../../proto/subjects.ts'
import type { KnownCamera } from '../cameras.ts'
import { Decoding, decodingKey, type DecodingSource } from './gateway-decoder.ts'
import { DEMAND_INTERVAL_MS, sayDemand } from './demand.ts'
import type { Feed } from './upstream.ts'
import { FrameFeed } from './sidecar-frames.ts'
import type { Metrics } from '../metrics.ts'
import { decide, decoderWeight, hasRoom, rawRate, type Decision } from './placement.ts'
import { Refusal } from '../refusal.ts'
import { Subscription } from './camera-frames.ts'

const FLUSH_MS = 1_000
/** ffmpegs that don't end are killed before. */
const END_MS = 7_000
/** What failed here is left to the camera's own pod for so long. */
const FAILED_MS = 60_000

export type SubscriptionLimits = {
  /** Bytes of frames held for one camera's clients. */
  ringBytesMax: number
  /** The highest rate of raw frames, in bytes a second, that is moved rather than decoded here. */
  rawRateMax: number
  /** Cameras of 1080p that are decoded here at once. */
  decodersMax: number
}

export class Subscriptions {
  readonly #open = new Map<string, Subscription>()
  readonly #ending = new Set<Promise<void>>()
  readonly #gateway: string
  readonly #limits: SubscriptionLimits
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #logBad: (message: string) => void
  readonly #logRefused: (message: string) => void
  /** In cameras of 1080p. */
  #decoders = 0
  #nats: Nats | undefined

  constructor(gateway: string, limits: SubscriptionLimits, metrics: Metrics, log: Logger) {
    this.#gateway = gateway
    this.#limits = limits
    this.#metrics = metrics
    this.#log = log
    this.#logBad = everyMinute((count, error) => log.warn({ count, error }, 'dropped bad frames or packets'))
    this.#logRefused = everyMinute((count, camera) => log.warn({ count, camera }, busy(limits.decodersMax)))
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
        await within(END_MS, 'decoders', Promise.all(this.#ending)).catch(() => {})
        // The connection is closed next, which forgets what is not yet sent.
        if (nats.connected()) await within(FLUSH_MS, 'NATS', nats.nc.flush()).catch(() => {})
      },
    }
  }

  /** A client's request for the camera: its frames from now on, and for ten seconds more. */
  ask(camera: KnownCamera, keyframesOnly: boolean): Subscription {
    if (this.#nats === undefined) throw new Refusal('unavailable', 'NATS has not been reached yet')
    const nowMs = performance.now()
    let subscription = this.#open.get(camera.uid)
    const isFirst = subscription === undefined
    if (subscription === undefined) {
      const opened = new Subscription(camera, this.#limits.ringBytesMax, this.#metrics, () => this.#hasten(opened))
      subscription = opened
      this.#open.set(camera.uid, subscription)
    }
    subscription.known = camera
    const before = subscription.wish.wants(nowMs)
    subscription.wish.ask(keyframesOnly, nowMs)
    if (isFirst || subscription.wish.wants(nowMs) !== before) this.#settle(this.#nats, subscription, nowMs)
    return subscription
  }

  /** Ends a camera's subscription, as when the camera is gone. */
  end(uid: string): void {
    const subscription = this.#open.get(uid)
    if (subscription === undefined) return
    this.#open.delete(uid)
    const ending = subscription.end()
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
    if (this.#nats !== undefined) sayDemand(this.#nats, subscription.ref, { v: 1, gateway: this.#gateway, wants: 'none' })
  }

  #tick(nats: Nats): void {
    const nowMs = performance.now()
    const wanting = { all: 0, keyframes: 0, none: 0 }
    let refused = 0
    for (const [uid, subscription] of this.#open) {
      const wants = subscription.wish.wants(nowMs)
      if (wants === 'none') {
        this.end(uid)
        continue
      }
      wanting[wants]++
      for (const feed of subscription.feeds.all) feed.tick(nowMs, subscription.known.report?.state.lastPacketAt)
      subscription.said = ''
      this.#settleLeisure(subscription, nowMs)
      if (this.#settle(nats, subscription, nowMs) === 'refused') refused++
      subscription.ring.expire(nowMs)
      const { camera } = subscription
      this.#metrics.ringFrames.set({ camera }, subscription.ring.depth)
      this.#metrics.ringBytes.set({ camera }, subscription.ring.bytes)
    }
    this.#metrics.demand.set({ wants: 'all' }, wanting.all)
    this.#metrics.demand.set({ wants: 'keyframes' }, wanting.keyframes)
    this.#metrics.decodersRefused.set(refused)
  }

  /** Gets the camera's frames from where they are to come from now, and says so unless that is what was said last. */
  #settle(nats: Nats, subscription: Subscription, nowMs: number): Decision {
    const decision = this.#decide(subscription, nowMs)
    const { feeds, known, camera } = subscription
    const before = feeds.wanted?.where
    const { ref, uid, deviceId, record } = known
    const source: DecodingSource = { ref, uid, deviceId, decoding: record.decoding }
    if (decision === 'refused') feeds.useNone()
    else if (decision === 'Sidecar') feeds.use('Sidecar', onFrame => this.#receive(nats, source, onFrame))
    else feeds.use(decodingKey(source), onFrame => this.#decode(nats, subscription, source, onFrame))
    const wants = subscription.wish.wants(nowMs)
    subscription.ring.share = subscription.leisure.share
    for (const feed of feeds.all) feed.want(wants, subscription.leisure.fps)
    if (before !== undefined && before !== decision && decision !== 'refused') {
      this.#metrics.moves.inc({ camera, to: decision })
      this.#log.info({ camera, to: decision }, 'the camera’s frames are to be decoded elsewhere')
    }
    if (decision === 'refused') this.#logRefused(camera)
    this.#say(nats, subscription, decision)
    return decision
  }

  /** A client is to get more frames at once. */
  #hasten(subscription: Subscription): void {
    const isOpen = this.#open.get(subscription.known.uid) === subscription
    if (this.#nats !== undefined && isOpen) this.#settle(this.#nats, subscription, performance.now())
  }

  /** How many frames are enough. Keyframes are no even choice of frames, so that who wants those wants them of all. */
  #settleLeisure({ leisure, wish, known, rate }: Subscription, nowMs: number): void {
    const { maxFps = Infinity, keyFramesOnly } = known.record.decoding
    const isThinnable = wish.isForAllOnly(nowMs) && !keyFramesOnly && rate.fps !== undefined
    leisure.settle(isThinnable ? Math.min(rate.fps, maxFps) : undefined, nowMs)
  }

  #decide(subscription: Subscription, nowMs: number): Decision {
    const { known, rate, feeds } = subscription
    const { decoding } = known.record
    const state = known.report?.state
    if (state !== undefined) rate.learn(state)
    const here = feeds.all.find(feed => feed instanceof Decoding)
    if (here !== undefined && (here.isClosed || here.hasFailed(nowMs))) {
      subscription.failedHereUntilMs = nowMs + FAILED_MS
    }
    return decide({
      placement: decoding.placement,
      rawRate: rawRate(state?.codec, rate.fps, decoding),
      rawRateMax: this.#limits.rawRateMax,
      before: feeds.wanted?.where,
      hasPackets: state?.buffer.ok ?? true,
      hasDecoder: here !== undefined || hasRoom(this.#decoders, decoderWeight(state?.codec), this.#limits.decodersMax),
      failedHere: nowMs < subscription.failedHereUntilMs,
    })
  }

  /** The camera's frames as its sidecar decodes them. */
  #receive(nats: Nats, source: DecodingSource, onFrame: (frame: Frame) => void): Feed {
    return new FrameFeed(nats, source, { onFrame, onBad: this.#onBad(source) }, this.#metrics, this.#log)
  }

  /** The camera's frames, decoded here. */
  #decode(nats: Nats, subscription: Subscription, source: DecodingSource, onFrame: (frame: Frame) => void): Feed {
    const onReport = () => this.#say(nats, subscription, 'Gateway')
    const weight = decoderWeight(subscription.known.report?.state.codec)
    this.#decoders += weight
    const onEnded = () => void (this.#decoders -= weight)
    const events = { onFrame, onBad: this.#onBad(source), onReport, onEnded }
    return new Decoding(nats, source, events, this.#metrics, this.#log)
  }

  #onBad({ ref }: DecodingSource): (bad: BadMessage) => void {
    return ({ reason, message }) => {
      this.#metrics.badMessages.inc({ reason })
      this.#logBad(`${refText(ref)}: ${message}`)
    }
  }

  /** Tells the sidecar what it is to decode, and how decoding here goes, unless it was told just so. */
  #say(nats: Nats, subscription: Subscription, decision: Decision): void {
    const { feeds, ref, known } = subscription
    if (this.#open.get(known.uid) !== subscription) return
    const nowMs = performance.now()
    const wants: Wants = feeds.all.some(({ where }) => where === 'Sidecar') ? subscription.wish.wants(nowMs) : 'none'
    const here = feeds.wanted instanceof Decoding ? feeds.wanted.report(nowMs) : undefined
    const decoding = decision === 'refused' ? refusal(this.#limits.decodersMax) : here
    const fps = wants === 'all' ? subscription.leisure.fps : undefined
    const optional = { ...(fps === undefined ? {} : { fps }), ...(decoding === undefined ? {} : { decoding }) }
    const demand: Demand = { v: 1, gateway: this.#gateway, wants, ...optional }
    const text = JSON.stringify(demand)
    if (text === subscription.said) return
    subscription.said = text
    sayDemand(nats, ref, demand)
  }
}

const busy = (max: number) => `all ${max} decoders of the gateway are in use`

const refusal = (max: number): Activity => ({ active: false, ok: false, reason: 'DecodersBusy', message: busy(max) })
