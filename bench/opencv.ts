// What a user could do instead: `cv2.VideoCapture` straight on the camera. Everything is counted, the clients too; only the camera is not.
import { setTimeout as delay } from 'node:timers/promises'
import { startCamera } from '../test/fixtures/rtsp-camera.ts'
import { PICTURES, videoOf, type Picture } from './chain.ts'
import { opencvClient, rate, type Client } from './clients.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { startStage } from './stage.ts'
import { percentile } from './statistics.ts'
import { figure } from './table.ts'
import type { Target } from './targets.ts'
import { measureUsage, type Cast, type Usage } from './usage.ts'

/** Until programs have compiled what they run often. */
const WARM_UP_MS = 6_000
const COUNTS = [1, 3, 6]
/** Frames that each client takes in a second; 0: every one. */
const RATES = [0, 5]
const WIDTHS = [0, 640]

type Spent = {
  /** Per cent of one core: of everything but the camera, and what of it the clients take. */
  cpu: number
  clientsCpu: number
  /** MB, the sum of all resident sets. */
  rss: number
  /** From capture to a client, of 95 % of frames, in ms. OpenCV knows no capture time, so its frames have none. */
  ageMs: number
  /** Of each client. */
  fps: number[]
  noise: number
  roles: Usage['roles']
}

type Comparison = { picture: string; width: number; perSecond: number; clients: number; ours: Spent; opencv: Spent }

export async function measureOpencv(options: Options): Promise<Measured> {
  const rows: Comparison[] = []
  for (const picture of [PICTURES['1080p30'], PICTURES['720p15']]) {
    for (const width of WIDTHS) {
      const ours = await measureOurs(picture, width, options)
      const opencv = await measureTheirs(picture, width, options)
      rows.push(
        ...ours.map(({ spent, ...what }, i) => ({ ...what, picture: picture.name, width, ours: spent, opencv: spentOf(opencv, i) })),
      )
    }
  }
  return { tables: [table(rows)], targets: rows.flatMap(targetsOf), figures: rows }
}

type Row = { perSecond: number; clients: number; spent: Spent }

function spentOf(rows: readonly Row[], index: number): Spent {
  const row = rows[index]
  if (row === undefined) throw new Error('OpenCV was not measured with as many clients')
  return row.spent
}

async function measureOurs(picture: Picture, width: number, { seconds, env, placement }: Options): Promise<Row[]> {
  const scale = width === 0 ? {} : { scale: `${width}:-2` }
  await using stage = await startStage({ picture, env, decoding: { placement, ...scale } })
  const camera = await stage.addCamera()
  const rows: Row[] = []
  for (const perSecond of RATES) {
    for (const count of COUNTS) {
      await stage.addClients(camera, count - stage.clients.length, perSecond)
      rows.push({ perSecond, clients: count, spent: await spend(stage.cast, stage.clients, seconds) })
    }
    await stage.removeClients()
  }
  return rows
}

async function measureTheirs(picture: Picture, width: number, { seconds }: Options): Promise<Row[]> {
  await using camera = await startCamera({ codec: 'h264', file: await videoOf(picture) })
  const rows: Row[] = []
  for (const perSecond of RATES) {
    await using clients = new AsyncDisposableStack()
    const watching: Client[] = []
    const cast: Cast = { camera: [camera.pid], nats: [], sidecars: [], gateways: [], clients: [] }
    for (const count of COUNTS) {
      const add = async () => {
        const client = clients.use(await opencvClient(camera.url, { perSecond, width }))
        watching.push(client)
        cast.clients.push(client.pid)
        await client.firstFrameMs()
      }
      await Promise.all(Array.from({ length: count - watching.length }, add))
      rows.push({ perSecond, clients: count, spent: await spend(cast, watching, seconds) })
    }
  }
  return rows
}

async function spend(cast: Cast, clients: readonly Client[], seconds: number): Promise<Spent> {
  await delay(WARM_UP_MS)
  const fromMs = Date.now()
  const { ours, roles, noise } = await measureUsage(cast, seconds)
  const toMs = Date.now()
  const clientsCpu = roles.client?.cpu ?? NaN
  const fps = clients.map(({ seen }) => rate(seen, fromMs, toMs))
  const inTime = clients.flatMap(({ seen }) => seen.filter(({ receivedMs }) => receivedMs >= fromMs && receivedMs < toMs))
  const ageMs = percentile(
    inTime.map(({ receivedMs, timestamp }) => receivedMs - timestamp),
    0.95,
  )
  return { ageMs, cpu: ours.cpu + clientsCpu, clientsCpu, rss: ours.rss + (roles.client?.rss ?? NaN), fps, noise, roles }
}

const takes = (perSecond: number) => (perSecond === 0 ? 'every frame' : `${perSecond} a second`)
const sizeText = (width: number) => (width === 0 ? '' : `${width} wide`)

function table(rows: readonly Comparison[]) {
  const head = ['', '', 'takes', 'clients', 'ours, CPU %', 'of it clients', 'OpenCV, CPU %', 'ours ÷ OpenCV']
  const more = ['ours, age p95 ms', 'ours, slowest fps', 'OpenCV, slowest fps', 'ours, MB', 'OpenCV, MB', 'noise %']
  return {
    title: 'Beside cv2.VideoCapture on the camera itself: everything, clients included, without the camera',
    rows: [
      [...head, ...more],
      ...rows.map(({ picture, width, perSecond, clients, ours, opencv }) => [
        ...[picture, sizeText(width), takes(perSecond), String(clients)],
        ...[figure(ours.cpu, 1), figure(ours.clientsCpu, 1), figure(opencv.cpu, 1), figure(ours.cpu / opencv.cpu, 2)],
        ...[figure(ours.ageMs), figure(Math.min(...ours.fps), 1), figure(Math.min(...opencv.fps), 1), figure(ours.rss), figure(opencv.rss)],
        `${figure(ours.noise)} / ${figure(opencv.noise)}`,
      ]),
    ],
  }
}

/** Where we must cost less. What gets fewer frames has not done the same work. */
function targetsOf({ picture, width, perSecond, clients, ours, opencv }: Comparison): Target[] {
  if (width === 0 && (perSecond === 0 || clients < 3)) return []
  const isSlower = Math.min(...ours.fps) < 0.95 * Math.min(...opencv.fps)
  const what = [picture, sizeText(width), takes(perSecond)].filter(text => text !== '').join(', ')
  return [
    {
      what: `${what}, ${clients} client${clients > 1 ? 's' : ''}: costs less than OpenCV`,
      measured: `${figure(ours.cpu, 1)} beside ${figure(opencv.cpu, 1)} %${isSlower ? ', with fewer frames' : ''}`,
      met: ours.cpu < opencv.cpu && !isSlower,
    },
  ]
}
