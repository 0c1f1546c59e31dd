// Packets → frames in NATS, as far as gateways want them decoded here.
import type { Logger } from '../common/log.ts'
import type { Gop } from '../common/media/gop.ts'
import { LiveDecoder } from '../common/media/live-decoder.ts'
import type { Nats } from '../common/nats/connect.ts'
import type { Packet } from '../proto/messages.ts'
import { imageDemand } from '../proto/rendition.ts'
import type { Activity, Codec } from '../proto/state.ts'
import type { SidecarConfig } from './config.ts'
import { decodingOf, followDemand } from './demand.ts'
import type { Health } from './health.ts'
import { liveCount, type Metrics } from './metrics.ts'
import type { PacketSink } from './packet-sink.ts'
import { FramePublisher } from './publish/frame-publisher.ts'
import { renditionPublisher, type RenditionPublisher } from './publish/rendition-publisher.ts'

/** `gop` has each packet before it is pushed here. Frames have a connection of their own, so that nothing else waits behind them. */
export type DecodingParts = { nats: Nats; frames: Nats; config: SidecarConfig; gop: Gop; health: Health; metrics: Metrics; log: Logger }

export class DecodingSink implements PacketSink {
  readonly #health: Health
  readonly #live: LiveDecoder
  readonly #demand: Disposable
  #here: Activity = { active: false, ok: true }
  #elsewhere: Activity | undefined

  constructor({ nats, frames, config, gop, health, metrics, log }: DecodingParts) {
    this.#health = health
    const publisher = new FramePublisher(frames, config.camera, metrics, log)
    const ofRenditions = new Map<string, RenditionPublisher>()
    this.#live = new LiveDecoder({
      ...{ deviceId: config.deviceId, gop, count: liveCount(metrics), log },
      publish: (key, frame, seq) => {
        const { message } = frame
        const rendition = ofRenditions.get(key)
        if (message !== undefined) publisher.offer({ ...frame, message, seq })
        else if (rendition !== undefined) rendition.offer({ ...frame, seq })
        else frame.lease?.release()
      },
      onHealth: here => {
        metrics.decoderRunning.set(here.active ? 1 : 0)
        this.#here = here
        this.#report()
      },
    })
    this.#demand = followDemand(nats.nc, config.camera, 'main', {
      onWants: ({ wants, maxFps, renditions }) => {
        for (const key of ofRenditions.keys()) if (renditions.every(other => other.key !== key)) ofRenditions.delete(key)
        for (const { key } of renditions) {
          if (!ofRenditions.has(key)) ofRenditions.set(key, renditionPublisher(frames, config.camera, key, metrics, log))
        }
        for (const label of ['all', 'keyframes']) metrics.demand.set({ wants: label }, wants === label ? 1 : 0)
        const image = wants === 'none' ? [] : [{ ...imageDemand(config.decoding, wants), maxFps }]
        this.#live.setDemand([...image, ...renditions])
      },
      onElsewhere: elsewhere => {
        this.#elsewhere = elsewhere
        this.#report()
      },
      onTaken: takers => publisher.taken(takers),
      onBad: bad => metrics.badMessages.inc({ reason: bad.reason }),
    })
  }

  push(packet: Packet, codec: Codec, newEpoch: boolean): void {
    this.#live.push(packet, codec, newEpoch)
  }

  reset(): void {
    this.#live.reset()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#demand[Symbol.dispose]()
    await this.#live[Symbol.asyncDispose]()
  }

  #report(): void {
    this.#health.set({ decoding: decodingOf(this.#here, this.#elsewhere) })
  }
}
