// A camera too many: what it takes from a small camera that was watched before, and from other calls.
import { setTimeout as delay } from 'node:timers/promises'
import { grpcClient, type Client } from '../test/fixtures/gateway.ts'
import { testVideo } from '../test/fixtures/media.ts'
import type { Picture } from './chain.ts'
import type { Options } from './options.ts'
import type { Measured, Table } from './scenario.ts'
import { playCameras } from './played-cameras.ts'
import { startStage, type Stage, type StageCamera } from './stage.ts'
import { figure } from './table.ts'
import type { Target } from './targets.ts'
import { measureUsage } from './usage.ts'

const INNOCENT = { width: 640, height: 360, fps: 15, gop: 15, seconds: 10 }
type Shape = {
  name: string
  count: number
  video: { width: number; height: number; fps: number; gop: number; seconds: number }
  /** Without sidecars, which would fill the machine. */
  isPlayed?: boolean
}
/** With room for one camera of 1080p at 30 frames a second, so for one of 4K at 5. */
const GATEWAY_ENV = {
  CHRYS_DECODERS_MAX: '1',
  // As in local mode, since the pods are on this machine too.
  CHRYS_RAW_FRAMES_MAX_MB: '0',
}
const SHAPES: readonly Shape[] = [
  { name: '3 of 4K at 5 fps', count: 3, video: { width: 3840, height: 2160, fps: 5, gop: 10, seconds: 10 } },
  { name: '1 of 39 megapixels at 2 fps', count: 1, video: { width: 7200, height: 5408, fps: 2, gop: 4, seconds: 6 } },
  { name: '20 of 320×192 at 25 fps', count: 20, video: { width: 320, height: 192, fps: 25, gop: 25, seconds: 10 } },
  { name: '40 of 1080p at 30 fps', count: 40, video: { width: 1920, height: 1080, fps: 30, gop: 60, seconds: 20 }, isPlayed: true },
]
const WARM_UP_MS = 8_000
const LOSS_MAX = 0.1
const CALL_MS_MAX = 1_000

export async function measureOverload(options: Options): Promise<Measured> {
  const rows: Row[] = []
  for (const shape of SHAPES) rows.push(await measureShape(shape, options))
  return { tables: [tableOf(rows)], targets: rows.flatMap(targetsOf), figures: rows }
}

type Row = {
  shape: string
  /** Of the small camera: frames a second by itself, and beside the others. */
  alone: number
  beside: number
  /** Of the others, all together. */
  others: number
  slowestMs: number
  reconnects: number
  refused: number
  thinned: number
  /** MB of the gateway and its ffmpegs. */
  rss: number
}

async function measureShape({ name, count, video, isPlayed = false }: Shape, { seconds, env }: Options): Promise<Row> {
  const picture: Picture = { name: '640×360', ...INNOCENT }
  await using stage = await startStage({ picture, env, gatewayEnv: GATEWAY_ENV, file: await testVideo(INNOCENT) })
  const innocent = await stage.addCamera()
  await using first = watch(stage, innocent)
  await delay(WARM_UP_MS)
  const alone = await rateOf([first], seconds)
  using playing = isPlayed ? await playCameras(stage.records, count, video) : undefined
  const others: Device[] = playing?.devices.map(device => ({ device })) ?? []
  for (let i = others.length; i < count; i++) others.push(await stage.addCamera(await testVideo(video)))
  await using watching = watchAll(stage, others)
  await delay(WARM_UP_MS)
  const before = await stage.gateway.metric('chrysalis_nats_reconnects_total')
  await using calls = callAgain(stage, innocent)
  const [beside, rate, usage] = await Promise.all([
    rateOf([first], seconds),
    rateOf(watching.all, seconds),
    measureUsage(stage.cast, seconds),
  ])
  return {
    ...{ shape: name, alone, beside, others: rate, slowestMs: calls.slowestMs },
    reconnects: (await stage.gateway.metric('chrysalis_nats_reconnects_total')) - before,
    refused: await stage.gateway.metric('chrysalis_decoders_refused'),
    thinned: await stage.gateway.metric('chrysalis_cameras_thinned'),
    rss: (usage.roles.gateway?.rss ?? 0) + (usage.roles['gateway ffmpeg']?.rss ?? 0),
  }
}

