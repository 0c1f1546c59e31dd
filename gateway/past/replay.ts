// Stored packets → the frames of a stretch of time. Everything is pulled: a client that reads slowly holds up the decoder in
// its pipe, and the decoder the reading of packets.
import { availableParallelism } from 'node:os'
import { Decoder, type DecodedFrame, type DecoderOutput } from '../../common/media/decoder.ts'
import type { End } from '../../common/media/ffmpeg.ts'
import { complaintIn } from '../../common/media/ffmpeg-log.ts'
import { PictureMemory } from '../../common/media/frame-memory.ts'
import { RateLimit } from '../../common/media/rate-limit.ts'
import { planOf } from '../../common/media/rendition-plan.ts'
import { sealDecoded, toLiveFrame } from '../../common/media/encode-frame.ts'
import { ticksToMs } from '../../common/media/timebase.ts'
import { whenAborted } from '../../common/abort.ts'
import { Wakeup } from '../../common/queue.ts'
import { FRAME_ROOM } from '../../proto/frame.ts'
import type { BadMessage, StoredPacket } from '../../proto/messages.ts'
import { FULL_BGR24, type Geometry, type LiveFrame, type Rendition } from '../../proto/rendition.ts'
import type { Codec } from '../../proto/state.ts'
import type { PacketStream, Read, Stretch } from './packet-reader.ts'
import { Refusal } from '../refusal.ts'

/** What packets are read from. */
export type PacketSource = Pick<PacketStream, 'read'>

/** Of a decoder. ffmpeg would have one for each core of the machine, up to sixteen with the memory for as many pictures, though its client keeps up with no more than three. */
const THREADS = Math.min(4, availableParallelism() + 1)
/** Frames decoded ahead of the client. */
const AHEAD_MAX = 2
/** How long the newest packets may take from the camera to the stream. */
const SETTLE_MS = 500

/** What frames of the past are wanted. */
export type ReplayWish = {
  rendition: Rendition
  /** Only frames of keyframes. */
  keyframesOnly?: boolean
  /** At most so many frames a second of capture time. */
  maxFps?: number | undefined
  onBad: (bad: BadMessage) => void
}

type Replayed = { frame: DecodedFrame; codec: Codec; geometry: Geometry }

/**
 * Frames with a timestamp in [fromMs, toMs], every one once and in order; ends when `signal` aborts. The memory of each is used again once the next
 * one is asked for.
 */
export async function* replayFrames(
  stream: PacketSource,
  stretch: Stretch,
  wish: ReplayWish,
  signal: AbortSignal,
): AsyncGenerator<LiveFrame> {
  for await (const { frame, geometry } of replay(stream, stretch, wish, signal)) {
    yield toLiveFrame(frame, { geometry, gap: false, message: undefined, lease: undefined })
  }
}

/** The same as serialized VideoFrames. */
export async function* bufferedFrames(
  stream: PacketSource,
  stretch: Stretch,
  { deviceId, scale, onBad }: { deviceId: string; scale: string | undefined; onBad: (bad: BadMessage) => void },
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const rendition = { ...FULL_BGR24, scale }
  for await (const { frame, codec } of replay(stream, stretch, { rendition, onBad }, signal)) yield sealDecoded(frame, codec, deviceId)
}

async function* replay(
  stream: PacketSource,
  { fromMs, toMs, startSeq, endSeq = Infinity }: Stretch,
  { rendition, keyframesOnly = false, maxFps, onBad }: ReplayWish,
  signal: AbortSignal,
): AsyncGenerator<Replayed> {
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  const memory = new PictureMemory()
  const segments = new Segments(stream.read(startSeq, onBad, either), toMs, endSeq)
  const limit = new RateLimit()
  const isWanted = ({ timestamp, key }: StoredPacket) =>
    timestamp >= fromMs && timestamp <= toMs && (key || !keyframesOnly) && (maxFps === undefined || limit.takes(timestamp, maxFps))
  try {
    for (let codec = await segments.open(); codec !== undefined && !signal.aborted; codec = await segments.open()) {
      const plan = planOf(rendition, codec)
      if (plan === undefined)
        throw new Refusal('invalid', `the region lies outside of the camera's frames of ${codec.width}x${codec.height}`)
      const { filters, encoderArgs, geometry } = plan
      const output = { filters, encoderArgs, format: rendition.format, memory }
      for await (const frame of decode(segments, codec, output, isWanted, either)) {
        yield { frame, codec, geometry }
        memory.give(frame.buffer) // who asks for the next one is through with it
      }
    }
  } finally {
    over.abort()
    await segments.close()
  }
}

