// Packets → frames while somebody wants them: from the last keyframe held, delivered from the newest frame on once the
// decoder has caught up.
import { FRAME_ROOM, PIXELS_MAX } from '../../proto/frame.ts'
import type { Frame, Packet } from '../../proto/messages.ts'
import type { Activity, Codec, Demand } from '../../proto/state.ts'
import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { Decoder, type DecodedFrame } from './decoder.ts'
import type { Gop } from './gop.ts'
import { PictureMemory } from './frame-memory.ts'
import { sealDecoded } from './encode-frame.ts'
import { complaintIn } from './ffmpeg-log.ts'
import { StreamDecoder } from './stream-decoder.ts'
import { Thinning } from './thinning.ts'

export type Wants = Demand['wants']

export type LiveOptions = {
  deviceId: string
  /** Filled by whoever owns it, before `push`. */
  gop: Gop
  decoding: { scale: string | undefined; maxFps: number | undefined; keyFramesOnly: boolean }
  /** Whoever takes the frame releases its lease. */
  publish: (frame: Frame) => void
  onHealth: (health: Activity) => void
  count: LiveCount
  log: Logger
}

/** What is to be counted, by whoever has metrics. */
export type LiveCount = {
  decoded: (isCorrupt: boolean) => void
  /** A frame, or a packet before it became one. */
  dropped: (cause: 'decoder_failed' | 'decoder_behind' | 'late') => void
  /** A picture that was decoded and no more, as nobody would have taken it. */
  unwanted: () => void
  /** From a packet's arrival at the decoder to its frame. */
  tookMs: (ms: number) => void
}

const RESTART_MS = 1_000
/** A keyframe alone is decoded in a moment, or not at all. */
const KEYFRAME_MS = 10_000
/** Keyframes closer than this are not worth a decoder each. */
const SHORT_GOP_MS = 500
const DECODERS_MAX = 4

/** `none`; every frame; keyframes as part of every frame (short GOPs); keyframes alone. */
type Mode = 'none' | 'all' | 'filtered' | 'keyframes'

export class Live implements AsyncDisposable {
  readonly #options: LiveOptions
  readonly #gop: Gop
  readonly #memory = new PictureMemory()
  #codec: Codec | undefined
  #wants: Wants = 'none'
  readonly #thinning = new Thinning()
  #gopMs: number | undefined
  #keyTimestamp: number | undefined
  #stream: StreamDecoder | undefined
  #keyBusy = false
  #keyDecoder: Decoder | undefined
  #keyWaiting: { packet: Packet; codec: Codec } | undefined
  #restartAfter = 0
  /** Why nothing is decoded, until something is. */
  #problem: string | undefined
  #seq = 0
  /** Of the frames that were delivered. */
  #newest = { epoch: 0, timestamp: 0 }
  readonly #running = new Set<Promise<void>>()

  constructor(options: LiveOptions) {
    this.#options = options
    this.#gop = options.gop
  }

