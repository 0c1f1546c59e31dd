// A camera's packet stream, read: where a time lies in it, and its packets from there on.
import { DeliverPolicy, NatsError, type ConsumerMessages, type JetStreamManager, type JsMsg, type NatsConnection } from 'nats'
import { BadMessage, packetSummary, Reassembly, type PacketSummary, type StoredPacket } from '../proto/messages.ts'
import { packetStream, refText, type CameraRef } from '../proto/subjects.ts'
import { Refusal } from './status.ts'

export type Source = { readonly ref: CameraRef; readonly uid: string }

/** What can be decoded of a stream, by stream sequence and capture time (ms since the epoch). */
export type Extent = { firstSeq: number; lastSeq: number; startMs: number; endMs: number }

/** Messages fetched ahead of a reader: a second or two of video. */
const AHEAD_MAX = 64
/** Headers looked at in search of the first keyframe: beyond this a GOP can't be told from no GOP. */
const SEARCH_MAX = 10_000
const IDLE_MS = 60_000
/** A picture whose packet was stored longer ago is not the camera's newest. */
const NEWEST_MS = 5_000
/** Packets between two keyframes that follow each other closely. */
const SHORT_GOP_MAX = 30
/** A keyframe has no more parts. */
const PARTS_MAX = 64

export class PacketStream {
  readonly #nc: NatsConnection
  readonly #source: Source
  readonly #name: string

  constructor(nc: NatsConnection, source: Source) {
    this.#nc = nc
    this.#source = source
    this.#name = packetStream(source.ref)
  }