type Device = Pick<StageCamera, 'device'>
type Watching = AsyncDisposable & { readonly count: number }

/** A client that takes every frame. */
function watch(stage: Stage, { device }: Device): Watching {
  const client = grpcClient(stage.gateway.port)
  const stream = client.stream()
  let [count, isOver] = [0, false]
  const run = async () => {
    while (!isOver) if ((await stream.ask({ device_id: device })).data.length > 0) count++
  }
  void run().catch((error: unknown) => {
    if (!isOver) console.error(device, error)
  })
  return {
    get count() {
      return count
    },
    async [Symbol.asyncDispose]() {
      isOver = true
      stream[Symbol.dispose]()
      await client[Symbol.asyncDispose]()
    },
  }
}

function watchAll(stage: Stage, cameras: readonly Device[]): AsyncDisposable & { readonly all: readonly Watching[] } {
  const all = cameras.map(camera => watch(stage, camera))
  return { all, [Symbol.asyncDispose]: async () => void (await Promise.all(all.map(one => one[Symbol.asyncDispose]()))) }
}

async function rateOf(watching: readonly Watching[], seconds: number): Promise<number> {
  const count = () => watching.reduce((sum, one) => sum + one.count, 0)
  const [from, fromMs] = [count(), performance.now()]
  await delay(seconds * 1_000)
  return ((count() - from) * 1_000) / (performance.now() - fromMs)
}

/** Other calls, one after the other, by a client of its own. */
function callAgain(stage: Stage, { device }: Device): AsyncDisposable & { readonly slowestMs: number } {
  const client = grpcClient(stage.gateway.port)
  let [slowestMs, isOver] = [0, false]
  const run = async () => {
    while (!isOver) {
      for (const call of [() => client.list(), () => probe(client, device)]) {
        const fromMs = performance.now()
        await call()
        slowestMs = Math.max(slowestMs, performance.now() - fromMs)
      }
      await delay(200)
    }
  }
  const running = run()
  return {
    get slowestMs() {
      return slowestMs
    },
    async [Symbol.asyncDispose]() {
      isOver = true
      await running
      await client[Symbol.asyncDispose]()
    },
  }
}

const probe = (client: Client, device_id: string): Promise<void> =>
  new Promise((resolve, reject) => client.stub.VideoProbe({ device_id }, error => (error === null ? resolve() : reject(error))))

function tableOf(rows: readonly Row[]): Table {
  const head = [
    'watched in addition',
    'small camera alone',
    'beside',
    'others fps',
    'slowest call ms',
    'reconnects',
    'refused',
    'thinned',
    'MB',
  ]
  const cells = rows.map(({ shape, alone, beside, others, slowestMs, reconnects, refused, thinned, rss }) => [
    ...[shape, figure(alone, 1), figure(beside, 1), figure(others, 1), figure(slowestMs), figure(reconnects)],
    ...[figure(refused), figure(thinned), figure(rss)],
  ])
  return { title: 'A watched camera of 640×360 at 15 fps, and cameras too many (CHRYS_DECODERS_MAX=1)', rows: [head, ...cells] }
}

const targetsOf = ({ shape, alone, beside, slowestMs, reconnects }: Row): Target[] => [
  {
    what: `${shape}: others lose less than a tenth of their frames, no link is cut, other calls take a second at most`,
    measured: `${figure(alone, 1)} → ${figure(beside, 1)} fps, ${figure(reconnects)} cuts, ${figure(slowestMs)} ms`,
    met: beside >= alone * (1 - LOSS_MAX) && reconnects === 0 && slowestMs <= CALL_MS_MAX,
  },
]
