// A camera's packet stream, read: where a time lies in it, and its packets from there on.
import {
  AckPolicy,
  DeliverPolicy,
  nanos,
  NatsError,
  nuid,
  type ConsumerConfig,
  type JetStreamManager,
  type JsMsg,
  type NatsConnection,
} from 'nats'
import { unlessAborted, whenAborted } from '../../common/abort.ts'
import { BadMessage, packetSummary, Reassembly, type PacketSummary, type StoredPacket } from '../../proto/messages.ts'
import { packetStream, refText, type CameraRef } from '../../proto/subjects.ts'
import { Refusal } from '../refusal.ts'
import type { PastPlace } from './frame-at.ts'
import { runBefore, runFrom, Runs, runsIn, type Place, type Run } from './runs.ts'
import type { TimeRange } from './stretches.ts'

export type Source = { readonly ref: CameraRef; readonly uid: string }

/** `gopSeq`: where the keyframe begins that decoding it takes. */
type Placed = PacketSummary & { seq: number; gopSeq: number }

/**
 * What can be decoded of a stream, by stream sequence and capture time (ms since the epoch). `runs`: one or more, in the order in which they were
 * stored; `startMs` and `endMs` are of all of them. `bytes`: of the whole stream.
 */
export type Extent = { firstSeq: number; startMs: number; endMs: number; runs: readonly Run[]; last: Placed; bytes: number }

/** Frames captured in [fromMs, toMs], read from the keyframe at `startSeq` on. `endSeq`: of the last message that is read; undefined: what comes is read too. */
export type Stretch = { fromMs: number; toMs: number; startSeq: number; endSeq?: number | undefined }

/**
 * A packet, or undefined: parts of it are still to come, or there is none for now. `caughtUp`: nothing more is stored now. `seq`: of the message
 * in the stream; undefined where there is none.
 */
export type Read = { packet: StoredPacket | undefined; caughtUp: boolean; seq: number | undefined }

/** Bytes fetched ahead of a reader, unless a message may be larger: a second or two of video. Messages: 100 at a time, as nats.js has it. */
const AHEAD_BYTES = 4 * 2 ** 20
/** What the server counts of a message besides its payload and headers. */
const SUBJECTS_BYTES = 4_096
/** Headers looked at in search of the first keyframe: beyond this a GOP can't be told from no GOP. */
const SEARCH_MAX = 10_000
/** After so long without a message the server is asked whether there is one: it may be away, or have lost the stream. */
const SILENCE_MS = 2_500
/** The server removes a consumer that was asked for nothing for so long: its gateway has gone, or its client takes less than a frame in six seconds. */
const IDLE_MS = 600_000
/** A picture whose packet was stored longer ago is not the camera's newest. */
const NEWEST_MS = 5_000
/** Packets between two keyframes that follow each other closely. */
const SHORT_GOP_MAX = 30

/** Each method throws Refusal while JetStream is away, and whatever it likes once `signal` has aborted. */
export class PacketStream {
  readonly #nc: NatsConnection
  readonly #source: Source
  readonly #name: string
  readonly #runs: Runs

  /** `runs`: what is known of streams; shared by all that read. */
  constructor(nc: NatsConnection, source: Source, runs: Runs = new Runs()) {
    this.#nc = nc
    this.#source = source
    this.#runs = runs
    this.#name = packetStream(source.ref)
  }

