// A camera's packets as they come, without gaps, from the newest keyframe on. They are heard as they are published, which costs the server
// nothing but sending them; what came before is read from the packet stream: at the begin, and whenever one is missing.
import type { Msg, NatsConnection, Subscription } from 'nats'
import { messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { Reorder } from '../../common/media/reorder.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { ByteQueue } from '../../common/queue.ts'
import { within } from '../../common/abort.ts'
import { BadMessage, Reassembly, type Packet, type StoredPacket } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import { packetSubject, refText, substreamSubject, unstoredSubject } from '../../proto/subjects.ts'
import { PacketStream, type Source } from '../past/packet-reader.ts'

export type PacketEvents = {
  onPacket: (packet: Packet, codec: Codec, newEpoch: boolean) => void
  /** Packets are missing: what comes next has nothing to do with what came, and begins with a keyframe. */
  onBroken: () => void
  /** What had been stored has been passed on: from here on packets are new. */
  onCaughtUp: () => void
  /** Packets that could not be decoded, and were not passed on. */
  onLost: (count: number) => void
  onBad: (bad: BadMessage) => void
}

/** Without a packet for so long the stream has ended; whatever comes then is a new one. */
const IDLE_MS = 10_000
const READ_MS = 5_000
/** Without a packet for so long the stream is not there: its server may be gone. Live packets wait meanwhile. */
const READ_IDLE_MS = 1_000
/** Reading what is missing is tried no more often. */
const READ_SPACING_MS = 2_000
const FLUSH_MS = 2_000
/** Of what comes while the past is read. */
const HELD_MAX = 4_096
const HELD_BYTES_MAX = 32 * 2 ** 20

/** `stream`: which of the camera's, the main one unless it is said. */
export type LiveSource = Source & { readonly stream?: 'sub' }

type Place = { epoch: number; keyframe: number; index: number }

export class LivePackets {
  readonly #nats: Nats
  readonly #source: LiveSource
  readonly #events: PacketEvents
  readonly #log: Logger
  readonly #reassembly: Reassembly
  readonly #subscriptions: readonly Subscription[]
  readonly #reconnected: Disposable
  readonly #over = new AbortController()
  /** Of the last packet that was passed on; undefined: the next one must be a keyframe. */
  #place: Place | undefined
  #codec: Codec | undefined
  #reorder = new Reorder()
  #held: ByteQueue<StoredPacket> | undefined
  #reading: Promise<void> = Promise.resolve()
  #readAfterMs = 0
  /** Since it last began to listen. */
  #hasAny = false
  #lastMs = performance.now()

  constructor(nats: Nats, source: LiveSource, events: PacketEvents, log: Logger) {
    this.#nats = nats
    this.#source = source
    this.#events = events
    this.#log = log
    this.#reassembly = new Reassembly(source.uid)
    const callback = (error: Error | null, message: Msg) => {
      if (error === null) this.#receive(message)
      else log.error({ camera: refText(source.ref), error: messageOf(error) }, 'could not subscribe to the camera’s packets')
    }
    const subjects = source.stream === 'sub' ? [substreamSubject] : [packetSubject, unstoredSubject]
    this.#subscriptions = subjects.map(subject => nats.nc.subscribe(subject(source.ref), { callback }))
    this.#reconnected = nats.onReconnect(() => (this.#hasAny = false))
    this.#begin()
  }

  get isClosed(): boolean {
    return this.#subscriptions.some(subscription => subscription.isClosed())
  }

  get isCatchingUp(): boolean {
    return this.#held !== undefined
  }

  /** To be called about once a second. */
  tick(nowMs: number): void {
    if (this.#place !== undefined && nowMs - this.#lastMs > IDLE_MS) this.#break(undefined)
  }

  async end(): Promise<void> {
    this.#reconnected[Symbol.dispose]()
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#over.abort()
    await this.#reading
  }

  #receive(message: Msg): void {
    try {
      const packet = this.#reassembly.packet(message)
      if (packet === undefined) return
      if (this.#source.stream === 'sub') packet.sub = true
      this.#hasAny = true
      if (this.#held === undefined) this.#take(packet, true)
      else this.#hold(this.#held, packet)
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      // A listener may begin in the middle of a packet.
      if (error.reason !== 'incomplete' || this.#hasAny) this.#events.onBad(error)
    }
  }

  #hold(held: ByteQueue<StoredPacket>, packet: StoredPacket): void {
    if (!held.push(packet, packet.data.length)) this.#events.onLost(held.clear() + 1)
  }

  /** `isLive`: one that had its turn before is no honest sidecar's. */
  #take(packet: StoredPacket, isLive: boolean): void {
    const place = this.#place
    const order = place === undefined ? 1 : compare(packet, place)
    if (order < 0 && isLive) {
      this.#events.onBad(new BadMessage('sequence', `packet ${nameOf(packet)} after ${place && nameOf(place)}`))
    }
    if (order <= 0) return
    if (place !== undefined && !follows(packet, place)) {
      // What is missing may have been stored.
      if (this.#break(isLive ? packet : undefined)) return
    }
    if (packet.key) return this.#pass(packet, packet.codec, packet.epoch !== place?.epoch)
    if (this.#place === undefined) return this.#events.onLost(1)
    this.#pass(packet, this.#codec, false)
  }

  #pass(packet: StoredPacket, codec: Codec | undefined, newEpoch: boolean): void {
    if (codec === undefined) return
    if (newEpoch) this.#reorder = new Reorder()
    this.#reorder.push(packet.pts)
    const reorder = Math.max(codec.reorder, this.#reorder.frames)
    this.#codec = codec.reorder === reorder ? codec : { ...codec, reorder }
    const { epoch, keyframe, index } = packet
    this.#place = { epoch, keyframe, index }
    this.#lastMs = performance.now()
    this.#events.onPacket(packet, this.#codec, newEpoch)
  }

  /** True: `packet` waits for those before it to be read. */
  #break(packet: StoredPacket | undefined): boolean {
    this.#place = undefined
    const isHeld = packet !== undefined && this.#readAgain()
    if (isHeld && this.#held !== undefined) this.#hold(this.#held, packet)
    this.#events.onBroken()
    return isHeld
  }

  /** Reads what is stored; packets that come meanwhile are held. */
  #begin(): void {
    this.#held = new ByteQueue({ bytesMax: HELD_BYTES_MAX, itemsMax: HELD_MAX })
    this.#reading = this.#readStored()
  }

  /** Reads again what is stored, unless that was done just now. */
  #readAgain(): boolean {
    const nowMs = performance.now()
    if (nowMs < this.#readAfterMs) return false
    this.#readAfterMs = nowMs + READ_SPACING_MS
    this.#begin()
    return true
  }

  /** Never rejects. Without a stream decoding begins with the next keyframe. */
  async #readStored(): Promise<void> {
    const { nc } = this.#nats
    try {
      // From here on the server sends what is published.
      await within(FLUSH_MS, 'NATS', nc.flush())
      if (this.#source.stream !== 'sub') await this.#readStream(nc)
    } catch (error) {
      this.#log.debug({ camera: refText(this.#source.ref), error: messageOf(error) }, 'could not read the camera’s newest packets')
    }
    const held = this.#held
    this.#held = undefined
    if (this.#over.signal.aborted) return
    for (let packet = held?.shift(); packet !== undefined; packet = held?.shift()) this.#take(packet, false)
    this.#events.onCaughtUp()
  }

  /** From the newest keyframe on. */
  async #readStream(nc: NatsConnection): Promise<void> {
    const stream = new PacketStream(nc, this.#source)
    const idle = new AbortController()
    using timer = disposableTimer(() => idle.abort(new Error('the packet stream does not answer')), READ_IDLE_MS)
    const signal = AbortSignal.any([this.#over.signal, AbortSignal.timeout(READ_MS), idle.signal])
    const seq = await stream.newestKeyframe(signal)
    if (seq !== undefined) {
      for await (const { packet, caughtUp } of stream.read(seq, this.#events.onBad, signal)) {
        timer.refresh()
        if (packet !== undefined) this.#take(packet, false)
        if (caughtUp) break
      }
    }
  }
}

/** Runs out `ms` after its last refresh. */
function disposableTimer(act: () => void, ms: number): { refresh(): void } & Disposable {
  const timer = setTimeout(act, ms)
  return { refresh: () => void timer.refresh(), [Symbol.dispose]: () => clearTimeout(timer) }
}

const compare = (a: Place, b: Place): number => a.epoch - b.epoch || a.keyframe - b.keyframe || a.index - b.index

const follows = (next: StoredPacket, { epoch, keyframe, index }: Place): boolean =>
  next.epoch !== epoch ? next.key : next.key ? next.keyframe === keyframe + 1 : next.keyframe === keyframe && next.index === index + 1

const nameOf = ({ epoch, keyframe, index }: Place): string => `${epoch}/${keyframe}/${index}`
