// A camera's live packets for clients that take them encoded: they are received once per camera, however many read.
import { sleep } from '../../common/abort.ts'
import type { Logger } from '../../common/log.ts'
import { Gop } from '../../common/media/gop.ts'
import { KeyframeGate } from '../../common/media/keyframe-gate.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { ByteQueue } from '../../common/queue.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import { refText, type CameraRef } from '../../proto/subjects.ts'
import type { KnownCamera } from '../cameras.ts'
import type { Metrics } from '../metrics.ts'
import { Refusal } from '../refusal.ts'
import { sayDemand } from './demand.ts'
import { LivePackets } from './live-packets.ts'
import { streamKey, streamLabel } from './substream.ts'

/** Of a camera's packets since its last keyframe. */
const GOP_BYTES_MAX = 32 * 2 ** 20
/** Of packets that wait for one reader: beyond this it goes on at the next keyframe. The packets are shared. */
const QUEUE_BYTES_MAX = 32 * 2 ** 20
const QUEUE_MAX = 2_048
/** A reader that is so far behind goes on at the next keyframe. */
const BEHIND_MS = 4_000

export type LivePacket = { readonly packet: Packet; readonly codec: Codec }

/** One client's packets, in decoding order, from a keyframe on; where it is too slow, whole GOPs are missing. */
export class PacketReader implements Disposable {
  readonly #queue = new ByteQueue<LivePacket>({ bytesMax: QUEUE_BYTES_MAX, itemsMax: QUEUE_MAX })
  readonly #gate = new KeyframeGate('closed')
  readonly #onSkipped: (count: number) => void
  readonly #onClosed: (reader: PacketReader) => void
  readonly #ended = new AbortController()
  /** Since when the oldest packet that was not read has waited. */
  #waitingSinceMs = 0

  constructor(onSkipped: (count: number) => void, onClosed: (reader: PacketReader) => void) {
    this.#onSkipped = onSkipped
    this.#onClosed = onClosed
  }

  /** What has come and was not read yet, at least one packet; none where the reader has ended. */
  async take(): Promise<LivePacket[]> {
    await this.#queue.wait(this.#ended.signal)
    const taken: LivePacket[] = []
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) taken.push(next)
    return taken
  }

  push(live: LivePacket, nowMs: number): void {
    const { packet } = live
    if (this.#queue.bytes === 0) this.#waitingSinceMs = nowMs
    else if (packet.key && nowMs - this.#waitingSinceMs > BEHIND_MS) this.skip()
    if (!this.#gate.passes(packet)) return this.#onSkipped(1)
    if (this.#queue.push(live, packet.data.length)) return
    this.#onSkipped(1)
    this.skip()
  }

  /** Goes on at the next keyframe; what waits is thrown away. */
  skip(): void {
    this.#gate.close()
    this.#onSkipped(this.#queue.clear())
  }

  /** What comes next does not follow what came. */
  cut(): void {
    this.#gate.close()
  }

  /** As when the camera is deleted, or the client has gone. */
  end(): void {
    this.#ended.abort()
  }

  [Symbol.dispose](): void {
    this.end()
    this.#onClosed(this)
  }
}

/** One camera's packets, and who reads them. */
class CameraPackets {
  readonly readers = new Set<PacketReader>()
  readonly #live: LivePackets
  readonly #gop = new Gop(GOP_BYTES_MAX)
  #codec: Codec | undefined

  readonly #ref: CameraRef
  readonly #stream: KnownCamera['stream']
  readonly #nats: Nats

  constructor(nats: Nats, known: KnownCamera, metrics: Metrics, log: Logger) {
    const { ref, uid, stream } = known
    const camera = streamLabel(known)
    this.#nats = nats
    this.#ref = ref
    this.#stream = stream
    this.#live = new LivePackets(
      nats,
      { ref, uid, ...(stream === undefined ? {} : { stream }) },
      {
        onPacket: (packet, codec) => {
          metrics.packetsReceived.inc({ camera })
          this.#codec = codec
          this.#gop.push(packet)
          const nowMs = performance.now()
          for (const reader of this.readers) reader.push({ packet, codec }, nowMs)
        },
        onBroken: () => {
          this.#gop.clear()
          for (const reader of this.readers) reader.cut()
        },
        onCaughtUp: () => {},
        onLost: count => metrics.framesDropped.inc({ camera, reason: 'packets_lost' }, count),
        onBad: ({ reason }) => metrics.badMessages.inc({ reason }),
      },
      log,
    )
  }

  add(reader: PacketReader): void {
    const nowMs = performance.now()
    const codec = this.#codec
    if (codec !== undefined) for (const packet of this.#gop.packets) reader.push({ packet, codec }, nowMs)
    this.readers.add(reader)
  }

  tick(nowMs: number, gateway: string): void {
    this.#live.tick(nowMs)
    this.#want(gateway)
  }

  /** The main stream is published always. */
  #want(gateway: string): void {
    if (this.#stream === 'sub') sayDemand(this.#nats, this.#ref, { v: 1, gateway, stream: 'sub', wants: 'all' })
  }

  async end(): Promise<void> {
    for (const reader of this.readers) reader.end()
    await this.#live.end()
  }
}

export class PacketReaders {
  readonly #link: () => Nats | undefined
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #gateway: string
  /** By streamKey. */
  readonly #cameras = new Map<string, CameraPackets>()

  /** `gateway`: as sidecars know it. */
  constructor(gateway: string, link: () => Nats | undefined, metrics: Metrics, log: Logger) {
    this.#gateway = gateway
    this.#link = link
    this.#metrics = metrics
    this.#log = log
  }

  /** Ends readers when `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const nowMs = performance.now()
      for (const camera of this.#cameras.values()) camera.tick(nowMs, this.#gateway)
      await sleep(TICK_MS, signal)
    }
    for (const key of this.#cameras.keys()) this.#end(key)
  }

  /** The GOP so far, and what comes, until it is disposed of. Throws a Refusal. */
  open(known: KnownCamera): PacketReader {
    const nats = this.#link()
    if (nats === undefined) throw new Refusal('unavailable', 'NATS has not been reached yet')
    const key = streamKey(known)
    const camera = this.#cameras.get(key) ?? new CameraPackets(nats, known, this.#metrics, this.#log)
    this.#cameras.set(key, camera)
    const reader = new PacketReader(
      count => this.#metrics.framesMissed.inc({ camera: refText(known.ref) }, count),
      closed => {
        camera.readers.delete(closed)
        if (camera.readers.size === 0 && this.#cameras.get(key) === camera) this.#end(key)
      },
    )
    camera.add(reader)
    camera.tick(performance.now(), this.#gateway)
    return reader
  }

  readersOf(uid: string): number {
    return STREAMS.reduce<number>((sum, stream) => sum + (this.#cameras.get(streamKey({ uid, ...stream }))?.readers.size ?? 0), 0)
  }

  /** As when the camera is deleted. */
  end(uid: string): void {
    for (const stream of STREAMS) this.#end(streamKey({ uid, ...stream }))
  }

  #end(key: string): void {
    void this.#cameras.get(key)?.end()
    this.#cameras.delete(key)
  }
}

const TICK_MS = 1_000
const STREAMS = [{}, { stream: 'sub' }] as const