  /** From the first keyframe to the last packet; undefined when nothing decodable is stored. Throws Refusal when JetStream is away. */
  async extent(): Promise<Extent | undefined> {
    const jsm = await this.#manager()
    const info = await jsm.streams.info(this.#name).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw away(error)
    })
    if (info === undefined || info.state.messages === 0) return undefined
    const last = await this.#summary(jsm, info.state.last_seq)
    const first = await this.#firstKeyframe(info.state.first_seq)
    if (last === undefined || first === undefined) return undefined
    return { firstSeq: first.seq, lastSeq: info.state.last_seq, startMs: first.timestamp, endMs: Math.max(first.timestamp, last.timestamp) }
  }

  /**
   * Sequence of the keyframe that decoding the newest picture begins with, or where keyframes follow each other closely of the one before, which shows
   * that they do; undefined where there is none, or nothing has been stored for a while.
   */
  async newestKeyframe(): Promise<number | undefined> {
    const jsm = await this.#manager()
    const { state, ts } = await jsm.streams.info(this.#name)
    const ageMs = (ts === undefined ? Date.now() : Date.parse(ts)) - Date.parse(state.last_ts)
    if (state.messages === 0 || ageMs > NEWEST_MS) return undefined
    const last = await this.#summary(jsm, state.last_seq)
    if (last === undefined) return undefined
    // Whether it is the first part of a keyframe is not known of the last message.
    const seq = last.key ? await this.#firstPart(jsm, state.last_seq, last) : last.keySeq
    if (seq < state.first_seq || seq > state.last_seq) return undefined
    const before = seq > state.first_seq ? await this.#summary(jsm, seq - 1) : undefined
    const beforeSeq = before?.key === true ? seq - 1 : (before?.keySeq ?? 0)
    return before?.epoch === last.epoch && beforeSeq >= state.first_seq && seq - beforeSeq <= SHORT_GOP_MAX ? beforeSeq : seq
  }

  /** Sequence of the keyframe at or before `fromMs`, within `extent`. */
  async keyframeBefore(fromMs: number, { firstSeq, lastSeq, startMs }: Extent): Promise<number> {
    if (fromMs <= startMs) return firstSeq
    const jsm = await this.#manager()
    // The last packet captured at or before fromMs. B-frames stand slightly out of order, which moves the place by less than a GOP.
    let low = firstSeq
    let found = firstSeq
    for (let high = lastSeq; low <= high;) {
      const middle = Math.floor((low + high) / 2)
      const packet = await this.#summary(jsm, middle)
      if (packet === undefined || packet.timestamp <= fromMs) {
        if (packet !== undefined) found = packet.key ? middle : packet.keySeq
        low = middle + 1
      } else high = middle - 1
    }
    return Math.max(found, firstSeq)
  }

  /** Packets from `seq` on, whole; ends when `signal` aborts. `caughtUp`: nothing more is stored now. Unreadable messages are skipped. */
  async *read(
    seq: number,
    onBad: (bad: BadMessage) => void,
    signal: AbortSignal,
  ): AsyncGenerator<{ packet: StoredPacket | undefined; caughtUp: boolean }> {
    const consumer = await this.#nc
      .jetstream()
      .consumers.get(this.#name, { opt_start_seq: seq, deliver_policy: DeliverPolicy.StartSequence, inactive_threshold: IDLE_MS })
    const messages = await consumer.consume({ max_messages: AHEAD_MAX, expires: 5_000 })
    const reassembly = new Reassembly(this.#source.uid)
    try {
      for await (const message of stoppable(messages, signal)) {
        yield { packet: checked(() => reassembly.packet(message), onBad), caughtUp: message.info.pending === 0 }
      }
    } finally {
      messages.stop()
      await consumer.delete().catch(() => false) // it goes by itself when NATS is away
    }
  }

  /** Where the keyframe begins that the message at `seq` is of. */
  async #firstPart(jsm: JetStreamManager, seq: number, { epoch, keyframe }: PacketSummary): Promise<number> {
    for (let first = seq; first > seq - PARTS_MAX; first--) {
      const before = first > 1 ? await this.#summary(jsm, first - 1) : undefined
      if (before?.key !== true || before.epoch !== epoch || before.keyframe !== keyframe) return first
    }
    return seq
  }

  async #manager(): Promise<JetStreamManager> {
    try {
      return await this.#nc.jetstreamManager({ checkAPI: false })
    } catch (error) {
      throw away(error)
    }
  }

  /** The packet at `seq`; undefined when it has just been discarded or is not this camera's. */
  async #summary(jsm: JetStreamManager, seq: number): Promise<PacketSummary | undefined> {
    try {
      const message = await jsm.streams.getMessage(this.#name, { seq })
      return packetSummary(this.#source.uid, message.header)
    } catch (error) {
      if (error instanceof BadMessage || isMissing(error)) return undefined
      throw away(error)
    }
  }

  /** Discarding the oldest leaves the rest of a GOP at the front, which can't be decoded. */
  async #firstKeyframe(fromSeq: number): Promise<{ seq: number; timestamp: number } | undefined> {
    const consumer = await this.#nc.jetstream().consumers.get(this.#name, {
      opt_start_seq: fromSeq,
      deliver_policy: DeliverPolicy.StartSequence,
      headers_only: true,
      inactive_threshold: IDLE_MS,
    })
    const messages = await consumer.consume({ max_messages: 256, expires: 5_000 })
    try {
      let seen = 0
      for await (const message of messages) {
        const packet = checked(
          () => packetSummary(this.#source.uid, message.headers),
          () => {},
        )
        if (packet?.key === true) return { seq: message.seq, timestamp: packet.timestamp }
        if (++seen >= SEARCH_MAX || message.info.pending === 0) return undefined
      }
      return undefined
    } finally {
      messages.stop()
      await consumer.delete().catch(() => false)
    }
  }
}

/** "camera x has no buffer": nothing is stored that could be decoded. */
export const noBuffer = (ref: CameraRef) => new Refusal('precondition', `camera "${refText(ref)}" has no buffered pictures`)

function checked<T>(read: () => T, onBad: (bad: BadMessage) => void): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof BadMessage)) throw error
    onBad(error)
    return undefined
  }
}

async function* stoppable(messages: ConsumerMessages, signal: AbortSignal): AsyncGenerator<JsMsg> {
  const stop = () => messages.stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    if (!signal.aborted) yield* messages
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

const isMissing = (error: unknown) => error instanceof NatsError && (error.code === '404' || error.api_error?.code === 404)
const away = (error: unknown) =>
  error instanceof NatsError ? new Refusal('unavailable', `the buffer cannot be reached: NATS does not answer (${error.code})`) : error