/** Decodes one segment. Throws Refusal where its packets can't be read to their end, or the decoder fails. */
async function* decode(
  segments: Segments,
  codec: Codec,
  output: DecoderOutput,
  isWanted: (packet: StoredPacket) => boolean,
  signal: AbortSignal,
): AsyncGenerator<DecodedFrame> {
  const frames: DecodedFrame[] = []
  const wakeup = new Wakeup()
  let end: End | undefined
  let why: string | undefined
  await using decoder = await Decoder.start({
    ...{ codec, outputs: [output], threads: THREADS, room: FRAME_ROOM },
    onFrame: frame => {
      frames.push(frame)
      wakeup.wake()
      return frames.length < AHEAD_MAX
    },
    onLine: line => (why ??= complaintIn(line)),
  })
  const stop = () => void decoder[Symbol.asyncDispose]()
  using _ = whenAborted(signal, stop)
  let isFed = false
  let fault: unknown
  const feed = async () => {
    for (let packet = await segments.next(); packet !== undefined && end === undefined; packet = await segments.next()) {
      if (!decoder.feed(packet, isWanted(packet) ? 1 : 0)) await decoder.writable()
    }
    isFed = end === undefined
    decoder.end()
  }
  feed().catch((error: unknown) => {
    fault = error
    stop()
  })
  void decoder.ended.then(ended => {
    end = ended
    wakeup.wake()
  })
  while (!signal.aborted) {
    const frame = frames.shift()
    if (frame !== undefined) {
      yield frame
      if (frames.length < AHEAD_MAX) decoder.resume()
    } else if (fault !== undefined) throw fault
    else if (end === undefined) await wakeup.next
    else if (isFed && end.code === 0) return
    else throw new Refusal('unavailable', `the decoder ended before its time (${end.signal ?? `code ${end.code}`})${why ? `: ${why}` : ''}`)
  }
}

/** The packets of a stretch, cut where the epoch changes; each segment begins with a keyframe and has no gaps. */
class Segments {
  readonly #source: AsyncGenerator<Read>
  readonly #toMs: number
  readonly #endSeq: number
  #upcoming: StoredPacket | undefined
  #codec: Codec | undefined
  #epoch = -1
  #place = { keyframe: 0, index: -1 }
  #pending: Promise<IteratorResult<Read, void>> | undefined
  #caughtUp = false
  #over = false

  constructor(source: AsyncGenerator<Read>, toMs: number, endSeq: number) {
    this.#source = source
    this.#toMs = toMs
    this.#endSeq = endSeq
  }

  /** The codec of the segment that `next` will give; undefined at the end. */
  async open(): Promise<Codec | undefined> {
    while (!this.#over) {
      const packet = this.#upcoming ?? (await this.#pull())
      this.#upcoming = undefined
      if (packet?.codec === undefined) continue // not decodable from here
      this.#upcoming = packet
      this.#codec = packet.codec
      this.#epoch = packet.epoch
      return this.#codec
    }
    return undefined
  }

  /** The segment's next packet; undefined at its end. */
  async next(): Promise<StoredPacket | undefined> {
    for (;;) {
      const packet = this.#upcoming ?? (await this.#pull())
      this.#upcoming = undefined
      if (packet === undefined) return undefined
      if (packet.epoch !== this.#epoch) {
        this.#upcoming = packet
        return undefined
      }
      const follows = packet.key || (packet.keyframe === this.#place.keyframe && packet.index === this.#place.index + 1)
      if (!follows) continue // its GOP lost a packet
      this.#place = { keyframe: packet.keyframe, index: packet.index }
      return packet
    }
  }

  async close(): Promise<void> {
    this.#over = true
    await this.#source.return(undefined).catch(() => {})
  }

  /** The next packet whose frame may lie in the stretch. */
  async #pull(): Promise<StoredPacket | undefined> {
    while (!this.#over) {
      this.#pending ??= this.#source.next()
      const result = await this.#orSettled(this.#pending)
      if (result === undefined || result.done === true) break
      this.#pending = undefined
      const { packet, caughtUp, seq = 0 } = result.value
      this.#caughtUp = caughtUp
      if (seq > this.#endSeq) break
      if (packet === undefined) continue
      // Frames to come are presented no earlier than this packet is decoded.
      if (decodingMs(packet, packet.codec ?? this.#codec) > this.#toMs) break
      return packet
    }
    this.#over = true
    return undefined
  }

  /** What is stored has been read: waits a moment for what is on its way, no longer (the camera may be down). */
  async #orSettled<T>(pending: Promise<T>): Promise<T | undefined> {
    if (!this.#caughtUp) return await pending
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => resolve(undefined), SETTLE_MS)
    try {
      return await Promise.race([pending, promise])
    } finally {
      clearTimeout(timer)
    }
  }
}

/** When the packet is decoded, on the scale of capture times. */
export function decodingMs(packet: StoredPacket, codec: Codec | undefined): number {
  return packet.timestamp - ticksToMs(packet.pts - packet.dts, codec?.timeBase ?? [0, 1])
}
