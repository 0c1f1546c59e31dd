// What the sidecars of many cameras send, without cameras: heartbeats, and packets into buffers.
import { connect, type NatsConnection } from 'nats'
import { openBucket } from '../common/nats/buckets.ts'
import { ensurePacketStream } from '../common/nats/packet-stream.ts'
import { packetMessages, type Packet } from '../proto/messages.ts'
import { encodeState, type CameraState } from '../proto/state.ts'
import { cameraKey, packetSubject } from '../proto/subjects.ts'
import { HD, type FakeCamera } from '../test/fixtures/cameras.ts'
import type { Cameras } from '../test/fixtures/cluster-cameras.ts'
import type { NatsServer } from '../test/fixtures/nats.ts'

const HEARTBEAT_MS = 5_000
const FPS = 15
const PACKET = Buffer.alloc(8_000, 1)
const LIMITS = { durationMs: 10_000, maxBytes: 2 * 2 ** 20, storage: 'Memory', replicas: 1 } as const

export type SimulatedSidecars = AsyncDisposable & {
  /** So many send packets from now on. */
  stream(count: number): Promise<void>
  /** Packets in all. `refused`: of those whose storing is acknowledged, one a second of each camera, NATS took so many not. */
  counts(): { sent: number; refused: number }
}

export async function simulateSidecars(
  servers: readonly NatsServer[],
  cameras: Cameras,
  names: readonly string[],
): Promise<SimulatedSidecars> {
  const links = await Promise.all(servers.map(({ url }) => connect({ servers: url, maxReconnectAttempts: -1 })))
  const linkOf = (i: number) => links[i % links.length] as NatsConnection
  const known: FakeCamera[] = []
  for (const name of names) known.push({ namespace: cameras.namespace, name, uid: (await cameras.camera(name))?.metadata.uid ?? '' })
  const states = await openBucket(linkOf(0), 'states')
  const sent = { sent: 0, refused: 0 }
  let streaming = 0
  let beat = 0
  const beating = setInterval(() => {
    const camera = known[beat++ % known.length]
    if (camera !== undefined) void states.put(cameraKey(camera), encodeState(stateOf(camera))).catch(() => {})
  }, HEARTBEAT_MS / known.length)
  let tick = 0
  const sending = setInterval(() => {
    tick++
    for (const [i, camera] of known.slice(0, streaming).entries()) send(linkOf(i), camera, tick, sent)
  }, 1_000 / FPS)
  return {
    async stream(count) {
      for (let i = streaming; i < count; i++) await ensurePacketStream(linkOf(i), known[i] as FakeCamera, LIMITS)
      streaming = count
    },
    counts: () => ({ ...sent }),
    async [Symbol.asyncDispose]() {
      clearInterval(beating)
      clearInterval(sending)
      await Promise.all(links.map(link => link.close()))
    },
  }
}

function send(nc: NatsConnection, camera: FakeCamera, tick: number, sent: { sent: number; refused: number }): void {
  const index = tick % FPS
  const packet: Packet = {
    ...{ epoch: 1, index, keyframe: Math.floor(tick / FPS) + 1, pts: tick * 6_000, dts: tick * 6_000, timestamp: Date.now() },
    ...{ key: index === 0, corrupt: false, data: PACKET },
  }
  for (const { headers, payload } of packetMessages(camera.uid, packet, 1, HD, 2 ** 20)) {
    sent.sent++
    if (index === 0)
      void nc
        .jetstream()
        .publish(packetSubject(camera), payload, { headers })
        .catch(() => sent.refused++)
    else nc.publish(packetSubject(camera), payload, { headers })
  }
}

const stateOf = ({ uid }: FakeCamera): CameraState => ({
  ...{ v: 1, uid, run: 1, at: Date.now(), connection: 'streaming', failingStreak: 0, reconnects: 0, pid: 1, epoch: 1 },
  ...{ fps: FPS - 0.5 + Math.random(), bitsPerSecond: 1e6, lastPacketAt: Date.now() },
  decoding: { active: false, ok: true },
  buffer: { ok: true },
})
