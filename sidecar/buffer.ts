// Packets → the camera's JetStream stream, acknowledged: the time-travel buffer. Whole GOPs only, as far as they go: after
// a packet was lost the rest of its GOP is not stored, since it could not be decoded.
import { DiscardPolicy, RetentionPolicy, StorageType, nanos, type PubAck } from 'nats'
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Nats } from '../common/nats.ts'
import { sleep } from '../common/stop.ts'
import { ensureStream, isQuotaRefusal, isStreamMissing } from '../common/streams.ts'
import { packetMessages, type Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { packetStream, packetSubject, refText } from '../proto/subjects.ts'
import type { SidecarConfig } from './config.ts'
import type { Metrics } from './metrics.ts'

export type BufferHealth = { ok: boolean; reason?: string; message?: string }

const QUEUE_BYTES_MAX = 32 * 2 ** 20
const QUEUE_MAX = 4_096
const ACK_TIMEOUT_MS = 5_000
const UNACKED_MAX = 256
const RETRY_MS = 5_000
const AWAY_MS = 250
const DUPLICATES_MS = 1_000
const HEADER_ROOM = 128 * 1024
/** The server's own default of 1 MiB leaves no room for large headers: extradata is a few hundred bytes in practice. */
const headerRoom = (payloadMax: number) => Math.min(HEADER_ROOM, Math.floor(payloadMax / 4))

export class PacketBuffer {
  readonly #nats: Nats
  readonly #config: SidecarConfig
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #onHealth: (health: BufferHealth) => void
  #queue: { packet: Packet; codec: Codec }[] = []
  #queuedBytes = 0
  #wake = Promise.withResolvers<void>()
  /** The GOP lost a packet: nothing of it is stored any more. */
  #broken = true
  #unacked = 0
  #ready = false
  /** The stream is there, and packets are refused. */
  #refused = false

  constructor(nats: Nats, config: SidecarConfig, metrics: Metrics, log: Logger, onHealth: (health: BufferHealth) => void) {
    this.#nats = nats
    this.#config = config
    this.#metrics = metrics
    this.#log = log
    this.#onHealth = onHealth
  }

  push(packet: Packet, codec: Codec): void {
    if (this.#queuedBytes + packet.data.length > QUEUE_BYTES_MAX || this.#queue.length >= QUEUE_MAX) {
      this.#clear('queue_full')
    }
    this.#queue.push({ packet, codec })
    this.#queuedBytes += packet.data.length
    this.#wake.resolve()
  }

  /** Publishes until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake.resolve(), { once: true })
    let keySeq: number | Promise<number> = 0
    while (!signal.aborted) {
      if (!this.#ready) await this.#prepare(signal)
      const next = this.#queue.shift()
      if (next === undefined) {
        this.#metrics.bufferQueue.set(0)
        await this.#wake.promise
        this.#wake = Promise.withResolvers()
        continue
      }
      const { packet, codec } = next
      this.#queuedBytes -= packet.data.length
      this.#metrics.bufferQueue.set(this.#queuedBytes)
      if (!this.#nats.connected()) {
        this.#ready = false
        this.#lose('nats_away')
      } else if (packet.key) {
        this.#broken = false
        keySeq = this.#store(packet, codec, 0)
        if (this.#unacked >= UNACKED_MAX) await keySeq // the server is slow: at its pace
      } else {
        keySeq = await keySeq
        if (this.#broken || keySeq === 0) this.#lose('gop_broken')
        else if (this.#unacked < UNACKED_MAX) void this.#store(packet, codec, keySeq)
        else await this.#store(packet, codec, keySeq)
      }
    }
  }

  /** Publishes one packet; resolves with the stream sequence of its first part once all of it is stored, 0 when it is not. */
  async #store(packet: Packet, codec: Codec, keySeq: number): Promise<number> {
    this.#unacked++
    try {
      const serverMax = this.#nats.nc.info?.max_payload ?? 2 ** 20
      const messages = packetMessages(this.#config.camera.uid, packet, keySeq, codec, serverMax - headerRoom(serverMax))
      const js = this.#nats.nc.jetstream()
      const subject = packetSubject(this.#config.camera)
      const acks = messages.map(({ headers, payload }): Promise<PubAck> =>
        js.publish(subject, payload, { headers, timeout: ACK_TIMEOUT_MS }),
      )
      const stored = await Promise.all(acks)
      this.#metrics.buffered.inc()
      if (this.#refused) this.#onHealth({ ok: true })
      this.#refused = false
      return stored[0]?.seq ?? 0
    } catch (error) {
      this.#lose('publish_failed')
      this.#ready = false
      if (!isStreamMissing(error)) this.#refuse(error)
      return 0
    } finally {
      this.#unacked--
    }
  }

  #lose(cause: string): void {
    this.#drop(cause)
    this.#broken = true
  }

  /** NATS answers, but does not take packets. */
  #refuse(error: unknown): void {
    this.#log.debug({ error: messageOf(error) }, 'a packet was not stored')
    if (!this.#nats.connected()) return
    this.#refused = true
    this.#onHealth({ ok: false, reason: 'BufferUnavailable', message: `packets are not stored: ${messageOf(error)}` })
  }

  #drop(cause: string, count = 1): void {
    this.#metrics.bufferDropped.inc({ cause }, count)
  }

  #clear(cause: string): void {
    this.#drop(cause, this.#queue.length)
    this.#broken = true
    this.#queue = []
    this.#queuedBytes = 0
  }

  /** Makes the stream as the spec wants it; tries again until it is there. */
  async #prepare(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.#nats.connected()) {
        this.#clear('nats_away')
        this.#onHealth({ ok: false, reason: 'BufferUnavailable', message: 'NATS is away: nothing is stored' })
        await sleep(AWAY_MS, signal)
        continue
      }
      try {
        await this.#ensure()
        this.#ready = true
        if (!this.#refused) this.#onHealth({ ok: true })
        return
      } catch (error) {
        this.#clear('no_stream')
        if (this.#nats.connected()) this.#onHealth(this.#refusal(error))
        await sleep(RETRY_MS, signal)
      }
    }
  }

  async #ensure(): Promise<void> {
    const { camera, buffer } = this.#config
    const jsm = await this.#nats.nc.jetstreamManager({ checkAPI: false })
    const owner = `packets of ${refText(camera)}, uid ${camera.uid}`
    const name = packetStream(camera)
    const before = await jsm.streams.info(name).catch((error: unknown) => {
      if (isStreamMissing(error)) return undefined
      throw error
    })
    // A namesake's pictures are not this camera's.
    if (before !== undefined && before.config.description !== owner) await jsm.streams.purge(name)
    await ensureStream(jsm, {
      name,
      description: owner,
      subjects: [packetSubject(camera)],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      storage: buffer.storage === 'File' ? StorageType.File : StorageType.Memory,
      max_age: nanos(buffer.durationMs),
      max_bytes: buffer.maxBytes,
      // Nothing is published twice; the server's default may be longer than the buffer, which it refuses.
      duplicate_window: nanos(Math.min(buffer.durationMs, DUPLICATES_MS)),
      allow_direct: true,
    })
  }

  #refusal(error: unknown): BufferHealth {
    const { maxBytes, storage } = this.#config.buffer
    if (!isQuotaRefusal(error))
      return { ok: false, reason: 'BufferUnavailable', message: `the packet stream can’t be made: ${messageOf(error)}` }
    const need = `${maxBytes} bytes of ${storage === 'File' ? 'file' : 'memory'} storage`
    return {
      ok: false,
      reason: 'BufferQuotaExceeded',
      message: `JetStream’s quota has no room for ${need}: ${messageOf(error)}; lower buffer.maxBytes or raise the quota`,
    }
  }
}
