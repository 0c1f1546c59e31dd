// Where consumers of every transport get cameras' live frames from. It keeps up what they ask for: decides where each camera is decoded, and
// tells the camera's sidecar.
//
// A consumer asks for a camera with a wish, again and again while it wants frames, and reads with a cursor of its own:
//
//     const frames = source.ask(camera, { rendition, keyframesOnly: false }, this)   // throws a Refusal; again at least every few seconds
//     const { frame, missed, gap } = await frames.next(cursor, { mode: 'newest', keyframesOnly: false, waitMs: 48 }, signal)
//     if (frame === undefined) … frames.why()
//     using room = unsent.take({ peer, cutOff }, frame.data.length, performance.now())   // undefined: too much is unsent, give nothing
//     … send frame.data, then frame.lease?.release(), or forfeit() where the transport may go on reading it
import { within } from '../../common/abort.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import type { BadMessage } from '../../proto/messages.ts'
import type { StreamName } from '../../proto/camera.ts'
import type { Rendition, RenditionDemand } from '../../proto/rendition.ts'
import type { Demand } from '../../proto/state.ts'
import { refText } from '../../proto/subjects.ts'
import type { KnownCamera } from '../cameras.ts'
import type { Metrics } from '../metrics.ts'
import { ringsPart, type MemoryBudget } from '../memory-budget.ts'
import { Refusal } from '../refusal.ts'
import { Admission, windowOf, type Cost } from './admission.ts'
import { CameraFrames } from './camera-frames.ts'
import { costOf, place } from './camera-placement.ts'
import { DEMAND_INTERVAL_MS, sayDemand } from './demand.ts'
import { GatewayDecoder, type DecoderSource } from './gateway-decoder.ts'
import type { FrameLinks } from './frame-links.ts'
import { hearDemands, OtherWishes } from './other-gateways.ts'
import { rawFrameBytes, type Decision } from './placement.ts'
import { Registry } from './registry.ts'
import type { RenditionFrames } from './rendition-frames.ts'
import { sidecarDemand, streamIn } from './sidecar-demand.ts'
import { SidecarFrames, type Place } from './sidecar-frames.ts'
import { isStreaming, renditionFrom, substreamOf } from './substream.ts'
import type { OnFrame, Upstream } from './upstream.ts'

const FLUSH_MS = 1_000
/** ffmpegs that don't end are killed before. */
const END_MS = 7_000

/** What a consumer wants of a camera, for ten seconds from when it asks. */
export type Wish = {
  /** undefined: as the Camera's spec.decoding says, serialized as the VideoFrame of the Image service. */
  readonly rendition: Rendition | undefined
  /** Only frames of keyframes. */
  readonly keyframesOnly: boolean
  /** So many frames a second are enough. */
  readonly maxFps?: number | undefined
  /** Which stream the frames must come from. Undefined: from the substream where it shows as much. */
  readonly stream?: StreamName | undefined
  /** One frame is enough, for which no substream is connected. */
  readonly isBrief?: boolean
}

export type FrameSourceLimits = {
  /** Bytes of frames held for one camera's clients. */
  ringBytesMax: number
  /** The highest rate of raw frames, in bytes a second, that is moved rather than decoded here. */
  rawRateMax: number
  /** Cameras of 1080p at 30 frames a second that are decoded here at once. */
  decodersMax: number
}

export class FrameSource {
  readonly #cameras = new Registry()
  readonly #admission: Admission
  readonly #gateway: string
  readonly #limits: FrameSourceLimits
  readonly #others: OtherWishes
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #logBad: (message: string) => void
  readonly #logRefused: (message: string) => void
  #nats: Nats | undefined
  #links: FrameLinks | undefined

  constructor(gateway: string, limits: FrameSourceLimits, memory: MemoryBudget, metrics: Metrics, log: Logger) {
    this.#gateway = gateway
    this.#limits = limits
    this.#others = new OtherWishes(gateway)
    this.#metrics = metrics
    this.#log = log
    this.#admission = new Admission(limits, memory)
    this.#logBad = everyMinute((count, error) => log.warn({ count, error }, 'dropped bad frames or packets'))
    this.#logRefused = everyMinute((count, camera) => log.warn({ count, camera }, this.#admission.busy))
    metrics.demand.set({ wants: 'all' }, 0)
    metrics.demand.set({ wants: 'keyframes' }, 0)
  }

