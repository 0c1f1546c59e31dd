// Packets: the encoded packets of one camera, for clients that decode themselves. They are read from the packet stream, at the client's pace; a
// client that follows live and falls behind goes on at the newest keyframe. Where nothing is buffered they are sent as they come.
import { sleep, whenAborted } from '../../../common/abort.ts'
import type { CameraTime as CameraTimeMessage } from '../../../proto/generated/chrys/cloud/frames/v1/CameraTime.ts'
import type { Codec as CodecMessage } from '../../../proto/generated/chrys/cloud/frames/v1/Codec.ts'
import type { PacketsRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/PacketsRequest.ts'
import type { PacketsResponse } from '../../../proto/generated/chrys/cloud/frames/v1/PacketsResponse.ts'
import { frameId, isLater, type FramePlace } from '../../../proto/frame-id.ts'
import type { CameraTime, StoredPacket } from '../../../proto/messages.ts'
import type { Codec } from '../../../proto/state.ts'
import { refText } from '../../../proto/subjects.ts'
import type { Right } from '../../access/rights.ts'
import type { KnownCamera } from '../../cameras.ts'
import { streamOf } from '../../frames/substream.ts'
import { Losses, LOSS_MESSAGES, type Loss } from '../../past/losses.ts'
import { noBuffer, type Read } from '../../past/packet-reader.ts'
import { Refusal } from '../../refusal.ts'
import type { Caller } from '../calls.ts'
import { noFrames, obstacleOf, streaming } from './camera-status.ts'
import type { FramesParts } from './parts.ts'
import { checkedTime } from './past-range.ts'
import { streamIn } from './wish.ts'

/** A live client that has not had all that is stored for so long skips to the newest keyframe. */
const BEHIND_MS = 2_000
/** A client that takes a packet within this time does not hold up those behind it. */
const PROMPT_MS = 200
/** Where the camera gives nothing, it is tried again after so long. */
const RETRY_MS = 500
/** Where nothing is buffered, the camera gives nothing when nothing has come for so long. */
const SILENCE_MS = 2_000
/** Where nothing is buffered, the buffer is looked for after so long. */
const LOOK_MS = 5_000
/** Where too much is unsent, it is tried again after so long. */
const UNSENT_MS = 20

export type PacketsParts = Pick<FramesParts, 'cameras' | 'packets' | 'readers' | 'unsent' | 'metrics' | 'isConnected'>

export async function* sendPackets(request: PacketsRequest__Output, parts: PacketsParts, caller: Caller): AsyncGenerator<PacketsResponse> {
  const fromMs = request.from_ms === undefined ? undefined : checkedTime('from_ms', request.from_ms)
  const right = fromMs === undefined ? 'frames' : 'past'
  const stream = streamIn(request.stream)
  if (fromMs !== undefined && stream === 'sub')
    throw new Refusal('invalid', 'stream must not be STREAM_SUB with from_ms: the substream has no past')
  const camera = streamOf(await parts.cameras.resolve(caller, request.camera, right, 'camera'), stream)
  yield* new Packets(camera, right, parts, caller).answer(fromMs)
}

class Packets {
  readonly #camera: KnownCamera
  readonly #right: Right
  readonly #parts: PacketsParts
  readonly #caller: Caller
  readonly #losses = new Losses()
  #codec: Codec | undefined
  #epoch: number | undefined
  #said = ''
  /** Of the newest packet that was read. */
  #place: FramePlace | undefined

  constructor(camera: KnownCamera, right: Right, parts: PacketsParts, caller: Caller) {
    this.#camera = camera
    this.#right = right
    this.#parts = parts
    this.#caller = caller
  }

  async *answer(fromMs: number | undefined): AsyncGenerator<PacketsResponse> {
    const { signal } = this.#caller
    let isLive = fromMs === undefined
    let seq: number | undefined
    if (fromMs === undefined) seq = await this.#newest()
    else {
      const stream = this.#parts.packets(this.#camera)
      const extent = await stream.extent(signal)
      if (extent === undefined) throw noBuffer(this.#camera.ref)
      if (fromMs > 0 && fromMs < extent.startMs) yield lost({ fromMs, toMs: extent.startMs, reason: 'BufferOverrun' })
      seq = await stream.keyframeFrom(fromMs, extent, signal)
    }
    while (!signal.aborted) {
      yield* this.#status()
      try {
        if (seq !== undefined) yield* this.#follow(seq, isLive)
        else yield* this.#unbuffered()
        seq = await this.#newest()
        isLive = true
      } catch (error) {
        if (!(error instanceof Refusal) || error.kind !== 'unavailable' || this.#said === '') throw error
        // NATS is unreachable, or the stream is being made again: the status says so.
        seq = undefined
        await sleep(RETRY_MS, signal)
      }
    }
  }

  /** Sends what is stored from there on, and what comes; ends where the client is too slow, or the camera gives nothing. */
  async *#follow(seq: number, isLive: boolean): AsyncGenerator<PacketsResponse> {
    let isPast = true
    let behindSinceMs = performance.now()
    const reads = this.#parts
      .packets(this.#camera)
      .read(seq, ({ reason }) => this.#parts.metrics.badMessages.inc({ reason }), this.#caller.signal)
    for await (const read of reads) {
      const sendingMs = performance.now()
      yield* this.#packet(read, isPast)
      // A packet that was the newest when it was read is not so any more when the client took its time with it.
      const isPrompt = performance.now() - sendingMs < PROMPT_MS
      if (read.caughtUp && isPrompt) {
        behindSinceMs = performance.now()
        isPast = false
        isLive = true
      }
      if (read.packet === undefined && read.caughtUp && isPrompt) {
        yield* this.#status()
        if ((await this.#newest()) === undefined) return
      } else if (isLive && performance.now() - behindSinceMs > BEHIND_MS) {
        const newest = await this.#newest()
        if (newest !== undefined && read.seq !== undefined && newest > read.seq) return this.#losses.skip()
        behindSinceMs = performance.now()
      }
    }
  }

  /** What comes, for as long as nothing is buffered and the camera gives something. */
  async *#unbuffered(): AsyncGenerator<PacketsResponse> {
    using reader = this.#parts.readers.open(this.#camera)
    using _ = whenAborted(this.#caller.signal, () => reader.end())
    for (let lookedMs = performance.now(); ;) {
      const silence = setTimeout(() => reader.end(), SILENCE_MS)
      const taken = await reader.take()
      clearTimeout(silence)
      if (taken.length === 0) return
      for (const { packet, codec } of taken) {
        yield* this.#packet({ packet: { ...packet, codec, keySeq: 0 }, caughtUp: true, seq: undefined }, false)
      }
      if (performance.now() - lookedMs < LOOK_MS) continue
      lookedMs = performance.now()
      if ((await this.#newest()) !== undefined) return
    }
  }

  async *#packet(read: Read, isPast: boolean): AsyncGenerator<PacketsResponse> {
    const { packet } = read
    if (packet === undefined) return
    // Reading may begin again at a keyframe that was sent before.
    if (this.#place !== undefined && !isLater(packet, this.#place)) return
    const { epoch, keyframe, index } = packet
    this.#place = { epoch, keyframe, index }
    const { isDecodable, loss } = this.#losses.see(read)
    if (!isDecodable) return
    if (loss !== undefined) yield lost(loss)
    this.#codec = packet.codec ?? this.#codec
    if (this.#codec !== undefined && packet.epoch !== this.#epoch) {
      this.#epoch = packet.epoch
      yield { codec: codecMessage(this.#codec) }
    }
    using _room = await this.#room(packet.data.length)
    yield { packet: { ...packetFields(packet), gap: loss !== undefined, past: isPast } }
  }

  /** For so many unsent bytes, as soon as there is some. */
  async #room(size: number): Promise<Disposable | undefined> {
    const { signal } = this.#caller
    for (;;) {
      const room = this.#parts.unsent.take(this.#caller, size, performance.now())
      if (room !== undefined || signal.aborted) return room
      await sleep(UNSENT_MS, signal)
    }
  }

  /** Whether the camera gives packets, where that is news. */
  async *#status(): AsyncGenerator<PacketsResponse> {
    const { cameras, isConnected } = this.#parts
    const { ref, deviceId } = this.#camera
    const main = await cameras.resolve(this.#caller, refText(ref), this.#right, 'camera')
    const known = streamOf(main, this.#camera.stream)
    if (known.uid !== this.#camera.uid) throw new Refusal('notFound', `camera "${deviceId}" was deleted, and made again`)
    const obstacle = obstacleOf(known, undefined, isConnected(), performance.now())
    const status = obstacle === undefined ? streaming(deviceId) : noFrames(deviceId, obstacle)
    const text = JSON.stringify(status)
    if (text === this.#said) return
    this.#said = text
    yield { status }
  }

  /** Sequence of the newest keyframe; undefined where there is none. */
  async #newest(): Promise<number | undefined> {
    if (this.#camera.stream === 'sub') return undefined
    try {
      return await this.#parts.packets(this.#camera).newestKeyframe(this.#caller.signal)
    } catch (error) {
      if (error instanceof Refusal && error.kind === 'unavailable') return undefined
      throw error
    }
  }
}

const lost = ({ fromMs, toMs, reason }: Loss): PacketsResponse => ({
  lost: { from_ms: fromMs, to_ms: toMs, reason, message: LOSS_MESSAGES[reason] },
})

const packetFields = (packet: StoredPacket) => ({
  ...{ id: frameId(packet), capture_time_ms: packet.timestamp, pts: packet.pts, dts: packet.dts },
  ...{ keyframe: packet.key, corrupt: packet.corrupt, camera_time: cameraTimeMessage(packet.camera), data: packet.data },
})

const cameraTimeMessage = (time: CameraTime | undefined): CameraTimeMessage =>
  time === undefined ? { source: 'SOURCE_NONE' } : { ms: time.ms, source: 'SOURCE_RTCP', uncertainty_ms: time.uncertaintyMs }

function codecMessage({ name, width, height, extradata, timeBase, reorder }: Codec): CodecMessage {
  const bytes = Buffer.from(extradata, 'base64')
  return {
    ...{ name, width, height, extradata: bytes, packaging: packagingOf(name, bytes), reorder },
    ...{ time_base_num: timeBase[0], time_base_den: timeBase[1] },
  }
}

/** An avcC or hvcC record begins with its version, which is 1; parameter sets begin with a start code. */
function packagingOf(name: string, extradata: Buffer) {
  if (name !== 'h264' && name !== 'hevc') return 'PACKAGING_RAW'
  return extradata[0] === 1 ? 'PACKAGING_LENGTH_PREFIXED' : 'PACKAGING_ANNEX_B'
}
