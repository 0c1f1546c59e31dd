// Packets → frames while they are wanted, in one or more renditions.
import type { Packet } from '../../proto/messages.ts'
import { IMAGE_KEY, renditionKey, type LiveFrame, type RenditionDemand } from '../../proto/rendition.ts'
import type { Activity, Codec } from '../../proto/state.ts'
import type { Logger } from '../log.ts'
import type { DecodedFrame, DecoderOutput } from './decoder.ts'
import { tooLarge } from './frame-limit.ts'
import { PictureMemory } from './frame-memory.ts'
import type { Gop } from './gop.ts'
import { decodesAlone } from './parameters.ts'
import { RateLimit } from './rate-limit.ts'
import { planOf, type RenditionPlan } from './rendition-plan.ts'
import { sealDecoded, toLiveFrame } from './encode-frame.ts'
import { StreamDecoder } from './stream-decoder.ts'

export type LiveOptions = {
  deviceId: string
  /** Its owner fills it, before `push`. */
  gop: Gop
  /** The receiver of the frame releases its lease. `seq` rises with each frame of any rendition. */
  publish: (rendition: string, frame: LiveFrame, seq: number) => void
  onHealth: (health: Activity) => void
  count: LiveCount
  log: Logger
}

/** What is counted, where there are metrics. */
export type LiveCount = {
  decoded: (isCorrupt: boolean) => void
  /** A frame, or a packet before it became one. */
  dropped: (cause: 'decoder_failed' | 'decoder_behind' | 'late') => void
  /** A frame that was decoded and no more, as no rendition wants it. */
  unwanted: () => void
  /** From a packet's arrival at the decoder to its frame. */
  tookMs: (ms: number) => void
}

const RESTART_MS = 1_000
/** A changed set of renditions starts a decoder no sooner than this after the one before. */
const CHANGE_MS = 200
/** Of keyframes closer than this all packets are decoded. */
const SHORT_GOP_MS = 500
const DECODERS_MAX = 4
/** So many times faster than keyframes come a rendition may be wanted that is given keyframes; and, once it is, be wanted further. */
const KEYED_MAX = { begin: 1.1, goOn: 1.5 }

/** What to decode. `stream`: all packets. `keyframes`: those alone. */
type Mode = 'none' | 'stream' | 'keyframes'

/**
 * - `off`: nothing is wanted, or no packet has come.
 * - `refused`: the frames are too large.
 * - `waiting`: something must be decoded, and no decoder runs yet: no GOP is at hand, or the last decoder failed just now.
 * - `running`: one decoder gives the renditions.
 * - `changing`: it goes on, while a second one for other renditions catches up.
 */
type Phase = 'off' | 'refused' | 'waiting' | 'running' | 'changing'

/** One rendition that is wanted. */
type Wanted = {
  demand: RenditionDemand
  readonly limit: RateLimit
  readonly memory: PictureMemory
  /** It is wanted no faster than keyframes come. */
  isKeyed: boolean
  /** Of the frames that were delivered. */
  newest: { epoch: number; timestamp: number }
  /** Packets were lost since the frame that was delivered last. */
  gap: boolean
}

/** What an output of a decoder is. */
type Output = { readonly key: string; readonly rendition: string; readonly plan: RenditionPlan; readonly options: DecoderOutput }
type Running = {
  readonly stream: StreamDecoder
  readonly outputs: readonly Output[]
  readonly codec: Codec
  /** Capture time of its first frame. */
  fromMs: number | undefined
  /** Of its newest frame. */
  untilMs: number
}

/**
 * Decoding begins with the last keyframe held, and delivers from the newest frame on. One ffmpeg gives all renditions. When a rendition is
 * added, a second one starts, and takes over when it has caught up: each frame is given once, and none is left out. `push` never waits: a
 * decoder that is behind skips to a keyframe, and one that fails is started again after a second.
 */