  /** From the first keyframe to the last packet; undefined when nothing decodable is stored. */
  async extent(signal: AbortSignal): Promise<Extent | undefined> {
    const info = await this.#askIfThere(signal, jsm => jsm.streams.info(this.#name))
    if (info === undefined || info.state.messages === 0) return undefined
    const [first, last] = await Promise.all([this.#firstKeyframe(info.state.first_seq, signal), this.#placed(info.state.last_seq, signal)])
    if (first === undefined || last === undefined) return undefined
    const look = async (seq: number) => {
      const found = await this.#placed(seq, signal)
      return found && placeOf(found)
    }
    const runs = await this.#runs.of(`${this.#source.uid} ${info.created}`, placeOf(first), placeOf(last), look)
    const [startMs, endMs] = [Math.min(...runs.map(run => run.startMs)), Math.max(...runs.map(run => run.endMs))]
    return { firstSeq: first.seq, startMs, endMs, runs, last, bytes: info.state.bytes }
  }

  /** The capture time of the packet at `seq`; undefined where it cannot be told. */
  async timeAt(seq: number, signal: AbortSignal): Promise<number | undefined> {
    return (await this.#placed(seq, signal))?.timestamp
  }

  /** How many frames there are in `extent`: where packets are stored in parts, as many to a message as in the newest whole GOP. */
  async frames({ firstSeq, last }: Extent, signal: AbortSignal): Promise<number> {
    const messages = last.seq - firstSeq + 1
    if (last.gopSeq <= firstSeq) return Math.min(messages, last.index + 1)
    const before = await this.#placed(last.gopSeq - 1, signal)
    if (before === undefined || before.gopSeq < firstSeq) return messages
    return Math.round(messages * Math.min(1, (before.index + 1) / (last.gopSeq - before.gopSeq)))
  }

  /**
   * Sequence of the keyframe that decoding the newest picture begins with, or where keyframes follow each other closely of the one before, which shows
   * that they do; undefined where there is none, or nothing has been stored for a while.
   */
  async newestKeyframe(signal: AbortSignal): Promise<number | undefined> {
    const { state, ts } = await this.#ask(signal, jsm => jsm.streams.info(this.#name))
    const ageMs = (ts === undefined ? Date.now() : Date.parse(ts)) - Date.parse(state.last_ts)
    if (state.messages === 0 || ageMs > NEWEST_MS) return undefined
    const last = await this.#placed(state.last_seq, signal)
    if (last === undefined || last.gopSeq < state.first_seq || last.gopSeq > state.last_seq) return undefined
    const { gopSeq: seq } = last
    const before = seq > state.first_seq ? await this.#placed(seq - 1, signal) : undefined
    const isShort = before?.epoch === last.epoch && before.gopSeq >= state.first_seq && seq - before.gopSeq <= SHORT_GOP_MAX
    return isShort ? before.gopSeq : seq
  }

  /** Where the frames of a range are, in the order in which they were stored. */
  async *stretches(range: TimeRange, { runs }: Extent, signal: AbortSignal): AsyncGenerator<Stretch> {
    for (const run of runsIn(runs, range)) {
      const { startSeq, endSeq } = await this.#part(range.fromMs, run, runs, signal)
      // Frames before the first keyframe's can't be decoded, though they may be stored behind it.
      yield { fromMs: Math.max(range.fromMs, run.startMs), toMs: range.toMs, startSeq, endSeq }
    }
  }

  /** Where the newest frame captured at or before `atMs` is. */
  async placeBefore(atMs: number, { runs }: Extent, signal: AbortSignal): Promise<PastPlace | undefined> {
    const run = runBefore(runs, atMs)
    return run && { source: this, startMs: run.startMs, ...(await this.#part(atMs, run, runs, signal)) }
  }

  /** Sequence of the keyframe with which decoding all frames from `fromMs` on begins, for who goes on to the newest. */
  async keyframeFrom(fromMs: number, { firstSeq, runs }: Extent, signal: AbortSignal): Promise<number> {
    const run = runFrom(runs, fromMs)
    return run === undefined ? firstSeq : (await this.#part(fromMs, run, runs, signal)).startSeq
  }

  async #part(fromMs: number, run: Run, runs: readonly Run[], signal: AbortSignal) {
    return { startSeq: await this.#keyframeIn(run, fromMs, signal), endSeq: run === runs.at(-1) ? undefined : run.lastSeq }
  }

  async #keyframeIn({ firstSeq, startMs, lastSeq }: Run, fromMs: number, signal: AbortSignal): Promise<number> {
    if (fromMs <= startMs) return firstSeq
    // The last packet captured at or before fromMs, or, as B-frames stand slightly out of order, one near it.
    let low = firstSeq
    let found = firstSeq
    for (let high = lastSeq; low <= high;) {
      const middle = Math.floor((low + high) / 2)
      const packet = await this.#placed(middle, signal)
      if (packet === undefined || packet.timestamp <= fromMs) {
        if (packet !== undefined) found = packet.gopSeq
        low = middle + 1
      } else high = middle - 1
    }
    // Frames presented before their own GOP's keyframe take the GOP before it too.
    while (found > firstSeq) {
      const keyframe = await this.#placed(found, signal)
      if (keyframe === undefined || keyframe.timestamp <= fromMs) return found
      const before = await this.#placed(found - 1, signal)
      if (before === undefined || before.gopSeq >= found) return found
      found = before.gopSeq
    }
    return firstSeq
  }

  /** Packets from `seq` on, whole; ends when `signal` aborts. Unreadable messages are skipped. */
  async *read(seq: number, onBad: (bad: BadMessage) => void, signal: AbortSignal): AsyncGenerator<Read> {
    const reassembly = new Reassembly(this.#source.uid)
    for await (const message of this.#messages(seq, signal)) {
      if (message === undefined) yield { packet: undefined, caughtUp: true, seq: undefined }
      else {
        const packet = checked(() => reassembly.packet(message), onBad)
        yield { packet, caughtUp: message.info.pending === 0, seq: message.seq }
      }
    }
  }

  /** Discarding the oldest leaves the rest of a GOP at the front, which can't be decoded. */
  async #firstKeyframe(fromSeq: number, signal: AbortSignal): Promise<Placed | undefined> {
    let seen = 0
    for await (const message of this.#messages(fromSeq, signal, { headers_only: true })) {
      if (message === undefined) return undefined
      const packet = checked(() => packetSummary(this.#source.uid, message.headers))
      if (packet?.key === true && packet.part === 1) return placed(message.seq, packet)
      if (++seen >= SEARCH_MAX || message.info.pending === 0) return undefined
    }
    return undefined
  }

  /**
   * The stream's messages from `seq` on, and undefined whenever there is none for now. The next ones are fetched when those before have been taken:
   * a reader that stalls holds up the server.
   */
  async *#messages(seq: number, signal: AbortSignal, config: Partial<ConsumerConfig> = {}): AsyncGenerator<JsMsg | undefined> {
    const info = await this.#ask(signal, async jsm => {
      const made = await jsm.consumers.add(this.#name, {
        ...{ name: nuid.next(), deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: seq, ack_policy: AckPolicy.None },
        ...{ inactive_threshold: nanos(IDLE_MS), mem_storage: true, ...config },
      })
      if (signal.aborted) void jsm.consumers.delete(this.#name, made.name).catch(() => false) // the call has ended
      return made
    })
    const consumer = this.#nc.jetstream().consumers.getPullConsumerFor(info)
    const max_bytes = Math.max(AHEAD_BYTES, (this.#nc.info?.max_payload ?? 0) + SUBJECTS_BYTES)
    try {
      if (info.num_pending === 0) yield undefined
      while (!signal.aborted) {
        let count = 0
        const batch = await consumer.fetch({ max_bytes, expires: SILENCE_MS })
        using _ = whenAborted(signal, () => batch.stop())
        for await (const message of batch) {
          count++
          yield message
          if (signal.aborted) return
        }
        if (count > 0 || signal.aborted) continue
        const { num_pending } = await unlessAborted(consumer.info(), signal)
        if (num_pending > 0) throw new Refusal('unavailable', 'the buffer cannot be reached: NATS does not send what it has')
        yield undefined
      }
    } catch (error) {
      throw away(error)
    } finally {
      void consumer.delete().catch(() => false) // it goes by itself when NATS is unreachable
    }
  }

  /** The packet at `seq`; undefined when it has just been discarded or is not this camera's. */
  async #placed(seq: number, signal: AbortSignal): Promise<Placed | undefined> {
    const message = await this.#askIfThere(signal, jsm => jsm.streams.getMessage(this.#name, { seq }))
    const packet = message && checked(() => packetSummary(this.#source.uid, message.header))
    return packet && placed(seq, packet)
  }

  async #ask<T>(signal: AbortSignal, question: (jsm: JetStreamManager) => Promise<T>): Promise<T> {
    try {
      return await unlessAborted(question(await this.#nc.jetstreamManager({ checkAPI: false })), signal)
    } catch (error) {
      throw away(error)
    }
  }

  /** undefined where what is asked for is not there. */
  #askIfThere<T>(signal: AbortSignal, question: (jsm: JetStreamManager) => Promise<T>): Promise<T | undefined> {
    const ask = (jsm: JetStreamManager) =>
      question(jsm).catch((error: unknown) => {
        if (isMissing(error)) return undefined
        throw error
      })
    return this.#ask(signal, ask)
  }
}

/** "camera x has no buffer": nothing is stored that could be decoded. */
export const noBuffer = (ref: CameraRef) => new Refusal('precondition', `camera "${refText(ref)}" has no buffered pictures`)

const placed = (seq: number, packet: PacketSummary): Placed => ({
  ...packet,
  seq,
  gopSeq: packet.key ? seq - packet.part + 1 : packet.keySeq,
})

const placeOf = ({ seq, timestamp: ms, epoch }: Placed): Place => ({ seq, ms, epoch })

function checked<T>(read: () => T, onBad: (bad: BadMessage) => void = () => {}): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof BadMessage)) throw error
    onBad(error)
    return undefined
  }
}

const isMissing = (error: unknown) => error instanceof NatsError && (error.code === '404' || error.api_error?.code === 404)

function away(error: unknown): unknown {
  if (!(error instanceof NatsError)) return error
  const why = isMissing(error) ? 'NATS has lost it' : `NATS does not answer (${error.code})`
  return new Refusal('unavailable', `the buffer cannot be reached: ${why}`)
}
