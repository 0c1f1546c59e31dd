// A camera's frames, decoded in this process from its packets.
import type { Logger } from '../../common/log.ts'
import { Gop } from '../../common/media/gop.ts'
import { LiveDecoder } from '../../common/media/live-decoder.ts'
import type { Nats } from '../../common/nats/connect.ts'
import type { RenditionDemand } from '../../proto/rendition.ts'
import { MESSAGE_MAX, type Activity } from '../../proto/state.ts'
import { frameInPlace } from '../../common/patches/grpc-framing.ts'
import type { Metrics } from '../metrics.ts'
import { LivePackets, type LiveSource } from './live-packets.ts'
import { streamLabel } from './substream.ts'
import type { Upstream, UpstreamEvents } from './upstream.ts'

/** Of a camera's packets since its last keyframe. */
const GOP_BYTES_MAX = 32 * 2 ** 20
/** Packets that make no picture for so long are not worth waiting for. */
const UNDECODABLE_MS = 10_000
/** Packets that the sidecar publishes do not come: it tells of some so much newer than the last one here, and that for so long. */
const BEHIND_MS = 8_000
const BEHIND_FOR_MS = 3_000

export type DecoderSource = LiveSource & { deviceId: string }

export type DecoderEvents = UpstreamEvents & {
  /** `report` has changed. */
  onReport: () => void
  /** Nothing is left of it. */
  onEnded: () => void
}

export class GatewayDecoder implements Upstream {
  readonly where = 'Gateway'
  readonly key = 'Gateway'
  readonly #packets: LivePackets
  readonly #live: LiveDecoder
  readonly #metrics: Metrics
  readonly #camera: string
  readonly #events: DecoderEvents
  #demand: readonly RenditionDemand[] = []
  #health: Activity = { active: false, ok: true }
  #failingSinceMs: number | undefined
  /** Capture time of the newest packet that came, or else that was told of at the begin. */
  #newestAt: number | undefined
  #behindSinceMs: number | undefined

  constructor(nats: Nats, source: DecoderSource, events: DecoderEvents, metrics: Metrics, log: Logger) {
    this.#metrics = metrics
    this.#events = events
    const camera = streamLabel(source)
    this.#camera = camera
    const gop = new Gop(GOP_BYTES_MAX)
    this.#live = new LiveDecoder({
      ...{ deviceId: source.deviceId, gop, log: log.child({ camera }) },
      publish: (rendition, frame) => {
        if (frame.message !== undefined) frameInPlace(frame.message)
        events.onFrame(rendition, source.stream === 'sub' ? { ...frame, sub: true } : frame)
      },
      onHealth: health => this.#setHealth(health),
      count: {
        decoded: isCorrupt => {
          metrics.framesDecoded.inc({ camera })
          if (isCorrupt) metrics.framesCorrupt.inc({ camera })
        },
        dropped: reason => metrics.framesDropped.inc({ camera, reason }),
        unwanted: () => metrics.framesUnwanted.inc({ camera }),
        tookMs: ms => metrics.decodeSeconds.observe({ camera }, ms / 1000),
      },
    })
    const broken = () => {
      gop.clear()
      this.#live.reset()
      this.#settle()
    }
    this.#packets = new LivePackets(
      nats,
      source,
      {
        onPacket: (packet, codec, newEpoch) => {
          metrics.packetsReceived.inc({ camera })
          this.#newestAt = packet.timestamp
          gop.push(packet)
          this.#live.push(packet, codec, newEpoch)
        },
        onBroken: broken,
        onCaughtUp: () => this.#settle(),
        onLost: count => metrics.framesDropped.inc({ camera, reason: 'packets_lost' }, count),
        onBad: events.onBad,
      },
      log,
    )
  }

  get isClosed(): boolean {
    return this.#packets.isClosed
  }

  want(demand: readonly RenditionDemand[]): void {
    this.#demand = demand
    this.#settle()
  }

  tick(nowMs: number, lastPacketAt: number | undefined): void {
    this.#packets.tick(nowMs)
    this.#newestAt ??= lastPacketAt
    const isBehind = (lastPacketAt ?? 0) - (this.#newestAt ?? 0) > BEHIND_MS
    this.#behindSinceMs = isBehind ? (this.#behindSinceMs ?? nowMs) : undefined
  }

  /** As the camera's status tells it. */
  report(nowMs: number): Activity {
    const { active, ok, reason, message } = this.#health
    if (!this.#isWithoutPackets(nowMs)) return { active, ok, reason, message: message?.slice(0, MESSAGE_MAX) }
    return {
      active: false,
      ok: false,
      reason: 'NoPackets',
      message: 'the camera’s packets do not reach the gateway that is to decode them',
    }
  }

  /** Nothing has come of it for a while. */
  hasFailed(nowMs: number): boolean {
    const isUndecodable = this.#failingSinceMs !== undefined && nowMs - this.#failingSinceMs > UNDECODABLE_MS
    return isUndecodable || this.#isWithoutPackets(nowMs)
  }

  async end(): Promise<void> {
    await this.#packets.end()
    await this.#live[Symbol.asyncDispose]()
    this.#metrics.decoderRunning.remove({ camera: this.#camera })
    this.#events.onEnded()
  }

  #isWithoutPackets(nowMs: number): boolean {
    return this.#behindSinceMs !== undefined && nowMs - this.#behindSinceMs > BEHIND_FOR_MS
  }

  /** Frames begin with the newest one, not with those that were read to come to it. */
  #settle(): void {
    this.#live.setDemand(this.#packets.isCatchingUp ? [] : this.#demand)
  }

  #setHealth(health: Activity): void {
    if (!health.ok && this.#health.ok) this.#metrics.decodeFailures.inc({ camera: this.#camera })
    // It is tried again each second, in which time nothing is known to be better.
    if (health.ok && (health.active || this.#demand.length === 0)) this.#failingSinceMs = undefined
    else if (!health.ok) this.#failingSinceMs ??= performance.now()
    this.#health = health
    this.#metrics.decoderRunning.set({ camera: this.#camera }, health.active ? 1 : 0)
    this.#events.onReport()
  }
}