  /** `fps`: so many frames a second are enough, where all are wanted; from the next packet on. */
  setWants(wants: Wants, fps?: number): void {
    this.#thinning.fps = wants === 'all' ? fps : undefined
    if (wants === this.#wants) return
    this.#wants = wants
    if (wants === 'none') {
      this.#problem = undefined
      // Who comes next is given the newest frame there is, whoever had it before.
      this.#newest = { ...this.#newest, timestamp: 0 }
    }
    this.#settle()
    const [newest] = this.#gop.packets
    if (this.#mode === 'keyframes' && newest !== undefined && this.#codec !== undefined) this.#decodeKeyframe(newest, this.#codec)
    this.#report()
  }

  push(packet: Packet, codec: Codec, newEpoch: boolean): void {
    if (newEpoch) {
      this.#stream?.finish()
      this.#stream = undefined
    }
    if (packet.key) {
      this.#gopMs = newEpoch || this.#keyTimestamp === undefined ? undefined : packet.timestamp - this.#keyTimestamp
      this.#keyTimestamp = packet.timestamp
    }
    this.#codec = codec
    if (!this.#settle()) this.#stream?.feed(packet)
    if (this.#mode === 'keyframes' && packet.key) this.#decodeKeyframe(packet, codec)
    if (newEpoch) this.#report()
  }

  /** The connection has ended: what it left must not be shown as if it were new. */
  reset(): void {
    this.#endStream()
    this.#keyWaiting = undefined
    this.#report()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wants = 'none'
    this.#endStream()
    this.#keyWaiting = undefined
    await this.#keyDecoder?.[Symbol.asyncDispose]()
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  get #mode(): Mode {
    if (this.#wants === 'none' || this.#codec === undefined || this.#tooLarge) return 'none'
    if (this.#wants === 'all' && !this.#options.decoding.keyFramesOnly) return 'all'
    const short = this.#codec.name === 'mjpeg' || (this.#gopMs !== undefined && this.#gopMs < SHORT_GOP_MS)
    return short ? 'filtered' : 'keyframes'
  }

  get #tooLarge(): boolean {
    return this.#codec !== undefined && this.#codec.width * this.#codec.height > PIXELS_MAX
  }

  /** Starts or ends the running decoder as the mode wants it; true when it was started, which feeds it the whole GOP. */
  #settle(): boolean {
    const wanted = this.#mode === 'all' || this.#mode === 'filtered'
    if (!wanted) this.#endStream()
    if (this.#stream?.isStuck === true) this.#failed('packets come, but no frame out of them')
    const [first] = this.#gop.packets
    if (!wanted || this.#stream !== undefined || first === undefined || this.#codec === undefined) return false
    if (performance.now() < this.#restartAfter || this.#running.size >= DECODERS_MAX) return false
    const codec = this.#codec
    const { decoding, count } = this.#options
    const stream = new StreamDecoder(codec, this.#gop, {
      decoding,
      memory: this.#memory,
      count,
      isWanted: ({ timestamp }) => this.#mode !== 'all' || this.#thinning.takes(timestamp),
      onFrame: frame => this.#frame(frame, codec),
    })
    this.#stream = stream
    this.#track(
      stream.run().then(problem => {
        if (this.#stream === stream) this.#failed(problem)
      }),
    )
    this.#report()
    return true
  }

  #failed(problem: string): void {
    this.#endStream()
    this.#restartAfter = performance.now() + RESTART_MS
    this.#options.count.dropped('decoder_failed')
    if (problem !== this.#problem) this.#options.log.warn({ reason: 'NoDecodableFrames' }, problem)
    this.#problem = problem
    this.#report()
  }

  #endStream(): void {
    this.#stream?.stop()
    this.#stream = undefined
  }

  #track(running: Promise<void>): void {
    this.#running.add(running)
    void running.finally(() => {
      this.#running.delete(running)
      this.#report()
    })
  }

  #report(): void {
    const active = this.#mode !== 'none' && (this.#stream !== undefined || this.#mode === 'keyframes')
    const { onHealth } = this.#options
    if (this.#tooLarge && this.#codec !== undefined) {
      const { width, height } = this.#codec
      const message = `${width}×${height} is more than 40 megapixels`
      return onHealth({ active: false, ok: false, reason: 'ResolutionTooLarge', message })
    }
    if (this.#problem !== undefined) return onHealth({ active, ok: false, reason: 'NoDecodableFrames', message: this.#problem })
    onHealth({ active, ok: true })
  }

  /** A keyframe by itself, in a decoder of its own: one that runs on would hold back keyframes as if B-frames could follow. */
  #decodeKeyframe(packet: Packet, codec: Codec): void {
    if (this.#keyBusy) {
      if (this.#keyWaiting !== undefined) this.#options.count.dropped('decoder_behind')
      this.#keyWaiting = { packet, codec }
      return
    }
    this.#keyBusy = true
    this.#track(
      this.#decodeOne(packet, codec).finally(() => {
        this.#keyBusy = false
        const next = this.#keyWaiting
        this.#keyWaiting = undefined
        if (next !== undefined && this.#mode === 'keyframes') this.#decodeKeyframe(next.packet, next.codec)
      }),
    )
  }

  async #decodeOne(packet: Packet, codec: Codec): Promise<void> {
    let made = 0
    let problem = 'no picture in a keyframe'
    try {
      await using decoder = await Decoder.start({
        ...{ codec, scale: this.#options.decoding.scale, threads: 1, room: FRAME_ROOM, memory: this.#memory },
        onFrame: frame => {
          made++
          if (this.#wants === 'none') this.#memory.give(frame.buffer)
          else this.#frame(frame, codec)
          return true
        },
        onLine: line => (problem = complaintIn(line) ?? problem),
      })
      this.#keyDecoder = decoder
      const timer = setTimeout(() => void decoder[Symbol.asyncDispose](), KEYFRAME_MS)
      decoder.feed(packet)
      decoder.end()
      await decoder.ended
      clearTimeout(timer)
    } catch (error) {
      problem = messageOf(error)
    } finally {
      this.#keyDecoder = undefined
    }
    if (made === 0 && this.#wants !== 'none') this.#failed(problem)
  }

  #frame(frame: DecodedFrame, codec: Codec): void {
    const { count, publish, deviceId } = this.#options
    count.decoded(frame.corrupt)
    if (this.#problem !== undefined) {
      this.#problem = undefined
      this.#report()
    }
    const { packet, width, height, key, buffer } = frame
    if (this.#mode !== 'all' && !key) return this.#memory.give(buffer)
    // The last frames of an epoch, or a keyframe's decoder, when the next one was quicker.
    const { epoch, timestamp } = this.#newest
    if (packet.epoch < epoch || (packet.epoch === epoch && packet.timestamp <= timestamp)) {
      this.#memory.give(buffer)
      return count.dropped('late')
    }
    this.#newest = { epoch: packet.epoch, timestamp: packet.timestamp }
    const message = sealDecoded(frame, codec, deviceId)
    const lease = this.#memory.lease(buffer)
    publish({ epoch: packet.epoch, seq: ++this.#seq, timestamp: packet.timestamp, key, width, height, message, lease })
  }
}
