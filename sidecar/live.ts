// Packets → frames while somebody wants them: from the last keyframe held, delivered from the newest frame on once the
// decoder has caught up.
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import { Decoder, type DecodedFrame } from '../common/media/decoder.ts'
import { sealDecoded } from '../common/media/seal.ts'
import { FRAME_ROOM } from '../proto/frame.ts'
import type { Frame, Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import type { Wants } from './demand.ts'
import type { Gop } from './gop.ts'
import type { Metrics } from './metrics.ts'

export type DecodingHealth = { active: boolean; ok: boolean; reason?: string; message?: string }

export type LiveOptions = {
  deviceId: string
  /** Filled by whoever owns it, before `push`. */
  gop: Gop
  decoding: { scale: string | undefined; maxFps: number | undefined; keyFramesOnly: boolean }
  publish: (frame: Frame) => void
  onHealth: (health: DecodingHealth) => void
  metrics: Metrics
  log: Logger
}

const PIXELS_MAX = 40_000_000
const UNDECODABLE_MS = 20_000
const RESTART_MS = 1_000
/** Bytes that wait for a decoder before it is taken to be too slow for its camera. */
const BACKLOG_MAX = 8 * 2 ** 20
/** Keyframes closer than this are not worth a decoder each. */
const SHORT_GOP_MS = 500
const DECODERS_ENDING_MAX = 4

/** `none`; every frame; keyframes as part of every frame (short GOPs); keyframes alone. */
type Mode = 'none' | 'all' | 'filtered' | 'keyframes'

export class Live implements AsyncDisposable {
  readonly #options: LiveOptions
  readonly #gop: Gop
  #codec: Codec | undefined
  #wants: Wants = 'none'
  #gopMs: number | undefined
  #keyTimestamp: number | undefined
  #stream: StreamDecoder | undefined
  #keyBusy = false
  #keyWaiting: { packet: Packet; codec: Codec } | undefined
  #restartAfter = 0
  #seq = 0
  readonly #ending = new Set<Promise<void>>()

  constructor(options: LiveOptions) {
    this.#options = options
    this.#gop = options.gop
  }

  setWants(wants: Wants): void {
    this.#wants = wants
    for (const label of ['all', 'keyframes']) this.#options.metrics.demand.set({ wants: label }, wants === label ? 1 : 0)
    const [newest] = this.#gop.packets
    this.#settle()
    if (this.#mode === 'keyframes' && newest !== undefined && this.#codec !== undefined) this.#decodeKeyframe(newest, this.#codec)
    this.#report()
  }

  push(packet: Packet, codec: Codec, newEpoch: boolean): void {
    if (newEpoch) this.#endStream()
    if (packet.key) {
      this.#gopMs = newEpoch || this.#keyTimestamp === undefined ? undefined : packet.timestamp - this.#keyTimestamp
      this.#keyTimestamp = packet.timestamp
    }
    this.#codec = codec
    if (this.#mode === 'keyframes' && packet.key) this.#decodeKeyframe(packet, codec)
    else if (!this.#settle()) this.#stream?.feed(packet)
  }

  /** The connection has ended: what it left must not be shown as if it were new. */
  reset(): void {
    this.#endStream()
    this.#report()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wants = 'none'
    this.#endStream()
    while (this.#ending.size > 0) await Promise.all(this.#ending)
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
    if (this.#stream?.stuck === true) {
      this.#failed(`${UNDECODABLE_MS / 1000} s of packets and no frame`)
    }
    const [first] = this.#gop.packets
    if (!wanted || this.#stream !== undefined || first === undefined || this.#codec === undefined || performance.now() < this.#restartAfter)
      return false
    if (this.#ending.size >= DECODERS_ENDING_MAX) return false
    const stream = new StreamDecoder(this.#codec, this.#gop, this.#options, frame => this.#frame(frame))
    this.#stream = stream
    this.#track(
      stream.run().then(problem => {
        if (this.#stream !== stream) return
        this.#stream = undefined
        this.#failed(problem)
      }),
    )
    this.#report()
    return true
  }

  #failed(message: string): void {
    this.#endStream()
    this.#restartAfter = performance.now() + RESTART_MS
    this.#options.metrics.framesDropped.inc({ cause: 'decoder_failed' })
    this.#options.log.warn({ reason: 'NoDecodableFrames' }, message)
    this.#options.onHealth({ active: false, ok: false, reason: 'NoDecodableFrames', message })
  }

  #endStream(): void {
    const stream = this.#stream
    this.#stream = undefined
    if (stream !== undefined) this.#track(stream[Symbol.asyncDispose]())
  }

  #track(ending: Promise<void>): void {
    this.#ending.add(ending)
    void ending.finally(() => {
      this.#ending.delete(ending)
      this.#report()
    })
  }

  #report(): void {
    const active = this.#mode !== 'none' && (this.#stream !== undefined || this.#mode === 'keyframes')
    this.#options.metrics.decoderRunning.set(active ? 1 : 0)
    if (this.#tooLarge && this.#codec !== undefined) {
      const { width, height } = this.#codec
      const message = `${width}×${height} is more than 40 megapixels: choose a smaller stream of the camera`
      return this.#options.onHealth({ active: false, ok: false, reason: 'ResolutionTooLarge', message })
    }
    if (performance.now() >= this.#restartAfter) this.#options.onHealth({ active, ok: true })
  }

  /** A keyframe by itself, in a decoder of its own: one that runs on would hold back keyframes as if B-frames could follow. */
  #decodeKeyframe(packet: Packet, codec: Codec): void {
    if (this.#keyBusy) {
      if (this.#keyWaiting !== undefined) this.#options.metrics.framesDropped.inc({ cause: 'decoder_behind' })
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
    try {
      await using decoder = await Decoder.start({
        ...{ codec, scale: this.#options.decoding.scale, threads: 1, room: FRAME_ROOM },
        onFrame: frame => {
          made++
          if (this.#wants !== 'none') this.#frame(frame)
          return true
        },
      })
      const timer = setTimeout(() => void decoder[Symbol.asyncDispose](), UNDECODABLE_MS)
      decoder.feed(packet)
      decoder.end()
      await decoder.ended
      clearTimeout(timer)
    } catch (error) {
      this.#options.log.warn(messageOf(error))
    }
    if (made === 0) this.#options.metrics.framesDropped.inc({ cause: 'decoder_failed' })
  }

  #frame(frame: DecodedFrame): void {
    const { metrics } = this.#options
    metrics.framesDecoded.inc()
    if (frame.corrupt) metrics.framesCorrupt.inc()
    if (this.#mode !== 'all' && !frame.key) return
    const codec = this.#codec
    if (codec === undefined) return
    this.#options.publish(toMessage(frame, codec, this.#options.deviceId, ++this.#seq))
  }
}

function toMessage(frame: DecodedFrame, codec: Codec, deviceId: string, seq: number): Frame {
  const { packet, width, height, key } = frame
  const message = sealDecoded(frame, codec, deviceId)
  return { epoch: packet.epoch, seq, timestamp: packet.timestamp, key, width, height, message }
}

/** A decoder for every frame of one epoch, from the GOP at hand on. */
class StreamDecoder implements AsyncDisposable {
  readonly #codec: Codec
  readonly #gop: Gop
  readonly #options: LiveOptions
  readonly #onFrame: (frame: DecodedFrame) => void
  readonly #fromPts: number
  readonly #over = Promise.withResolvers<void>()
  readonly #fedAt = new Map<Packet, number>()
  #decoder: Decoder | undefined
  #lastFrameAt = performance.now()
  #lastWords = ''
  /** The backlog was dropped: waiting for the next keyframe. */
  #skipping = false

  constructor(codec: Codec, gop: Gop, options: LiveOptions, onFrame: (frame: DecodedFrame) => void) {
    this.#codec = codec
    this.#gop = gop
    this.#options = options
    this.#onFrame = onFrame
    this.#fromPts = gop.newestPts
  }

  /** Packets go in and no frame comes out. */
  get stuck(): boolean {
    return performance.now() - this.#lastFrameAt > UNDECODABLE_MS
  }

  /** Resolves when it was disposed of, or with why the decoder ended by itself. */
  async run(): Promise<string> {
    try {
      const { scale, maxFps } = this.#options.decoding
      await using decoder = await Decoder.start({
        ...{ codec: this.#codec, scale, maxFps, threads: 1, room: FRAME_ROOM },
        onFrame: frame => this.#deliver(frame),
        onLine: line => (this.#lastWords = line),
      })
      // Everything since the keyframe, packets that came while ffmpeg started included.
      for (const packet of this.#gop.packets) this.#write(decoder, packet)
      this.#decoder = decoder
      await Promise.race([decoder.ended, this.#over.promise])
      return `the decoder ended: ${this.#lastWords}`
    } catch (error) {
      return messageOf(error)
    } finally {
      this.#decoder = undefined
    }
  }

  feed(packet: Packet): void {
    const decoder = this.#decoder
    if (decoder === undefined) return // it starts with the GOP, which has the packet
    if (this.#skipping && packet.key && decoder.backlog === 0) this.#skipping = false
    else if (decoder.backlog > BACKLOG_MAX) this.#skipping = true
    if (this.#skipping) this.#options.metrics.framesDropped.inc({ cause: 'decoder_behind' })
    else this.#write(decoder, packet)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.resolve()
  }

  #write(decoder: Decoder, packet: Packet): void {
    decoder.feed(packet)
    if (this.#fedAt.size < 256) this.#fedAt.set(packet, performance.now())
  }

  #deliver(frame: DecodedFrame): boolean {
    const fedAt = this.#fedAt.get(frame.packet)
    this.#lastFrameAt = performance.now()
    for (const earlier of this.#fedAt.keys()) if (earlier.pts <= frame.packet.pts) this.#fedAt.delete(earlier)
    if (frame.packet.pts < this.#fromPts) return true // still catching up
    if (fedAt !== undefined) this.#options.metrics.decodeSeconds.observe((this.#lastFrameAt - fedAt) / 1000)
    this.#onFrame(frame)
    return true
  }
}
