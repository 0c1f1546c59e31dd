// A decoder of one epoch, from the group of pictures at hand on: of every frame, or of keyframes alone.
import { availableParallelism } from 'node:os'
import { FRAME_ROOM } from '../../proto/frame.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import { messageOf } from '../errors.ts'
import { Decoder, type DecodedFrame, type DecoderOutput } from './decoder.ts'
import { complaintIn } from './ffmpeg-log.ts'
import type { Gop } from './gop.ts'
import { KeyframeGate } from './keyframe-gate.ts'
import type { LiveCount } from './live-decoder.ts'
import { Pace } from './pace.ts'
import { Turns } from './turns.ts'

const UNDECODABLE_MS = 20_000
/** How long the last frames of an epoch may take. */
const FINISH_MS = 2_000
/** Bytes that wait for a decoder before it is taken to be too slow for its camera. */
const BACKLOG_MAX = 8 * 2 ** 20

/** Of this process. To start ffmpeg and to come to the newest frame costs as much as seconds of decoding: more at once would hold up all that run. */
const STARTS = new Turns(Math.max(2, availableParallelism()))
/** A start that takes longer holds up no other. */
const START_MS = 2_000

export type StreamDecoderOptions = {
  outputs: readonly DecoderOutput[]
  count: Pick<LiveCount, 'dropped' | 'unwanted' | 'tookMs'>
  /** Only keyframes are wanted now. They are decoded alone; when more is wanted again, what was left out is decoded first. */
  keyframesSuffice: () => boolean
  /** Frames that the decoder holds back for B-frames, as far as is known by now. */
  reorder: () => number
  /** A bit for each output that is to give the packet's frame. */
  wantedOf: (packet: Packet) => number
  onFrame: (frame: DecodedFrame) => void
}

export class StreamDecoder {
  readonly #codec: Codec
  readonly #gop: Gop
  readonly #options: StreamDecoderOptions
  readonly #fromPts: number
  readonly #over = Promise.withResolvers<void>()
  readonly #pace = new Pace()
  #decoder: Decoder | undefined
  /** Since when a frame is awaited. */
  #awaitedSinceMs: number | undefined
  #complaint = 'without a word'
  /** The group of pictures it begins with may be larger, and is no reason to give up: it shrinks as that is decoded. */
  #backlogMax = BACKLOG_MAX
  /** Closed when it is too far behind, until what was fed has come out. */
  readonly #gate = new KeyframeGate('open')
  /** The last packet that was fed. */
  #last: Packet | undefined
  /** Packets behind it were left out. */
  #isThin = false
  /** Where keyframes suffice: the one that is to come out. */
  #keyframe: Packet | undefined
  /** Packets that were fed since the last keyframe. */
  #following = 0
  /** Until the first frame. */
  #starting: Disposable | undefined

  constructor(codec: Codec, gop: Gop, options: StreamDecoderOptions) {
    this.#codec = codec
    this.#gop = gop
    this.#options = options
    this.#fromPts = gop.newestPts
  }

  /** Packets go in and no frame has come out for long. */
  get isStuck(): boolean {
    return this.#awaitedSinceMs !== undefined && performance.now() - this.#awaitedSinceMs > UNDECODABLE_MS
  }

  /** Resolves when it was told to end, or with why the decoder ended by itself. Never rejects. */
  async run(): Promise<string> {
    this.#starting = await STARTS.take(this.#over.promise)
    if (this.#starting === undefined) return 'it was ended before it began'
    const timer = setTimeout(() => this.#started(), START_MS)
    try {
      await using decoder = await Decoder.start({
        ...{ codec: this.#codec, outputs: this.#options.outputs, threads: 1, room: FRAME_ROOM },
        onFrame: frame => this.#deliver(frame),
        onLine: line => (this.#complaint = complaintIn(line) ?? this.#complaint),
      })
      // Everything since the keyframe, packets that came while ffmpeg started included.
      const { packets } = this.#gop
      const isThin = this.#options.keyframesSuffice()
      for (const packet of isThin ? packets.slice(0, 1 + this.#options.reorder()) : packets) this.#write(decoder, packet)
      this.#isThin = isThin
      if (!isThin) this.#awaitedSinceMs ??= performance.now()
      this.#backlogMax += decoder.backlog
      this.#decoder = decoder
      await Promise.race([decoder.ended, this.#over.promise])
      return `the decoder ended: ${this.#complaint}`
    } catch (error) {
      return messageOf(error)
    } finally {
      this.#decoder = undefined
      clearTimeout(timer)
      this.#started()
    }
  }

  #started(): void {
    this.#starting?.[Symbol.dispose]()
  }

  feed(packet: Packet): void {
    const decoder = this.#decoder
    if (decoder === undefined) return // it starts with the group, which has the packet
    this.#backlogMax = Math.min(this.#backlogMax, BACKLOG_MAX + decoder.backlog)
    if (decoder.backlog > this.#backlogMax || this.#pace.isBehind) this.#gate.close()
    const isBehind = !this.#gate.isOpen
    const hasCaughtUp = () => decoder.backlog === 0 && this.#pace.isDrained
    if (!this.#gate.passes(packet, hasCaughtUp)) return this.#options.count.dropped('decoder_behind')
    if (isBehind) this.#pace.resume()
    if (this.#needs(packet)) for (const next of this.#leftOut(packet)) this.#write(decoder, next)
    else this.#isThin = true
  }

  /** A keyframe comes out once the decoder has as many packets as it holds back for B-frames. */
  #needs(packet: Packet): boolean {
    if (!this.#options.keyframesSuffice()) return true
    if (packet.key) return this.#options.wantedOf(packet) !== 0
    return this.#keyframe !== undefined && this.#following < this.#options.reorder()
  }

  /** The packet, and those that it needs and that were not fed. */
  #leftOut(packet: Packet): readonly Packet[] {
    if (packet.key || !this.#isThin) return [packet]
    const { packets } = this.#gop
    return packets.slice(this.#last === undefined ? 0 : packets.indexOf(this.#last) + 1)
  }

  /** No packet follows: delivers what is on its way, then ends. */
  finish(): void {
    if (this.#decoder === undefined) return this.stop()
    this.#decoder.end()
    const timer = setTimeout(() => this.stop(), FINISH_MS)
    void this.#decoder.ended.then(() => clearTimeout(timer))
  }

  stop(): void {
    this.#over.resolve()
  }

  #write(decoder: Decoder, packet: Packet): void {
    const isThin = this.#options.keyframesSuffice()
    const isNew = packet.pts >= this.#fromPts || isThin
    const wanted = isNew ? this.#options.wantedOf(packet) : 0
    if (isNew && wanted === 0) this.#options.count.unwanted()
    decoder.feed(packet, wanted)
    this.#last = packet
    this.#isThin = false
    if (packet.key) this.#keyframe = isThin && wanted !== 0 ? packet : undefined
    this.#following = packet.key ? 0 : this.#following + 1
    if (wanted !== 0) this.#awaitedSinceMs ??= performance.now()
    this.#pace.fed(packet, performance.now(), wanted !== 0)
  }

  #deliver(frame: DecodedFrame): boolean {
    this.#started()
    this.#awaitedSinceMs = undefined
    if (frame.packet === this.#keyframe) this.#keyframe = undefined
    const tookMs = this.#pace.delivered(frame.packet, performance.now())
    if (tookMs !== undefined) this.#options.count.tookMs(tookMs)
    this.#options.onFrame(frame)
    return true
  }
}
