// Everything between a camera and its clients, as real processes: RTSP camera, nats-server, sidecar, gateway.
import type { Placement } from '../proto/camera.ts'
import { cameraRecord, startCameras } from '../test/fixtures/cameras.ts'
import { startGateway, type Gateway } from '../test/fixtures/gateway.ts'
import { BENCHMARK_VIDEO, testVideo } from '../test/fixtures/media.ts'
import { startNats, type NatsServer } from '../test/fixtures/nats.ts'
import { startCamera } from '../test/fixtures/rtsp-camera.ts'
import { startSidecar, type Sidecar } from '../test/fixtures/sidecar.ts'
import { until } from '../test/fixtures/wait.ts'
import { byLabel, between, meanMs, parseMetrics, total, type Counters } from './counters.ts'
import type { Cast } from './usage.ts'

export type Picture = { name: string; width: number; height: number; fps: number }

export const PICTURES = {
  '720p15': { name: '720p15', width: 1280, height: 720, fps: 15 },
  '720p30': { name: '720p30', width: 1280, height: 720, fps: 30 },
  '1080p15': { name: '1080p15', width: 1920, height: 1080, fps: 15 },
  '1080p30': { name: '1080p30', width: 1920, height: 1080, fps: 30 },
} as const satisfies Record<string, Picture>

export const GOP_SECONDS = 2

/** A file of it: a moving picture with noise at 4 Mbit/s, a keyframe every two seconds. */
export const videoOf = ({ width, height, fps }: Picture): Promise<string> =>
  testVideo({ ...BENCHMARK_VIDEO, width, height, fps, gop: GOP_SECONDS * fps })

/** Added to the environment of sidecar and gateway. */
export type ChainEnv = Readonly<Record<string, string>>

export type Counts = { sidecar: Counters; gateway: Counters }

export type Chain = AsyncDisposable & {
  readonly device: string
  readonly gateway: Gateway
  readonly sidecar: Sidecar
  readonly nats: NatsServer
  /** Without clients, which their starter adds. */
  readonly cast: Cast
  counts(): Promise<Counts>
}

export type ChainOptions = { env: ChainEnv; placement: Placement; sidecarEnv?: ChainEnv }

/** Returns once the camera's packets flow and the gateway knows the camera. */
export async function startChain(picture: Picture, { env, placement, sidecarEnv = env }: ChainOptions): Promise<Chain> {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const camera = stack.use(await startCamera({ codec: 'h264', file: await videoOf(picture) }))
  const cameras = stack.use(await startCameras(nats.url))
  const sidecar = stack.use(await startSidecar(nats, { name: 'bench', spec: { source: { url: camera.url } }, env: sidecarEnv }))
  await cameras.put(sidecar.camera, cameraRecord(sidecar.camera, { decoding: { keyFramesOnly: false, placement } }))
  const gateway = stack.use(await startGateway(nats.url, env))
  await sidecar.stateWith('packets of the camera', ({ connection }) => connection === 'streaming')
  await until(() => gateway.ready(), { what: 'the gateway' })
  const owned = stack.move()
  return {
    device: sidecar.camera.name,
    gateway,
    sidecar,
    nats,
    cast: { camera: [camera.pid], nats: [nats.pid], sidecars: [sidecar.pid], gateways: [gateway.pid], clients: [] },
    async counts() {
      const [ofSidecar, ofGateway] = await Promise.all([sidecar.metrics(), gateway.metrics()])
      return { sidecar: parseMetrics(ofSidecar), gateway: parseMetrics(ofGateway) }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export type Account = {
  /** Frames that did not get further, by where and why. */
  drops: Record<string, number>
  /** Means, in ms: packet to picture, where that is done; picture to NATS' acknowledgement; capture to client. */
  stagesMs: { decode: number; publish: number; delivery: number }
}

/** What sidecar and gateway say happened between two counts. */
export function account(before: Counts, after: Counts): Account {
  const sidecar = between(before.sidecar, after.sidecar)
  const gateway = between(before.gateway, after.gateway)
  const drops: Record<string, number> = {}
  const note = (what: string, count: number) => {
    if (count > 0) drops[what] = count
  }
  for (const [reason, count] of Object.entries(byLabel(sidecar, 'chrysalis_frames_dropped_total', 'reason')))
    note(`sidecar ${reason}`, count)
  for (const [reason, count] of Object.entries(byLabel(sidecar, 'chrysalis_buffer_dropped_total', 'reason')))
    note(`buffer ${reason}`, count)
  for (const [reason, count] of Object.entries(byLabel(gateway, 'chrysalis_frames_dropped_total', 'reason')))
    note(`gateway ${reason}`, count)
  note('gateway bad message', total(gateway, 'chrysalis_bad_messages_total'))
  note('gateway client behind', total(gateway, 'chrysalis_frames_missed_total'))
  note('gateway too much unsent', total(gateway, 'chrysalis_frames_withheld_total'))
  return {
    drops,
    stagesMs: {
      decode: meanMs(total(gateway, 'chrysalis_decode_seconds_count') > 0 ? gateway : sidecar, 'chrysalis_decode_seconds'),
      publish: meanMs(sidecar, 'chrysalis_publish_seconds'),
      delivery: meanMs(gateway, 'chrysalis_delivery_seconds'),
    },
  }
}
