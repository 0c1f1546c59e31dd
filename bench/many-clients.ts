// How cost grows with the clients of one camera, each taking every frame, until the machine is full.
import { cpus } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { PICTURES } from './chain.ts'
import { delivery, rate } from './clients.ts'
import type { Options } from './options.ts'
import type { Measured, Table } from './scenario.ts'
import { startStage } from './stage.ts'
import { sum } from './statistics.ts'
import { figure } from './table.ts'
import { measureUsage, type Usage } from './usage.ts'

const PICTURE = PICTURES['720p15']
const WARM_UP_MS = 4_000
const COUNTS = [1, 2, 5, 10, 20]
/** A machine with less idle time than this share is full. */
const FULL = 0.95

type Row = { clients: number; usage: Usage; slowestFps: number; p50Ms: number; p99Ms: number; isFull: boolean }

export async function measureClientGrowth({ seconds, env, placement }: Options): Promise<Measured> {
  await using stage = await startStage({ picture: PICTURE, env, decoding: { placement } })
  const camera = await stage.addCamera()
  const rows: Row[] = []
  for (const clients of COUNTS) {
    await stage.addClients(camera, clients - stage.clients.length)
    await delay(WARM_UP_MS)
    const fromMs = Date.now()
    const usage = await measureUsage(stage.cast, seconds)
    const toMs = Date.now()
    const all = stage.clients.map(({ seen }) => seen)
    const { p50, p99 } = delivery(all.flat(), fromMs, toMs, PICTURE.fps).latencyMs
    const busy = sum(Object.values(usage.roles).map(({ cpu }) => cpu)) + usage.noise
    const slowestFps = Math.min(...all.map(seen => rate(seen, fromMs, toMs)))
    rows.push({ clients, usage, slowestFps, p50Ms: p50, p99Ms: p99, isFull: busy >= FULL * 100 * cpus().length })
  }
  return { tables: [table(rows)], targets: [], figures: rows }
}

function table(rows: readonly Row[]): Table {
  const head = ['clients', 'CPU %', 'gateway %', 'gateway MB', 'their own %', 'slowest fps', 'p50 ms', 'p99 ms', 'noise %', '']
  return {
    title: 'Clients of one camera at 720p15, each takes every frame',
    rows: [
      head,
      ...rows.map(({ clients, usage: { ours, roles, noise }, slowestFps, p50Ms, p99Ms, isFull }) => [
        ...[String(clients), figure(ours.cpu, 1), figure(roles.gateway?.cpu, 1), figure(roles.gateway?.rss), figure(roles.client?.cpu, 1)],
        ...[figure(slowestFps, 1), figure(p50Ms), figure(p99Ms), figure(noise), isFull ? 'the machine is full' : ''],
      ]),
    ],
  }
}
