// GET …/clip.mp4: a stretch of the past as it was stored, in a file. Nothing is decoded.
import { mp4File } from '../../common/media/mp4/file.ts'
import { mp4Fragment, mp4Head, type Sample } from '../../common/media/mp4/fragments.ts'
import { TIMESCALE, Timeline } from '../../common/media/media-timeline.ts'
import { mp4Track, mp4Type, trackKey, type Mp4Track } from '../../common/media/mp4/track.ts'
import type { StoredPacket } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import { CallLimit } from '../call-limit.ts'
import type { KnownCamera } from '../cameras.ts'
import type { Past } from '../past/past.ts'
import type { TimeRange } from '../past/stretches.ts'
import { keysOf } from '../shares.ts'
import { Refusal } from '../refusal.ts'
import { HEADERS } from './answer.ts'
import { checkCodec } from './live.ts'
import { httpOutlet, sendPiece, type Exchange, type StreamParts } from './sending.ts'

/** A clip of more is sent in fragments, as it is read. */
const FILE_BYTES_MAX = 32 * 2 ** 20
const FRAGMENT_BYTES_MAX = 2 ** 20
const CLIPS_MAX = 4
/** Of the last frame. */
const LAST_DURATION = TIMESCALE / 30
/** Where too much is unsent, it is tried again after so long. */
const UNSENT_MS = 50

export type ClipParts = StreamParts & { past: Past }

export class Clips {
  readonly #limit = new CallLimit(CLIPS_MAX)
  readonly #parts: ClipParts

  constructor(parts: ClipParts) {
    this.#parts = parts
  }

  async send(camera: KnownCamera, range: TimeRange, exchange: Exchange): Promise<void> {
    using _ = this.#limit.enter(keysOf(exchange.peer))
    const packets = this.#parts.past.packets(camera, range, exchange.signal)
    const { value: first } = await packets.next()
    if (exchange.signal.aborted) return
    if (first?.codec === undefined) {
      throw new Refusal('notFound', `camera "${camera.deviceId}" has no frames in this time; its past says what there is`)
    }
    checkCodec(camera, first.codec.name)
    const track = mp4Track(first.codec, first)
    if (track === undefined) throw new Refusal('unavailable', 'the stream does not describe itself')
    const samples = new Samples(track, first, first.codec)
    let bytes = 0
    let isWhole = true
    // Not by for await: leaving that would end the packets, and they may go on in fragments.
    for (let next = await packets.next(); next.done !== true && samples.add(next.value); next = await packets.next()) {
      bytes += next.value.data.length
      isWhole = bytes <= FILE_BYTES_MAX
      if (!isWhole) break
    }
    const head = { ...HEADERS, 'content-type': mp4Type(track), 'content-disposition': disposition(camera, first.timestamp) }
    const about = { ...head, 'x-capture-time': new Date(first.timestamp).toISOString() }
    if (isWhole) {
      await packets.return(undefined)
      return await this.#whole(track, samples, about, exchange)
    }
    exchange.response.writeHead(200, about)
    await this.#piece(exchange, mp4Head(track, samples.firstShow))
    await this.#fragments(packets, samples, exchange)
    exchange.response.end()
    await packets.return(undefined)
  }

  async #whole(track: Mp4Track, samples: Samples, about: Record<string, string>, exchange: Exchange): Promise<void> {
    const pieces = mp4File(track, samples.takeAll())
    const size = pieces.reduce((sum, piece) => sum + piece.length, 0)
    exchange.response.writeHead(200, { ...about, 'content-length': size })
    for (const piece of inPieces(pieces)) await this.#piece(exchange, piece)
    exchange.response.end()
  }

  async #fragments(packets: AsyncGenerator<StoredPacket>, samples: Samples, exchange: Exchange): Promise<void> {
    let number = 0
    const flush = async (some: Sample[]) => {
      if (some.length > 0) await this.#piece(exchange, mp4Fragment(++number, some, samples.firstShow))
    }
    for (let some = samples.takeReady(); some.length > 0; some = samples.takeReady()) await flush(some)
    for await (const packet of packets) {
      if (exchange.signal.aborted || !samples.add(packet)) break
      if (samples.bytes > FRAGMENT_BYTES_MAX) await flush(samples.takeReady())
    }
    for (let some = samples.takeReady(); some.length > 0; some = samples.takeReady()) await flush(some)
    await flush(samples.takeAll())
  }

  /** Waits for room among what is unsent. */
  async #piece(exchange: Exchange, piece: Uint8Array): Promise<void> {
    const outlet = httpOutlet(exchange)
    while (!exchange.signal.aborted && !(await sendPiece(outlet, this.#parts, piece))) {
      await new Promise(resolve => setTimeout(resolve, UNSENT_MS))
    }
  }
}

/** Packets as samples, of which the next one tells how long each lasts. */
class Samples {
  readonly #timeline = new Timeline()
  #track: Mp4Track
  readonly #key: string
  #epoch: number
  #codec: Codec
  #ready: Sample[] = []
  #held: Omit<Sample, 'duration'>
  #bytes = 0
  /** When the first frame is shown, in ticks. */
  readonly firstShow: number

  constructor(track: Mp4Track, first: StoredPacket, codec: Codec) {
    this.#track = track
    this.#key = trackKey(track)
    this.#epoch = first.epoch
    this.#codec = codec
    this.#held = this.#placed(first)
    this.firstShow = this.#held.show
  }

  /** Of the samples that are ready. */
  get bytes(): number {
    return this.#bytes
  }

  /** False: the packet does not fit to those before, as another codec or size begins. */
  add(packet: StoredPacket): boolean {
    const { codec } = packet
    // The buffer and the archive pack the same packets in different ways.
    if (codec !== undefined && (codec.extradata !== this.#codec.extradata || packet.epoch !== this.#epoch)) {
      const next = mp4Track(codec, packet)
      if (next === undefined || trackKey(next) !== this.#key) return false
      this.#track = next
      this.#epoch = packet.epoch
    }
    this.#codec = codec ?? this.#codec
    const held = this.#held
    this.#held = this.#placed(packet)
    this.#ready.push({ ...held, duration: Math.max(1, this.#held.decode - held.decode) })
    this.#bytes += held.packet.data.length
    return true
  }

  /** As many as one fragment holds. */
  takeReady(): Sample[] {
    let bytes = 0
    const count = this.#ready.findIndex(({ packet }) => (bytes += packet.data.length) > FRAGMENT_BYTES_MAX)
    const taken = this.#ready.splice(0, count < 0 ? this.#ready.length : Math.max(1, count))
    for (const { packet } of taken) this.#bytes -= packet.data.length
    return taken
  }

  /** Those that are left, with the last. */
  takeAll(): Sample[] {
    return [...this.#ready.splice(0), { ...this.#held, duration: LAST_DURATION }]
  }

  #placed(packet: StoredPacket): Omit<Sample, 'duration'> {
    return { packet, ...this.#timeline.place(packet, this.#codec), data: this.#track.sample(packet) }
  }
}

function* inPieces(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  let some: Uint8Array[] = []
  let bytes = 0
  for (const part of parts) {
    some.push(part)
    bytes += part.length
    if (bytes < FRAGMENT_BYTES_MAX) continue
    yield Buffer.concat(some)
    some = []
    bytes = 0
  }
  if (some.length > 0) yield Buffer.concat(some)
}

/** Names hold nothing that would have to be escaped. */
const disposition = ({ ref }: KnownCamera, ms: number): string =>
  `attachment; filename="${ref.name}-${new Date(ms).toISOString().replaceAll(/[:.]/g, '-')}.mp4"`
