// Clients that get packets and decode them by themselves, beside OpenCV on the camera.
import { startCamera } from '../test/fixtures/rtsp-camera.ts'
import { PICTURES, videoOf } from './chain.ts'
import { opencvClient, packetsClient, type Client } from './clients.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { rolesText, spend, type Spent } from './spend.ts'
import { startStage } from './stage.ts'
import { sum } from './statistics.ts'
import { figure } from './table.ts'
import type { Cast } from './usage.ts'

const PICTURE = PICTURES['1080p30']
const TIMES_MAX: Record<number, number> = { 1: 1.3, 6: 1.1 }
const COUNTS = [1, 6]

type Row = { clients: number; spent: Spent; link: number }

export async function measurePackets(options: Options): Promise<Measured> {
  const ours = await measureOurs(options)
  const theirs = await measureTheirs(options)
  const rows = ours.map((row, i) => ({ ...row, opencv: theirs[i] as Spent }))
  const head = [
    'clients',
    'ours, CPU %',
    'of it clients',
    'OpenCV, CPU %',
    'ours ÷ OpenCV',
    'fps ours / OpenCV',
    'age p95 ms',
    'link',
    'noise %',
    '',
  ]
  return {
    tables: [
      {
        title:
          'Packets of 1080p30, decoded by the client with PyAV and converted to BGR, beside cv2.VideoCapture: everything, clients included',
        rows: [
          head,
          ...rows.map(({ clients, spent, link, opencv }) => [
            ...[
              String(clients),
              figure(spent.cpu, 1),
              figure(spent.clientsCpu, 1),
              figure(opencv.cpu, 1),
              figure(spent.cpu / opencv.cpu, 2),
            ],
            ...[
              `${figure(Math.min(...spent.fps), 1)} / ${figure(Math.min(...opencv.fps), 1)}`,
              figure(spent.ageMs.p95),
              `${figure(link, 3)} × bitrate`,
            ],
            ...[`${figure(spent.noise)} / ${figure(opencv.noise)}`, rolesText(spent.roles)],
          ]),
        ],
      },
    ],
    targets: rows.flatMap(({ clients, spent, link, opencv }) => {
      const max = TIMES_MAX[clients] ?? NaN
      const times = spent.cpu / opencv.cpu
      return [
        { what: `packets, ${clients} clients: ≤ ${max} × OpenCV`, measured: figure(times, 2), met: times <= max },
        { what: `packets, ${clients} clients: link ≤ 1.05 × the bitrate a client`, measured: figure(link, 3), met: link <= 1.05 },
      ]
    }),
    figures: rows,
  }
}

async function measureOurs({ seconds, env, placement }: Options): Promise<Row[]> {
  await using stage = await startStage({ picture: PICTURE, env, decoding: { placement } })
  const { device } = await stage.addCamera()
  const rows: Row[] = []
  for (const clients of COUNTS) {
    await stage.start(clients - stage.clients.length, () => packetsClient(stage.gateway.port, device))
    rows.push({ clients, ...(await spendOnLink(() => spend(stage.cast, stage.clients, seconds), stage.clients)) })
  }
  return rows
}

/** What is sent to the clients ÷ the bytes of the packets. */
async function spendOnLink(measure: () => Promise<Spent>, clients: readonly Client[]): Promise<{ spent: Spent; link: number }> {
  const before = clients.map(({ seen }) => seen.length)
  const spent = await measure()
  const links = clients.map(({ seen }, i) => {
    const since = seen.slice(before[i])
    return sum(since.map(({ sent }) => sent)) / sum(since.map(({ bytes }) => bytes))
  })
  return { spent, link: Math.max(...links) }
}

async function measureTheirs({ seconds }: Options): Promise<Spent[]> {
  await using camera = await startCamera({ codec: 'h264', file: await videoOf(PICTURE) })
  await using clients = new AsyncDisposableStack()
  const watching: Client[] = []
  const cast: Cast = { camera: [camera.pid], nats: [], sidecars: [], gateways: [], clients: [] }
  const spent: Spent[] = []
  for (const count of COUNTS) {
    while (watching.length < count) {
      const client = clients.use(await opencvClient(camera.url))
      watching.push(client)
      cast.clients.push(client.pid)
      await client.firstFrameMs()
    }
    spent.push(await spend(cast, watching, seconds))
  }
  return spent
}
