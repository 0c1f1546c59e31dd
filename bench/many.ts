// Many cameras on one machine: eight of which two are watched, what each further one costs, and how twenty start at once.
import { setTimeout as delay } from 'node:timers/promises'
import { account, PICTURES, type Account } from './chain.ts'
import { delivery, type Delivery } from './clients.ts'
import { between, total } from './counters.ts'
import { measureFootprint, type Footprint } from './footprint.ts'
import { measureClientGrowth } from './many-clients.ts'
import { measureStart } from './many-start.ts'
import type { Options } from './options.ts'
import type { Measured, Table } from './scenario.ts'
import { startStage, type Stage, type StageCamera } from './stage.ts'
import { dropText, figure } from './table.ts'
import type { Target } from './targets.ts'
import { measureUsage, type Role, type Usage } from './usage.ts'

const PICTURE = PICTURES['720p15']
const WARM_UP_MS = 4_000
const CAMERAS = 8
const WATCHED = 2
const UNWATCHED_COUNTS = [1, 2, 5, 10, 20]

export async function measureMany(options: Options): Promise<Measured> {
  const parts = [await measureEight(options), await measureGrowth(options), await measureClientGrowth(options), await measureStart()]
  return {
    tables: parts.flatMap(({ tables }) => tables),
    targets: parts.flatMap(({ targets }) => targets),
    figures: parts.map(({ figures }) => figures),
  }
}

type CameraRow = { device: string; packetsPerSecond: number; client: Delivery | undefined; account: Account; reconnects: number }

async function measureEight({ seconds, env, placement }: Options): Promise<Measured> {
  await using stage = await startStage({ picture: PICTURE, env, decoding: { placement } })
  for (let i = 0; i < CAMERAS; i++) await stage.addCamera()
  const watched = stage.cameras.slice(0, WATCHED)
  for (const camera of watched) await stage.addClients(camera, 1)
  await delay(WARM_UP_MS)
  const countAll = async () => ({ atMs: performance.now(), counts: await Promise.all(stage.cameras.map(camera => stage.counts(camera))) })
  const before = await countAll()
  const fromMs = Date.now()
  const usage = await measureUsage(stage.cast, seconds)
  const toMs = Date.now()
  const after = await countAll()
  const countedSeconds = (after.atMs - before.atMs) / 1000
  const rows: CameraRow[] = []
  for (const [i, { device, sidecar }] of stage.cameras.entries()) {
    const [from, to, client] = [before.counts[i], after.counts[i], stage.clients[i]]
    if (from === undefined || to === undefined) throw new Error(`${device} was not counted`)
    rows.push({
      device,
      packetsPerSecond: total(between(from.sidecar, to.sidecar), 'chrysalis_packets_total') / countedSeconds,
      client: client === undefined ? undefined : delivery(client.seen, fromMs, toMs, PICTURE.fps),
      account: account(from, to),
      reconnects: (await sidecar.state())?.reconnects ?? NaN,
    })
  }
  return { tables: [eightTable(rows, usage)], targets: eightTargets(rows), figures: { rows, usage } }
}

function eightTable(rows: readonly CameraRow[], { ours, noise }: Usage): Table {
  const title = `${CAMERAS} cameras at 720p15, ${WATCHED} watched: ${figure(ours.cpu, 1)} % of a core, ${figure(ours.rss)} MB, noise ${figure(noise)} %`
  const head = ['', 'packets/s', 'client fps', 'p50 ms', 'p99 ms', 'missing', 'drops', 'reconnects']
  const cells = rows.map(({ device, packetsPerSecond, client, account: { drops }, reconnects }) => [
    ...[device, figure(packetsPerSecond, 1), figure(client?.fps, 1), figure(client?.latencyMs.p50), figure(client?.latencyMs.p99)],
    ...[figure(client?.missing), dropText(drops), figure(reconnects)],
  ])
  return { title, rows: [head, ...cells] }
}

function eightTargets(rows: readonly CameraRow[]): Target[] {
  const slowest = Math.min(...rows.map(({ packetsPerSecond }) => packetsPerSecond))
  const again = Math.max(...rows.map(({ reconnects }) => reconnects))
  return [
    {
      what: `none of ${CAMERAS} cameras stalls`,
      measured: `${figure(slowest, 1)} packets a second at least, ${figure(again)} reconnects at most`,
      met: slowest >= 0.95 * PICTURE.fps && again === 0,
    },
  ]
}

type GrowthRow = { cameras: number; usage: Usage; footprints: Partial<Record<Role, Footprint>> }

/** Without a viewer. */
async function measureGrowth({ seconds, env, placement }: Options): Promise<Measured> {
  await using stage = await startStage({ picture: PICTURE, env, decoding: { placement } })
  const rows: GrowthRow[] = []
  for (const cameras of UNWATCHED_COUNTS) {
    await addUntil(stage, cameras)
    await delay(WARM_UP_MS)
    const [usage, footprints] = await Promise.all([measureUsage(stage.cast, seconds), measureFootprint(stage.cast, seconds)])
    rows.push({ cameras, usage, footprints })
  }
  return { tables: [growthTable(rows)], targets: [], figures: rows }
}

async function addUntil(stage: Stage, count: number): Promise<StageCamera[]> {
  const added: StageCamera[] = []
  while (stage.cameras.length < count) added.push(await stage.addCamera())
  return added
}

const GROWTH_ROLES = ['sidecar', 'demux ffmpeg', 'nats-server', 'gateway'] as const satisfies readonly Role[]

function growthTable(rows: readonly GrowthRow[]): Table {
  const cells = rows.map(({ cameras, usage, footprints }) => [
    ...[String(cameras), figure(usage.ours.cpu, 1), figure(usage.ours.cpu / cameras, 1)],
    ...GROWTH_ROLES.map(role => {
      const each = role === 'sidecar' || role === 'demux ffmpeg' ? cameras : 1
      const { rss = NaN, pss = NaN, wakeUps = NaN } = footprints[role] ?? {}
      const cpu = usage.roles[role]?.cpu ?? NaN
      return `${figure(cpu / each, 1)} / ${figure(rss / each)} / ${figure(pss / each)} / ${figure(wakeUps / each)}`
    }),
    figure(usage.noise),
  ])
  return {
    title:
      'Unwatched cameras at 720p15: CPU % / resident MB / MB with shared pages divided / wake-ups a second; of one sidecar, one ffmpeg',
    rows: [['cameras', 'CPU %', 'CPU % each', ...GROWTH_ROLES, 'noise %'], ...cells],
  }
}
