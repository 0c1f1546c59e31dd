// Packets → the camera's JetStream stream, the time-travel buffer, and to those who listen now.
import type { NatsConnection } from 'nats'
import { messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { KeyframeGate } from '../../common/media/keyframe-gate.ts'
import { isConfined, replicasOf, type Nats } from '../../common/nats/connect.ts'
import { bufferRefusal, ensurePacketStream, isPacketStreamThere } from '../../common/nats/packet-stream.ts'
import { sleep } from '../../common/abort.ts'
import { forbiddenIn, isStreamMissing } from '../../common/nats/streams.ts'
import { ByteQueue } from '../../common/queue.ts'
import { parseJson, type Outgoing, type Packet } from '../../proto/messages.ts'
import type { AnyReason } from '../../proto/reasons.ts'
import { BufferReply, encodeState, type CameraState, type Codec } from '../../proto/state.ts'
import { bufferSubject, packetSubject, unstoredSubject } from '../../proto/subjects.ts'
import type { SidecarConfig } from '../config.ts'
import type { Metrics } from '../metrics.ts'
import type { PacketSink } from '../packet-sink.ts'
import { messagesFor, publishLive } from './live-packet.ts'
import { isOpen, nextBufferPhase, type BufferEvent, type BufferPhase } from './buffer-phase.ts'

type BufferHealth = CameraState['buffer']

const QUEUE_BYTES_MAX = 32 * 2 ** 20
const QUEUE_MAX = 4_096
const ACK_TIMEOUT_MS = 5_000
/** How long, and how much, may go without an acknowledgement. */
const CHECK_MS = 1_000
const CHECK_BYTES = 4 * 2 ** 20
/** Acknowledgements that may be waited for at a time: more, and the server is too slow. */
const CHECKS_MAX = 8
const RETRY_MS = 5_000
const AWAY_MS = 250
/** For so long packets wait for the stream, or for word that their keyframe is stored. In a cluster its server may be gone alone. */
const PATIENCE_MS = { alone: 5_000, cluster: 1_000 } as const
const ASK_MS = 5_000

/**
 * One queue, one publisher, and a phase (`buffer-phase.ts`) that says whether packets may be published now. Only whole GOPs are stored, as far
 * as they go: after a packet was lost the gate drops the rest of its GOP, which could not be decoded. To have each packet acknowledged would
 * cost as much as all the rest, so a keyframe is, and a packet each second: the stream's sequence numbers show whether those between arrived.
 * What is not stored is still published, on a subject of its own: live frames need no buffer.
 * `push` never waits; `run` waits for NATS, and a full queue is emptied at once.
 */
export class PacketBuffer implements PacketSink {
  readonly #nats: Nats
  readonly #config: SidecarConfig
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #onHealth: (health: BufferHealth) => void
  #saidReason: AnyReason | undefined
  readonly #queue = new ByteQueue<{ packet: Packet; codec: Codec }>({ bytesMax: QUEUE_BYTES_MAX, itemsMax: QUEUE_MAX })
  /** Closed while the GOP lacks a packet: nothing of it is stored any more. */
  readonly #gate = new KeyframeGate('closed')
  /** The stream's sequence number at the last acknowledgement; undefined where none is known to count from. */
  #checked: Promise<number | undefined> = Promise.resolve(undefined)
  #checks = 0
  #checkedMs = 0
  /** Since then. */
  #since = { packets: 0, messages: 0, bytes: 0 }
  #phase: BufferPhase = 'preparing'
  #preparing: Promise<void> | undefined
  /** When packets wait for nothing any more, by performance.now(); undefined while they are stored. */
  #impatientMs: number | undefined
  #waiting = new AbortController()

  constructor(nats: Nats, config: SidecarConfig, metrics: Metrics, log: Logger, onHealth: (health: BufferHealth) => void) {
    this.#nats = nats
    this.#config = config
    this.#metrics = metrics
    this.#log = log
    this.#onHealth = onHealth
  }

  push(packet: Packet, codec: Codec): void {
    const { length } = packet.data
    if (this.#queue.push({ packet, codec }, length)) return
    this.#clear('queue_full')
    if (!this.#queue.push({ packet, codec }, length)) this.#lose('queue_full')
  }

  /** Publishes until `signal` aborts; what then still waits is dropped. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#publish(signal)
    await this.#preparing
    this.#clear('stopped')
    this.#enter('interrupted')
  }

  /** What waits is still stored; the next packet is a keyframe. */
  reset(): void {}

  /** Nothing is left once `run` has ended. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #publish(signal: AbortSignal): Promise<void> {
    let keySeq: number | Promise<number> = 0
    while (!signal.aborted) {
      if (!isOpen(this.#phase)) await this.#patiently(this.#prepared(signal), signal)
      const next = this.#queue.shift()
      if (next === undefined) {
        this.#metrics.bufferQueue.set(0)
        await this.#queue.wait(signal)
        continue
      }
      const { packet, codec } = next
      this.#metrics.bufferQueue.set(this.#queue.bytes)
      if (!this.#nats.connected()) {
        this.#enter('interrupted')
        this.#lose('nats_unreachable')
      } else if (!isOpen(this.#phase)) {
        this.#lose('no_stream')
        this.#sendUnstored(packet, codec)
      } else if (packet.key && this.#gate.passes(packet)) {
        keySeq = this.#store(packet, codec, 0).then(seq => seq ?? 0)
        if (this.#checks >= CHECKS_MAX) await keySeq
      } else {
        if (typeof keySeq !== 'number') {
          keySeq = (await this.#patiently(keySeq, signal)) ?? 0
          if (keySeq !== 0) this.#impatientMs = undefined
        }
        if (!this.#gate.passes(packet) || keySeq === 0) {
          this.#lose('gop_broken')
          this.#sendUnstored(packet, codec)
        } else if (this.#checks < CHECKS_MAX) void this.#store(packet, codec, keySeq)
        else await this.#store(packet, codec, keySeq) // the server is slow: at its pace
      }
    }
  }

  /** Publishes one packet; resolves with the stream's sequence number of its first part, undefined where that is not known. */
  async #store(packet: Packet, codec: Codec, keySeq: number): Promise<number | undefined> {
    try {
      const { nc } = this.#nats
      const messages = messagesFor(nc, this.#config.camera.uid, packet, keySeq, codec)
      const check = this.#isDue(packet, codec) ? messages.shift() : undefined
      const stored = check && this.#check(check)
      const subject = packetSubject(this.#config.camera)
      for (const { headers, payload } of messages) nc.publish(subject, payload, { headers })
      this.#since.packets += check === undefined ? 1 : 0
      this.#since.messages += messages.length
      this.#since.bytes += packet.data.length
      return await stored
    } catch (error) {
      this.#fail(error, 1)
      return undefined
    }
  }

  /** What the promise gives while there is patience; once that is used up undefined at once, until the buffer stores again. */
  async #patiently<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    const nowMs = performance.now()
    this.#impatientMs ??= nowMs + PATIENCE_MS[replicasOf(this.#nats.nc) > 1 ? 'cluster' : 'alone']
    const over = (this.#waiting = new AbortController())
    try {
      return await Promise.race([
        promise,
        sleep(Math.max(0, this.#impatientMs - nowMs), AbortSignal.any([signal, over.signal])).then(() => undefined),
      ])
    } finally {
      over.abort()
    }
  }

  /** For those who listen now. */
  #sendUnstored(packet: Packet, codec: Codec): void {
    const { camera } = this.#config
    publishLive(this.#nats.nc, unstoredSubject(camera), camera.uid, packet, codec, this.#log)
  }

  /** Time for an acknowledgement; that of a keyframe tells its followers what to refer to. */
  #isDue({ key }: Packet, { name }: Codec): boolean {
    const isReferred = key && name !== 'mjpeg'
    return isReferred || performance.now() - this.#checkedMs >= CHECK_MS || this.#since.bytes > CHECK_BYTES
  }

  /** Publishes a message that is acknowledged, which also tells what became of those since the one before. */
  #check(message: Outgoing): Promise<number | undefined> {
    const { packets, messages } = this.#since
    this.#since = { packets: 0, messages: 0, bytes: 0 }
    this.#checkedMs = performance.now()
    this.#checked = this.#acknowledged(message, this.#checked, packets, messages)
    return this.#checked
  }

  async #acknowledged(message: Outgoing, before: Promise<number | undefined>, packets: number, messages: number) {
    this.#checks++
    try {
      const js = this.#nats.nc.jetstream()
      const { headers, payload } = message
      const { seq } = await js.publish(packetSubject(this.#config.camera), payload, { headers, timeout: ACK_TIMEOUT_MS })
      const last = await before
      const lost = last === undefined ? 0 : Math.min(messages, Math.max(0, last + messages + 1 - seq))
      if (lost > 0) this.#lose('not_stored', lost)
      this.#metrics.buffered.inc(Math.max(0, packets + 1 - lost))
      if (this.#phase === 'refused' || this.#phase === 'trying') this.#tell({ ok: true })
      this.#enter('acknowledged')
      if (this.#phase === 'storing') this.#impatientMs = undefined
      return seq
    } catch (error) {
      this.#fail(error, packets + 1)
      return undefined
    } finally {
      this.#checks--
    }
  }

  #fail(error: unknown, packets: number): void {
    this.#lose('publish_failed', packets)
    this.#enter('interrupted')
    if (!isStreamMissing(error)) this.#refuse(error)
  }

  #enter(event: BufferEvent): void {
    this.#phase = nextBufferPhase(this.#phase, event)
  }

  #lose(reason: string, count = 1): void {
    this.#drop(reason, count)
    this.#gate.close()
  }

  /** NATS answers, but does not take packets. */
  #refuse(error: unknown): void {
    this.#log.debug({ error: messageOf(error) }, 'could not store a packet')
    if (!this.#nats.connected()) return
    this.#enter('refused')
    const forbidden = forbiddenIn(error)
    const reason = forbidden === undefined ? 'BufferUnavailable' : 'NatsForbidden'
    this.#tell({ ok: false, reason, message: `the buffer stores no packets: ${forbidden ?? messageOf(error)}` })
  }

  /** The log has it too: while NATS is unreachable it is reported nowhere else. */
  #tell(health: BufferHealth): void {
    if (health.reason !== this.#saidReason) {
      if (health.ok) this.#log.info('the buffer stores packets again')
      else this.#log.warn({ reason: health.reason, message: health.message }, 'the buffer stores no packets')
    }
    this.#saidReason = health.reason
    this.#onHealth(health)
  }

  #drop(reason: string, count = 1): void {
    this.#metrics.bufferDropped.inc({ reason }, count)
  }

  #clear(reason: string): void {
    this.#drop(reason, this.#queue.clear())
    this.#gate.close()
  }

  /** One preparation at a time. */
  #prepared(signal: AbortSignal): Promise<void> {
    this.#preparing ??= this.#prepare(signal).finally(() => (this.#preparing = undefined))
    return this.#preparing
  }

  /** Makes the stream as the spec wants it; tries again until it is there. */
  async #prepare(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.#nats.connected()) {
        this.#clear('nats_unreachable')
        this.#tell({ ok: false, reason: 'BufferUnavailable', message: 'NATS is unreachable: nothing is buffered' })
        await sleep(AWAY_MS, signal)
        continue
      }
      try {
        await this.#ensure()
        this.#checked = Promise.resolve(undefined)
        this.#enter('prepared')
        if (this.#phase === 'storing') this.#tell({ ok: true })
        return
      } catch (error) {
        if (this.#nats.connected()) this.#tell({ ok: false, ...(await this.#refusalIn(error)) })
        // Packets need not wait for the next try.
        this.#impatientMs = performance.now()
        this.#waiting.abort()
        await sleep(RETRY_MS, signal)
      }
    }
  }

  async #refusalIn(error: unknown): Promise<Refusal> {
    if (error instanceof Refused) return error.refusal
    return bufferRefusal(await this.#nats.nc.jetstreamManager({ checkAPI: false }), error, this.#config.buffer)
  }

  async #ensure(): Promise<void> {
    const { camera, buffer } = this.#config
    const { nc } = this.#nats
    if (!isConfined(nc)) return ensurePacketStream(nc, camera, buffer)
    if (!(await isPacketStreamThere(nc, camera, buffer))) await this.#ask(nc)
  }

  /** Our user may not make streams; the operator makes ours. */
  async #ask(nc: NatsConnection): Promise<void> {
    const { camera } = this.#config
    const request = encodeState({ v: 1, uid: camera.uid })
    const { data } = await nc.request(bufferSubject(camera), request, { timeout: ASK_MS }).catch((error: unknown) => {
      if (forbiddenIn(error) !== undefined) throw error
      throw new Error(`the operator, which makes it, does not answer (${messageOf(error)})`)
    })
    const { uid, ok, reason, message } = parseJson(BufferReply, data)
    if (!ok || uid !== camera.uid) throw new Refused({ reason: reason ?? 'BufferUnavailable', message: message ?? 'it was refused' })
  }
}

type Refusal = { reason: AnyReason; message: string }

class Refused extends Error {
  readonly refusal: Refusal
  constructor(refusal: Refusal) {
    super(refusal.message)
    this.refusal = refusal
  }
}
