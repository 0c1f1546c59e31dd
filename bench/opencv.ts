// What a user could do instead: `cv2.VideoCapture` straight on the camera. Everything is counted, the clients too; only the camera is not.
import { startCamera } from '../test/fixtures/rtsp-camera.ts'
import { PICTURES, videoOf, type Picture } from './chain.ts'
import { opencvClient, watchClient, type Client } from './clients.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { rolesText, spend, type Spent } from './spend.ts'
import { startStage } from './stage.ts'
import { figure } from './table.ts'
import type { Target } from './targets.ts'
import type { Cast } from './usage.ts'

const COUNTS = [1, 3, 6]
/** Frames that each client takes in a second; 0: every one. */
const RATES = [0, 5]
const WIDTHS = [0, 640]
/** Of the camera: what is later by less than half of it is the same frame. */
const FRAME_MS = 1000 / 30

type Comparison = { picture: string; width: number; perSecond: number; clients: number; ours: Spent; opencv: Spent }

export const measureOpencv = (options: Options): Promise<Measured> => measure([PICTURES['1080p30'], PICTURES['720p15']], WIDTHS, options)

/** What models take most. */
export const measureSmall = (options: Options): Promise<Measured> => measure([PICTURES['1080p30']], [640], options)

async function measure(pictures: readonly Picture[], widths: readonly number[], options: Options): Promise<Measured> {
  const rows: Comparison[] = []
  for (const picture of pictures) {
    for (const width of widths) {
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

/** Small frames come by frames/v1, at the rate that is wanted; whole ones by the Image service, of which the client takes as many as it wants. */
async function measureOurs(picture: Picture, width: number, { seconds, env, placement }: Options): Promise<Row[]> {
  await using stage = await startStage({ picture, env, decoding: { placement } })
  const camera = await stage.addCamera()
  const rows: Row[] = []
  for (const perSecond of RATES) {
    const wish = { cameras: [camera.device], rendition: { width }, mode: perSecond === 0 ? 'MODE_EVERY' : 'MODE_NEWEST', maxFps: perSecond }
    for (const count of COUNTS) {
      const more = count - stage.clients.length
      if (width === 0) await stage.addClients(camera, more, perSecond)
      else await stage.start(more, () => watchClient(stage.gateway.port, wish))
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

const takes = (perSecond: number) => (perSecond === 0 ? 'every frame' : `${perSecond} a second`)
const sizeText = (width: number) => (width === 0 ? '' : `${width} wide`)

const ratio = ({ ours, opencv }: Comparison) => ours.cpu / opencv.cpu
const isSlower = ({ ours, opencv }: Comparison) => Math.min(...ours.fps) < 0.95 * Math.min(...opencv.fps)

function table(rows: readonly Comparison[]) {
  const head = ['', '', 'takes', 'clients', 'ours, CPU %', 'of it clients', 'OpenCV, CPU %', 'ours ÷ OpenCV', 'ours, age p50 / p95 ms']
  const more = [
    'ours, later than fastest p95',
    'OpenCV, later than fastest p95',
    'ours, slowest fps',
    'OpenCV, slowest fps',
    'MB',
    'noise %',
    '',
  ]
  return {
    title: 'Beside cv2.VideoCapture on the camera itself: everything, clients included, without the camera',
    rows: [
      [...head, ...more],
      ...rows.map(row => {
        const { picture, width, perSecond, clients, ours, opencv } = row
        return [
          ...[picture, sizeText(width), takes(perSecond), String(clients)],
          ...[figure(ours.cpu, 1), figure(ours.clientsCpu, 1), figure(opencv.cpu, 1), figure(ratio(row), 2)],
          ...[`${figure(ours.ageMs.p50)} / ${figure(ours.ageMs.p95)}`, figure(ours.lateMs), figure(opencv.lateMs)],
          ...[figure(Math.min(...ours.fps), 1), figure(Math.min(...opencv.fps), 1), `${figure(ours.rss)} / ${figure(opencv.rss)}`],
          ...[`${figure(ours.noise)} / ${figure(opencv.noise)}`, rolesText(ours.roles)],
        ]
      }),
    ],
  }
}

/** Of 1080p30, 640 wide: CPU ÷ that of OpenCV, by frames a second and clients. */
const TIMES_MAX: Record<number, Record<number, number>> = { 0: { 1: 1.5, 3: 0.75, 6: 0.55 }, 5: { 1: 1.6, 3: 0.6, 6: 0.33 } }

/** Where we must cost less. What gets fewer frames has not done the same work. */
function targetsOf(row: Comparison): Target[] {
  const { picture, width, perSecond, clients, ours, opencv } = row
  if (width === 0 && (perSecond === 0 || clients < 3)) return []
  const max = (picture === '1080p30' && width === 640 ? TIMES_MAX[perSecond]?.[clients] : undefined) ?? 1
  const what = `${[picture, sizeText(width), takes(perSecond)].filter(text => text !== '').join(', ')}, ${clients} client${clients > 1 ? 's' : ''}`
  const times = { what: `${what}: ≤ ${max} × OpenCV`, measured: `${figure(ratio(row), 2)}${isSlower(row) ? ', with fewer frames' : ''}` }
  const age = { what: `${what}: not later than OpenCV’s`, measured: `${figure(ours.lateMs)} beside ${figure(opencv.lateMs)} ms` }
  return [
    { ...times, met: ratio(row) <= max && !isSlower(row) },
    ...(perSecond === 0 ? [] : [{ ...age, met: ours.lateMs <= opencv.lateMs + FRAME_MS / 2 }]),
  ]
}
