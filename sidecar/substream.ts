// The camera's smaller stream: connected at first, to learn its size, and then while gateways want it. Its packets are published live and kept
// nowhere.
import type { BlockList } from 'node:net'
import { sleep, whenAborted } from '../common/abort.ts'
import type { Logger } from '../common/log.ts'
import type { Nats } from '../common/nats/connect.ts'
import type { Packet } from '../proto/messages.ts'
import type { Codec, SubstreamState } from '../proto/state.ts'
import { substreamSubject } from '../proto/subjects.ts'
import type { SidecarConfig } from './config.ts'
import { followDemand } from './demand.ts'
import { Rate, type Health } from './health.ts'
import type { Lease } from './lease.ts'
import type { Metrics } from './metrics.ts'
import { publishLive } from './publish/live-packet.ts'
import type { Source } from './source/drivers/driver.ts'
import { ingest, type IngestState } from './source/ingest.ts'

/** It stays connected for so long after nothing wants it any more. */
const LINGER_MS = 10_000
/** How often its rate is told. */
const RATE_MS = 5_000

type Parts = { nats: Nats; config: SidecarConfig; deny: BlockList; health: Health; metrics: Metrics; log: Logger }

export class Substream implements Disposable {
  readonly #source: Source
  readonly #parts: Parts
  readonly #log: Logger
  readonly #demand: Disposable
  #state: SubstreamState = { connection: 'off', fps: 0 }
  #isWanted = false
  #lastEpoch = 0
  #lastPacketAt: number | undefined
  #changed = Promise.withResolvers<void>()

  constructor(source: Source, parts: Parts) {
    this.#source = source
    this.#parts = parts
    this.#log = parts.log.child({ stream: 'sub' })
    this.#demand = followDemand(parts.nats.nc, parts.config.camera, 'sub', {
      onWants: ({ wants }) => {
        this.#isWanted = wants !== 'none'
        this.#wake()
      },
      onElsewhere: () => {},
      onTaken: () => {},
      onBad: () => {}, // counted with those of the main stream
    })
  }

  /** Works while this process holds the camera's lease, until `signal` aborts. */
  async run(lease: Lease, signal: AbortSignal): Promise<void> {
    this.#lastEpoch = Math.max(this.#lastEpoch, lease.lastEpoch)
    while (!signal.aborted) {
      await this.#until(() => this.#isNeeded, signal)
      if (signal.aborted) return
      const over = new AbortController()
      const either = AbortSignal.any([signal, over.signal])
      await Promise.all([this.#connect(lease, either), this.#unneeded(either).then(() => over.abort())])
      this.#set({ connection: 'off', reason: undefined, message: undefined, fps: 0 })
    }
  }

  [Symbol.dispose](): void {
    this.#demand[Symbol.dispose]()
  }

  /** Before its size is known gateways cannot tell what it is good for. */
  get #isNeeded(): boolean {
    return this.#isWanted || this.#state.codec === undefined
  }

  async #connect(lease: Lease, signal: AbortSignal): Promise<void> {
    const { config, deny } = this.#parts
    const rate = new Rate()
    const timer = setInterval(() => this.#tellRate(rate), RATE_MS)
    const onPacket = (packet: Packet, codec: Codec, newEpoch: boolean) => {
      rate.add(packet.data.length, performance.now())
      this.#lastPacketAt = packet.timestamp
      if (newEpoch) {
        this.#lastEpoch = packet.epoch
        lease.setEpoch(packet.epoch)
        this.#log.info({ codec: codec.name, width: codec.width, height: codec.height, epoch: packet.epoch }, 'a new epoch begins')
        this.#set({ codec, lastPacketAt: packet.timestamp })
        this.#wake()
      }
      this.#parts.metrics.substreamPackets.inc()
      this.#publish(packet, codec)
    }
    const events = { onPacket, onState: (state: IngestState) => this.#connection(state), onDevice: () => {}, onRestart: () => {} }
    try {
      await ingest({ ...config, source: this.#source }, deny, this.#lastEpoch, events, this.#log, signal)
    } finally {
      clearInterval(timer)
    }
  }

  #connection({ connection, failure }: IngestState): void {
    // While it tries again, the reason it failed for still holds.
    const cause = connection === 'connecting' && failure === undefined ? {} : { reason: failure?.reason, message: failure?.message }
    this.#set({ connection, ...cause })
  }

  #publish(packet: Packet, codec: Codec): void {
    const { nats, config } = this.#parts
    if (nats.connected()) publishLive(nats.nc, substreamSubject(config.camera), config.camera.uid, packet, codec, this.#log)
  }

  #tellRate(rate: Rate): void {
    if (this.#state.connection !== 'streaming') return
    this.#set({ fps: rate.at(performance.now()).fps, lastPacketAt: this.#lastPacketAt })
  }

  #set(change: Partial<SubstreamState>): void {
    this.#state = { ...this.#state, ...change }
    this.#parts.metrics.substreamStreaming.set(this.#state.connection === 'streaming' ? 1 : 0)
    this.#parts.health.set({ substream: this.#state })
  }

  /** Resolves when nothing has needed it for a while, or `signal` aborts. */
  async #unneeded(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#until(() => !this.#isNeeded, signal)
      const over = new AbortController()
      const either = AbortSignal.any([signal, over.signal])
      await Promise.race([sleep(LINGER_MS, either), this.#until(() => this.#isNeeded, either)])
      over.abort()
      if (!this.#isNeeded) return
    }
  }

  async #until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    while (!holds() && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>()
      using _ = whenAborted(signal, resolve)
      await Promise.race([this.#changed.promise, promise])
    }
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}
