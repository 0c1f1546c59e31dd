// Where a camera's packets go in this process, in order. Each packet passes the whole list before the next one does.
import type { BlockList } from 'node:net'
import type { Logger } from '../common/log.ts'
import { Gop } from '../common/media/gop.ts'
import type { Nats } from '../common/nats/connect.ts'
import { Archive } from './archive/archive.ts'
import type { SidecarConfig } from './config.ts'
import { DecodingSink } from './decoding.ts'
import { Forwarding } from './forward/forwarding.ts'
import type { Health } from './health.ts'
import { countPacket, type Metrics } from './metrics.ts'
import { Pipeline, plainSink } from './packet-sink.ts'
import { PacketBuffer } from './publish/packet-buffer.ts'

export type PipelineParts = {
  nats: Nats
  frames: Nats
  config: SidecarConfig
  deny: BlockList
  health: Health
  metrics: Metrics
  log: Logger
}

/** A new sink is one more line of this list. */
export function openPipeline(parts: PipelineParts): Pipeline {
  const { nats, config, deny, health, metrics, log } = parts
  const { camera, deviceId, archive, proxy } = config
  const gop = new Gop()
  return new Pipeline([
    // First what is said of a packet, so that no sink can be ahead of the camera's state.
    plainSink((packet, codec, newEpoch) => {
      countPacket(metrics, packet, newEpoch)
      health.packet(packet, codec)
    }),
    // What stores packets: these know nothing of each other.
    new PacketBuffer(nats, config, metrics, log, state => health.set({ buffer: state })),
    ...(archive === undefined
      ? []
      : [new Archive(archive, { deviceId, nc: nats.nc, camera, metrics, log, onHealth: state => health.set({ archive: state }) })]),
    // Before what begins in the middle of a GOP: those read it, and take for granted that it has the packet that they are given.
    plainSink(
      packet => gop.push(packet),
      () => gop.clear(),
    ),
    new DecodingSink({ ...parts, gop }),
    ...(proxy === undefined
      ? []
      : [new Forwarding({ ...proxy, nats, camera, deny, gop, metrics, log, onHealth: state => health.set({ proxy: state }) })]),
  ])
}
