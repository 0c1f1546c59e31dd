// The Python client beside what it saves its users: a stub of their own, OpenCV on the camera, a loop that is started again by hand.
import { setTimeout as delay } from 'node:timers/promises'
import { run } from '../deploy/setup/system.mjs'
import { testPython } from '../deploy/setup/test-tools.mjs'
import { CLIENT } from '../test/fixtures/python.ts'
import { startPythonClient, startWorld } from '../test/fixtures/python-client.ts'
import { startCamera } from '../test/fixtures/rtsp-camera.ts'
import { until } from '../test/fixtures/wait.ts'
import { PICTURES, videoOf } from './chain.ts'
import { edgeClient, liveClient, opencvClient, type Client } from './clients.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { spend } from './spend.ts'
import { startStage, type Stage } from './stage.ts'
import { figure } from './table.ts'
import type { Cast } from './usage.ts'

const IMPORTS = 7

type Row = { all: number; client: number; fps: number; noise: number }

export async function measurePythonClient({ seconds, env }: Options): Promise<Measured> {
  const importS = await importSeconds()
  const backS = await secondsAfterKill()
  const stub = await withStage(env, ({ gateway }, device) => liveClient(gateway.port, device), seconds)
  const loop = await withStage(env, ({ gateway }, device) => edgeClient(gateway.port, device, 'gateway'), seconds)
  const { local, opencv } = await localBesideOpencv(env, seconds)
  const row = (what: string, { all, client, fps, noise }: Row) => [what, ...[all, client, fps, noise].map(value => figure(value, 1))]
  const timesStub = loop.client / stub.client
  const timesOpencv = local.all / opencv.all
  return {
    tables: [
      {
        title: 'Python client; the last two at once',
        rows: [
          ['', 'all, CPU %', 'of it client', 'fps', 'noise %'],
          row('1080p15, stub', stub),
          row('1080p15, client', loop),
          row('1080p30, client, decode="local"', local),
          row('1080p30, cv2.VideoCapture', opencv),
        ],
      },
    ],
    targets: [
      { what: 'import ≤ 0.4 s', measured: `${figure(importS, 2)} s`, met: importS <= 0.4 },
      { what: 'frames ≤ 2 s after a killed gateway is back', measured: `${figure(backS, 2)} s`, met: backS <= 2 },
      { what: 'CPU of the loop ≤ 1.05 × the stub’s at 1080p15', measured: figure(timesStub, 2), met: timesStub <= 1.05 },
      { what: 'decode="local" ≤ 1.3 × cv2.VideoCapture at 1080p30', measured: figure(timesOpencv, 2), met: timesOpencv <= 1.3 },
    ],
    figures: { importS, backS, stub, loop, local, opencv },
  }
}

async function withStage(env: Options['env'], start: (stage: Stage, device: string) => Promise<Client>, seconds: number): Promise<Row> {
  await using stage = await startStage({ picture: PICTURES['1080p15'], env, decoding: { placement: 'Gateway' } })
  const { device } = await stage.addCamera()
  await using client = await start(stage, device)
  return await spendOf(stage.cast, client, seconds)
}

/** Both in the same seconds, so that what else the machine does costs both the same. */
async function localBesideOpencv(env: Options['env'], seconds: number): Promise<{ local: Row; opencv: Row }> {
  const picture = PICTURES['1080p30']
  await using stage = await startStage({ picture, env })
  const { device } = await stage.addCamera()
  await using camera = await startCamera({ codec: 'h264', file: await videoOf(picture) })
  await using ours = await edgeClient(stage.gateway.port, device, 'local')
  await using theirs = await opencvClient(camera.url)
  await Promise.all([ours.firstFrameMs(), theirs.firstFrameMs()])
  const none: Cast = { camera: [camera.pid], nats: [], sidecars: [], gateways: [], clients: [] }
  const [local, opencv] = await Promise.all([spendOf(stage.cast, ours, seconds), spendOf(none, theirs, seconds)])
  return { local, opencv }
}

async function spendOf(cast: Cast, client: Client, seconds: number): Promise<Row> {
  await client.firstFrameMs()
  const { cpu, clientsCpu, fps, noise } = await spend({ ...cast, clients: [client.pid] }, [client], seconds)
  return { all: cpu, client: clientsCpu, fps: fps[0] ?? NaN, noise }
}

/** Beyond the start of Python alone: the best of some, as files are cached then. */
async function importSeconds(): Promise<number> {
  const best = async (program: string) => {
    let seconds = Infinity
    for (let i = 0; i < IMPORTS; i++) {
      const startMs = performance.now()
      const { ok, output } = await run('env', [`PYTHONPATH=${CLIENT}`, testPython(process.env), '-c', program])
      if (!ok) throw new Error(output)
      seconds = Math.min(seconds, (performance.now() - startMs) / 1000)
    }
    return seconds
  }
  return (await best('import chrysalis_edge')) - (await best('pass'))
}

async function secondsAfterKill(): Promise<number> {
  await using world = await startWorld()
  const gateway = await world.startGateway()
  await using program = startPythonClient(world.address, 'loop')
  await until(() => program.said.length >= 5, { what: 'frames', timeoutMs: 60_000 })
  await gateway.stop('SIGKILL')
  const before = program.said.length
  await delay(5_000)
  await using _again = await world.startGateway()
  const readyMs = Date.now()
  await until(() => program.said.length > before, { what: 'a frame of the next gateway', timeoutMs: 60_000 })
  return Math.max(0, (Date.now() - readyMs) / 1000)
}