export class LiveDecoder implements AsyncDisposable {
  readonly #options: LiveOptions
  readonly #gop: Gop
  readonly #wanted = new Map<string, Wanted>()
  /** Which renditions are to give a packet's frame. */
  readonly #choices = new WeakMap<Packet, Set<string>>()
  #codec: Codec | undefined
  #gopMs: number | undefined
  /** The last keyframe needs no packet before it, as one of an open GOP does. */
  #decodesAlone = true
  #keyTimestamp: number | undefined
  /** From the last keyframe to the newest packet. */
  #sinceKeyMs = 0
  #current: Running | undefined
  /** It gives renditions that `#current` does not, and takes over when it has caught up. */
  #next: Running | undefined
  #restartAfter = 0
  #changeAfter = 0
  /** Why nothing is decoded, until something is. */
  #problem: string | undefined
  #seq = 0
  readonly #running = new Set<Promise<void>>()

  constructor(options: LiveOptions) {
    this.#options = options
    this.#gop = options.gop
  }

  /** From the next packet on; a rendition that was not wanted before is given the newest frame there is. */
  setDemand(demand: readonly RenditionDemand[]): void {
    const joined = new Set<string>()
    for (const key of this.#wanted.keys()) if (demand.every(other => other.key !== key)) this.#wanted.delete(key)
    for (const one of demand) {
      const known = this.#wanted.get(one.key)
      if (known !== undefined) known.demand = one
      else {
        joined.add(one.key)
        const nothing = { newest: { epoch: 0, timestamp: 0 }, isKeyed: false, gap: false }
        this.#wanted.set(one.key, { demand: one, limit: new RateLimit(), memory: new PictureMemory(), ...nothing })
      }
    }
    if (this.#wanted.size === 0) this.#problem = undefined
    for (const wanted of this.#wanted.values()) this.#setKeyed(wanted)
    this.#giveNewest(joined)
    this.#settle()
    this.#report()
  }

  push(packet: Packet, codec: Codec, newEpoch: boolean): void {
    if (newEpoch) this.#endEpoch()
    if (packet.key) {
      this.#decodesAlone = decodesAlone(codec.name, packet.data, Buffer.from(codec.extradata, 'base64'))
      this.#gopMs = newEpoch || this.#keyTimestamp === undefined ? undefined : packet.timestamp - this.#keyTimestamp
      this.#keyTimestamp = packet.timestamp
    }
    this.#sinceKeyMs = packet.timestamp - (this.#keyTimestamp ?? packet.timestamp)
    for (const wanted of this.#wanted.values()) this.#setKeyed(wanted)
    this.#codec = codec
    const chosen = new Set<string>()
    for (const [key, wanted] of this.#wanted) if (this.#takes(wanted, packet)) chosen.add(key)
    if (chosen.size > 0) this.#choices.set(packet, chosen)
    const started = this.#settle()
    for (const running of [this.#current, this.#next]) if (running !== started) running?.stream.feed(packet)
    if (newEpoch) this.#report()
  }

  /** The connection has ended: what it left must not be shown as if it were new. */
  reset(): void {
    this.#endStreams()
    this.#markGap()
    this.#keyTimestamp = this.#gopMs = undefined
    this.#sinceKeyMs = 0
    this.#report()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wanted.clear()
    this.#endStreams()
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  get #mode(): Mode {
    if (this.#wanted.size === 0 || this.#codec === undefined || this.#tooLarge !== undefined) return 'none'
    const isShort = this.#codec.name === 'mjpeg' || (this.#gopMs !== undefined && this.#gopMs < SHORT_GOP_MS)
    return isShort || !this.#decodesAlone || [...this.#wanted.values()].some(({ demand, isKeyed }) => demand.wants === 'all' && !isKeyed)
      ? 'stream'
      : 'keyframes'
  }

  get #tooLarge(): string | undefined {
    return this.#codec && tooLarge(this.#codec.width, this.#codec.height)
  }

  /** Before the first whole GOP keyframes are taken to come soon: until one is late, many cameras that join at once need no other packets. */
  #setKeyed(wanted: Wanted): void {
    const { maxFps } = wanted.demand
    const max = wanted.isKeyed && this.#gopMs !== undefined ? KEYED_MAX.goOn : KEYED_MAX.begin
    wanted.isKeyed = maxFps !== undefined && (maxFps * Math.max(this.#gopMs ?? 0, this.#sinceKeyMs)) / 1000 <= max
  }

  #takes({ demand, limit, isKeyed }: Wanted, { key, timestamp }: Packet): boolean {
    const { wants, maxFps } = demand
    return (key || (wants === 'all' && !isKeyed)) && (maxFps === undefined || limit.takes(timestamp, maxFps))
  }

  /** Decoding gives renditions that join the newest frame. */
  #giveNewest(joined: ReadonlySet<string>): void {
    const { packets, newestPts } = this.#gop
    const newest = packets.find(({ pts }) => pts === newestPts)
    const [keyframe] = packets
    if (joined.size === 0 || newest === undefined || keyframe === undefined || this.#codec === undefined) return
    for (const [key, wanted] of this.#wanted) {
      if (joined.has(key) && this.#takes(wanted, newest)) this.#choices.set(newest, (this.#choices.get(newest) ?? new Set()).add(key))
    }
    if (this.#mode === 'keyframes') this.#choices.set(keyframe, new Set(joined))
  }

  /** Starts or ends decoders as the demand wants it; returns the one that was started, which feeds itself the whole GOP. */
  #settle(): Running | undefined {
    if (this.#mode === 'none') this.#endStreams()
    if (this.#current?.stream.isStuck === true) this.#failed('packets come, but no frame out of them')
    const [first] = this.#gop.packets
    const codec = this.#codec
    if (this.#mode === 'none' || first === undefined || codec === undefined) return undefined
    if (this.#gives(this.#current)) {
      this.#next?.stream.stop()
      this.#next = undefined
      return undefined
    }
    const nowMs = performance.now()
    if (this.#gives(this.#next) || nowMs < this.#restartAfter || this.#running.size >= DECODERS_MAX) return undefined
    if (this.#current !== undefined && nowMs < this.#changeAfter) return undefined
    const outputs = this.#outputs(codec)
    if (outputs.length === 0) return undefined
    this.#changeAfter = nowMs + CHANGE_MS
    return this.#start(outputs, codec)
  }

  #start(outputs: readonly Output[], codec: Codec): Running {
    const { count } = this.#options
    const stream = new StreamDecoder(codec, this.#gop, {
      outputs: outputs.map(({ options }) => options),
      count: { ...count, dropped: cause => (this.#markGap(), count.dropped(cause)) },
      keyframesSuffice: () => this.#mode === 'keyframes',
      reorder: () => this.#codec?.reorder ?? 0,
      wantedOf: packet => bitsOf(outputs, this.#choices.get(packet)),
      onFrame: frame => this.#arrived(running, frame),
    })
    const running: Running = { stream, outputs, codec, fromMs: undefined, untilMs: -Infinity }
    this.#next?.stream.stop()
    if (this.#current === undefined) this.#current = running
    else this.#next = running
    this.#track(
      stream.run().then(problem => {
        if (running === this.#current) this.#failed(problem)
        else if (running === this.#next) this.#nextFailed(problem)
      }),
    )
    this.#report()
    return running
  }

  /** Whether a decoder gives all that is wanted. */
  #gives(running: Running | undefined): boolean {
    if (running === undefined) return false
    const given = new Map(running.outputs.map(({ key, rendition }) => [key, rendition]))
    return [...this.#wanted].every(([key, { demand }]) => given.get(key) === renditionKey(demand.rendition) || !this.#isPossible(demand))
  }

  #isPossible({ rendition }: RenditionDemand): boolean {
    return this.#codec !== undefined && planOf(rendition, this.#codec) !== undefined
  }

  #outputs(codec: Codec): Output[] {
    return [...this.#wanted].flatMap(
      ([
        key,
        {
          demand: { rendition },
          memory,
        },
      ]) => {
        const plan = planOf(rendition, codec)
        if (plan === undefined) return []
        const { filters, encoderArgs } = plan
        return [{ key, rendition: renditionKey(rendition), plan, options: { filters, encoderArgs, format: rendition.format, memory } }]
      },
    )
  }

  #failed(problem: string): void {
    this.#endStreams()
    this.#markGap()
    this.#restartAfter = performance.now() + RESTART_MS
    this.#options.count.dropped('decoder_failed')
    if (problem !== this.#problem) this.#options.log.warn({ reason: 'NoDecodableFrames' }, problem)
    this.#problem = problem
    this.#report()
  }

  /** What is given goes on. */
  #nextFailed(problem: string): void {
    this.#next = undefined
    this.#changeAfter = performance.now() + RESTART_MS
    this.#options.log.warn({ reason: 'NoDecodableFrames' }, problem)
  }

  #endEpoch(): void {
    this.#current?.stream.finish()
    this.#next?.stream.stop()
    this.#current = undefined
    this.#next = undefined
    if (this.#codec !== undefined) this.#markGap()
  }

  #endStreams(): void {
    this.#current?.stream.stop()
    this.#next?.stream.stop()
    this.#current = undefined
    this.#next = undefined
  }

  #markGap(): void {
    for (const wanted of this.#wanted.values()) wanted.gap = wanted.newest.timestamp > 0
  }

  #track(running: Promise<void>): void {
    this.#running.add(running)
    void running.finally(() => {
      this.#running.delete(running)
      this.#report()
    })
  }

  get #phase(): Phase {
    if (this.#tooLarge !== undefined) return 'refused'
    if (this.#mode === 'none') return 'off'
    if (this.#next !== undefined) return 'changing'
    return this.#current === undefined ? 'waiting' : 'running'
  }

  #report(): void {
    const phase = this.#phase
    const active = phase === 'running' || phase === 'changing'
    const { onHealth } = this.#options
    const message = this.#tooLarge
    if (message !== undefined) return onHealth({ active: false, ok: false, reason: 'ResolutionTooLarge', message })
    if (this.#problem !== undefined) return onHealth({ active, ok: false, reason: 'NoDecodableFrames', message: this.#problem })
    onHealth({ active, ok: true })
  }

  #arrived(running: Running, frame: DecodedFrame): void {
    const output = running.outputs[frame.output] as Output
    const { timestamp } = frame.packet
    running.fromMs ??= timestamp
    running.untilMs = Math.max(running.untilMs, timestamp)
    if (running === this.#next && this.#hasCaughtUp(running)) {
      this.#current?.stream.stop()
      this.#current = running
      this.#next = undefined
    }
    this.#frame(output, frame, running.codec, running !== this.#next)
  }

  /** It gives frames as new as the current decoder does, and that one has given all that lie before its first. */
  #hasCaughtUp({ fromMs = Infinity, untilMs }: Running): boolean {
    if (this.#current === undefined) return true
    const { outputs, untilMs: givenMs } = this.#current
    const whole = outputs.flatMap(({ key }) => this.#wanted.get(key) ?? []).filter(({ demand, isKeyed }) => isWhole(demand) && !isKeyed)
    return untilMs >= givenMs && givenMs >= fromMs && whole.every(({ newest }) => newest.timestamp >= fromMs)
  }

  /** `isCounted`: that it comes late is no fault where a decoder is still to take over. */
  #frame({ key: rendition, plan }: Output, frame: DecodedFrame, codec: Codec, isCounted: boolean): void {
    const { count, publish, deviceId } = this.#options
    const { packet, key, corrupt, buffer } = frame
    const wanted = this.#wanted.get(rendition)
    if (wanted === undefined) return // its memory is not used again
    const giveBack = () => wanted.memory.give(buffer)
    count.decoded(corrupt)
    if (this.#problem !== undefined) {
      this.#problem = undefined
      this.#report()
    }
    if (!key && (wanted.demand.wants === 'keyframes' || wanted.isKeyed)) return giveBack()
    // The last frames of an epoch, or a keyframe's decoder, when the next one was quicker; or a decoder that is to take over.
    const { epoch, timestamp } = wanted.newest
    if (packet.epoch < epoch || (packet.epoch === epoch && packet.timestamp <= timestamp)) {
      giveBack()
      return isCounted ? count.dropped('late') : undefined
    }
    wanted.newest = { epoch: packet.epoch, timestamp: packet.timestamp }
    const { gap } = wanted
    wanted.gap = false
    const message = rendition === IMAGE_KEY ? sealDecoded(frame, codec, deviceId) : undefined
    const lease = wanted.memory.lease(buffer)
    publish(rendition, toLiveFrame(frame, { geometry: plan.geometry, gap, message, lease }), ++this.#seq)
  }
}

/** Every frame is wanted. */
const isWhole = ({ wants, maxFps }: RenditionDemand): boolean => wants === 'all' && maxFps === undefined

/** A bit for each output that is chosen. */
const bitsOf = (outputs: readonly Output[], chosen: ReadonlySet<string> | undefined): number =>
  chosen === undefined ? 0 : outputs.reduce((bits, { key }, i) => bits | (chosen.has(key) ? 1 << i : 0), 0)