  /** From here on requests can be served. At disposal the sidecars are told that nothing is wanted any more. */
  start(nats: Nats, links: FrameLinks): AsyncDisposable {
    this.#nats = nats
    this.#links = links
    const timer = setInterval(() => this.#tick(nats), DEMAND_INTERVAL_MS)
    const demands = hearDemands(nats, this.#others, ({ reason }) => this.#metrics.badMessages.inc({ reason }))
    const reconnected = nats.onReconnect(() => this.#tick(nats))
    return {
      [Symbol.asyncDispose]: async () => {
        clearInterval(timer)
        demands[Symbol.dispose]()
        reconnected[Symbol.dispose]()
        for (const camera of this.#cameras.all) this.#end(camera)
        this.#nats = undefined
        await within(END_MS, 'decoders', this.#cameras.ended()).catch(() => {})
        // The connection is closed next, which forgets what is not yet sent.
        if (nats.connected()) await within(FLUSH_MS, 'NATS', nats.nc.flush()).catch(() => {})
      },
    }
  }

  /**
   * The camera's frames as they are wished for, from now on and for ten seconds more. A `consumer` that is given has one wish for a camera: the one
   * before counts no more. Until the substream gives frames, the main one does. Throws a Refusal.
   */
  ask(known: KnownCamera, wish: Wish, consumer?: object): RenditionFrames {
    if (wish.stream === 'sub') return this.#askOf(substreamOf(known), wish, consumer)
    const small = wish.stream === 'main' ? undefined : this.#askSubstream(known, wish, consumer)
    const unused = this.#cameras.get(small === undefined ? { uid: known.uid, stream: 'sub' } : { uid: known.uid })
    if (small?.isFlowing !== false && consumer !== undefined) unused?.drop(consumer)
    return small?.isFlowing === true ? small.frames : this.#askOf(known, wish, consumer)
  }

  /** Frames of the substream, where the rendition can come from it. */
  #askSubstream(known: KnownCamera, wish: Wish, consumer?: object): { frames: RenditionFrames; isFlowing: boolean } | undefined {
    if (known.record.substream !== true || wish.rendition === undefined) return undefined
    const sub = substreamOf(known)
    const rendition = renditionFrom(known, sub, wish.rendition)
    if (rendition === undefined || (wish.isBrief === true && this.#cameras.get(sub) === undefined)) return undefined
    try {
      const frames = this.#askOf(sub, { ...wish, rendition }, consumer)
      return { frames, isFlowing: isStreaming(sub) && this.#cameras.get(sub)?.hasFrames === true }
    } catch (error) {
      // There is no room for one more rendition of it.
      if (error instanceof Refusal) return undefined
      throw error
    }
  }

  #askOf(known: KnownCamera, { rendition, keyframesOnly, maxFps }: Wish, consumer?: object): RenditionFrames {
    if (this.#nats === undefined) throw new Refusal('unavailable', 'NATS has not been reached yet')
    const nowMs = performance.now()
    let camera = this.#cameras.get(known)
    if (camera === undefined) {
      camera = new CameraFrames(known, { ringBytesMax: this.#limits.ringBytesMax, metrics: this.#metrics })
      this.#cameras.add(camera)
    }
    camera.known = known
    const frames = camera.of(rendition, consumer, nowMs)
    if (frames.wishes.ask(consumer, { keyframesOnly, maxFps }, nowMs)) this.#settle(this.#nats, camera, nowMs)
    return frames
  }

  /** Where a camera is decoded now, and how many wishes there are. */
  view(uid: string): { decodedIn: Upstream['where'] | undefined; wishes: number } {
    const nowMs = performance.now()
    const [main, sub] = [this.#cameras.get({ uid }), this.#cameras.get({ uid, stream: 'sub' })]
    const decoded = main?.upstreams.wanted ?? sub?.upstreams.wanted
    return { decodedIn: decoded?.where, wishes: (main?.wishes(nowMs) ?? 0) + (sub?.wishes(nowMs) ?? 0) }
  }

  /** Ends a camera's frames, as when the camera is deleted. */
  end(uid: string): void {
    for (const camera of [this.#cameras.get({ uid }), this.#cameras.get({ uid, stream: 'sub' })])
      if (camera !== undefined) this.#end(camera)
  }

  #end(camera: CameraFrames): void {
    this.#cameras.remove(camera)
    const none: Demand = { v: 1, gateway: this.#gateway, ...streamIn(camera), wants: 'none' }
    if (this.#nats !== undefined) sayDemand(this.#nats, camera.ref, none)
  }

  #tick(nats: Nats): void {
    const nowMs = performance.now()
    this.#others.expire(nowMs)
    const wanting = { all: 0, keyframes: 0, none: 0 }
    let [refused, thinned] = [0, 0]
    for (const camera of this.#cameras.all) {
      const wants = camera.wants(nowMs)
      if (wants === 'none') {
        this.#end(camera)
        continue
      }
      wanting[wants]++
      for (const upstream of camera.upstreams.all) upstream.tick(nowMs, camera.known.report?.state.lastPacketAt)
      camera.said = ''
      const decision = this.#settle(nats, camera, nowMs)
      if (decision === 'refused') refused++
      else if (decision.room !== 'all') thinned++
      camera.expire(nowMs)
    }
    this.#shareRings()
    this.#metrics.demand.set({ wants: 'all' }, wanting.all)
    this.#metrics.demand.set({ wants: 'keyframes' }, wanting.keyframes)
    this.#metrics.decodersRefused.set(refused)
    this.#metrics.camerasThinned.set(thinned)
  }

  /** Rings hold fewer frames where memory is short. */
  #shareRings(): void {
    const { memory } = this.#admission
    const cameras = this.#cameras.all
    const wanted = cameras.reduce((sum, { ringsWanted }) => sum + ringsWanted, 0)
    for (const camera of cameras) camera.giveRings(ringsPart(wanted, memory.ringsMax))
    memory.rings = cameras.reduce((sum, { ringBytes }) => sum + ringBytes, 0)
  }

  /** Gets the camera's frames from where they are to come from now, and says so unless that is what was said last. */
  #settle(nats: Nats, camera: CameraFrames, nowMs: number): Decision {
    const cost = costOf(camera, nowMs)
    const placing = { ...this.#limits, admission: this.#admission, others: this.#others }
    const { decision, renditionsRate } = place(camera, cost, placing, nowMs)
    const { upstreams, known } = camera
    const before = upstreams.wanted?.where
    const { ref, uid, deviceId } = known
    const source: DecoderSource = { ref, uid, deviceId, ...streamIn(camera) }
    this.#admission.take(camera.takes, cost, decision, renditionsRate)
    if (decision === 'refused') upstreams.useNone()
    else upstreams.use(decision.where, onFrame => this.#open(nats, camera, source, { cost, ...decision }, onFrame))
    const demand = thinned(camera.demand(nowMs), decision)
    for (const upstream of upstreams.all) upstream.want(demand)
    if (decision !== 'refused' && before !== undefined && before !== decision.where) {
      this.#metrics.moves.inc({ camera: camera.camera, to: decision.where })
      this.#log.info({ camera: camera.camera, to: decision.where }, 'decode placement changed')
    }
    if (decision === 'refused' || decision.room !== 'all') this.#logRefused(camera.camera)
    this.#say(nats, camera, decision)
    return decision
  }

  /** The camera's frames as its sidecar decodes them, or decoded here. */
  #open(nats: Nats, camera: CameraFrames, source: DecoderSource, { where, room, cost }: Opening, onFrame: OnFrame): Upstream {
    const onBad = ({ reason, message }: BadMessage) => {
      this.#metrics.badMessages.inc({ reason })
      this.#logBad(`${refText(source.ref)}: ${message}`)
    }
    if (where === 'Sidecar') {
      const link = this.#links?.take(windowOf(rawFrameBytes(cost.codec, cost.decoding.scale))) ?? { nats, [Symbol.dispose]: () => {} }
      const onTaken = (place: Place) => this.#taken(nats, camera, { ...place, run: camera.taken.run })
      const onListening = () => this.#taken(nats, camera, { ...camera.taken, run: camera.taken.run + 1 })
      return new SidecarFrames(link, camera.known, { onFrame, onBad, onListening, onTaken }, this.#metrics, this.#log)
    }
    const onReport = () => this.#say(nats, camera, { where, room })
    const taken = this.#admission.decoders.enter(this.#admission.load(cost, room), room === 'keyframes')
    camera.takes.decoder = taken
    const onEnded = () => {
      taken[Symbol.dispose]()
      if (camera.takes.decoder === taken) camera.takes.decoder = undefined
    }
    return new GatewayDecoder(this.#links?.packets ?? nats, source, { onFrame, onBad, onReport, onEnded }, this.#metrics, this.#log)
  }

  /** Tells the sidecar that a frame has come. */
  #taken(nats: Nats, camera: CameraFrames, taken: CameraFrames['taken']): void {
    camera.taken = taken
    if (camera.demanded !== undefined && this.#cameras.isOpen(camera)) sayDemand(nats, camera.ref, { ...camera.demanded, taken })
  }

  /** Tells the sidecar what it is to decode, and how decoding here goes, unless it was told just so. */
  #say(nats: Nats, camera: CameraFrames, decision: Decision): void {
    if (!this.#cameras.isOpen(camera)) return
    const { demand, isSent, why } = sidecarDemand(this.#gateway, camera, decision, this.#admission, performance.now())
    camera.why = why
    const text = JSON.stringify(demand)
    if (text === camera.said) return
    camera.said = text
    camera.demanded = demand
    sayDemand(nats, camera.ref, isSent ? { ...demand, taken: camera.taken } : demand)
  }
}

type Opening = Exclude<Decision, 'refused'> & { cost: Cost }

/** What decoders here are to give of it. */
const thinned = (demand: readonly RenditionDemand[], decision: Decision): readonly RenditionDemand[] =>
  decision !== 'refused' && decision.room === 'keyframes' ? demand.map(one => ({ ...one, wants: 'keyframes' as const })) : demand
