// Any number of cameras around one nats-server and one gateway, as real processes.
import type { Placement } from '../proto/camera.ts'
import { cameraRecord, startCameras, type Cameras } from '../test/fixtures/cameras.ts'
import { startGateway, type Gateway } from '../test/fixtures/gateway.ts'
import { startNats } from '../test/fixtures/nats.ts'
import { startCamera, type CameraCodec } from '../test/fixtures/rtsp-camera.ts'
import { startSidecar, type Sidecar } from '../test/fixtures/sidecar.ts'
import { until } from '../test/fixtures/wait.ts'
import { videoOf, type ChainEnv, type Counts, type Picture } from './chain.ts'
import { liveClient, type Client } from './clients.ts'
import { parseMetrics } from './counters.ts'
import type { Cast } from './usage.ts'

/** What may be reserved for the packets of many cameras; what they hold is a fraction of it. */
const NATS_MEMORY_MAX = 4 * 2 ** 30

export type Decoding = { scale?: string; maxFps?: number; placement?: Placement }

export type StageOptions = {
  picture: Picture
  env: ChainEnv
  /** Of the gateway alone. */
  gatewayEnv?: ChainEnv
  decoding?: Decoding
  /** The video that cameras play; the picture's own unless given. */
  file?: string
  /** Where the gateway finds NATS, which then listens on every address; loopback unless given. */
  gatewaysNatsHost?: string
}

export type StageCamera = { readonly device: string; readonly sidecar: Sidecar; readonly cameraPid: number }

export type Stage = AsyncDisposable & {
  /** What is known of cameras. */
  readonly records: Cameras
  readonly gateway: Gateway
  readonly cameras: readonly StageCamera[]
  readonly clients: readonly Client[]
  readonly cast: Cast
  /** Returns once its packets flow. `file`: the video it plays, in place of the stage's; of `codec`, H.264 unless given. */
  addCamera(file?: string, codec?: CameraCodec): Promise<StageCamera>
  /** Returns once they have their first frames. `perSecond` 0: every frame. */
  addClients(camera: StageCamera, count: number, perSecond?: number): Promise<void>
  /** Starts so many clients; returns once they have their first frames. */
  start(count: number, client: () => Promise<Client>): Promise<void>
  removeClients(): Promise<void>
  counts(camera: StageCamera): Promise<Counts>
}

export async function startStage(options: StageOptions): Promise<Stage> {
  const { picture, env, gatewayEnv = {}, decoding = {}, gatewaysNatsHost } = options
  await using stack = new AsyncDisposableStack()
  const host = gatewaysNatsHost === undefined ? {} : { host: '0.0.0.0' }
  const nats = stack.use(await startNats({ jetstreamLimits: { memory: NATS_MEMORY_MAX }, ...host }))
  const records = stack.use(await startCameras(nats.url))
  const gateway = stack.use(await startGateway(nats.url.replace('127.0.0.1', gatewaysNatsHost ?? '127.0.0.1'), { ...env, ...gatewayEnv }))
  await until(() => gateway.ready(), { what: 'the gateway' })
  const file = options.file ?? (await videoOf(picture))
  const cameras: StageCamera[] = []
  const clients: Client[] = []
  const cast: Cast = { camera: [], nats: [nats.pid], sidecars: [], gateways: [gateway.pid], clients: [] }
  const removeClients = async () => {
    cast.clients.length = 0
    await Promise.all(clients.splice(0).map(client => client[Symbol.asyncDispose]()))
  }
  const start: Stage['start'] = async (count, begin) => {
    const add = async () => {
      const client = await begin()
      clients.push(client)
      cast.clients.push(client.pid)
      await client.firstFrameMs()
    }
    await Promise.all(Array.from({ length: count }, add))
  }
  stack.defer(removeClients)
  const owned = stack.move()
  return {
    records,
    gateway,
    cameras,
    clients,
    cast,
    removeClients,
    async addCamera(own = file, codec = 'h264') {
      const source = owned.use(await startCamera({ codec, file: own }))
      const number = String(cameras.length + 1)
      const uid = `00000000-0000-4000-8000-${number.padStart(12, '0')}`
      const sidecar = owned.use(
        await startSidecar(nats, { name: `bench-${number}`, uid, spec: { source: { url: source.url }, decoding }, env }),
      )
      cast.camera.push(source.pid)
      cast.sidecars.push(sidecar.pid)
      const record = cameraRecord(sidecar.camera)
      await records.put(sidecar.camera, { ...record, decoding: { ...record.decoding, ...decoding } })
      await sidecar.stateWith('packets of the camera', ({ connection }) => connection === 'streaming', 60_000)
      const camera = { device: sidecar.camera.name, sidecar, cameraPid: source.pid }
      cameras.push(camera)
      return camera
    },
    addClients: ({ device }, count, perSecond = 0) => start(count, () => liveClient(gateway.port, device, { perSecond })),
    start,
    async counts({ sidecar }) {
      const [ofSidecar, ofGateway] = await Promise.all([sidecar.metrics(), gateway.metrics()])
      return { sidecar: parseMetrics(ofSidecar), gateway: parseMetrics(ofGateway) }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
