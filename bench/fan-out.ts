// Do clients that take little slow down those that take everything?
import { setTimeout as delay } from 'node:timers/promises'
import { account, PICTURES, type Account } from './chain.ts'
import { delivery, type Delivery } from './clients.ts'
import { parseMetrics, total } from './counters.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { startStage, type Stage, type StageCamera } from './stage.ts'
import { sum } from './statistics.ts'
import { dropText, figure } from './table.ts'
import { measureUsage, type Usage } from './usage.ts'

const FAST = 3
const SLOW = 17
const WARM_UP_MS = 4_000
const SLOWER_MAX = 1.1
/** What the gateway may take for its clients: the ring, unsent frames (both bounded by bytes), and what garbage collection swings by. */
const GATEWAY_MB_MAX = 600

type Phase = {
  slow: number
  fast: Delivery[]
  /** Of all of them together. */ p99Ms: number
  usage: Usage
  account: Account
  ringBytes: number
  unsentBytes: number
}

/** Without the slow ones, with them, and without them again: what else the machine does changes as time goes by. */
export async function measureFanOut({ seconds, env, placement }: Options): Promise<Measured> {
  const picture = PICTURES['720p15']
  await using stage = await startStage({ picture, env, decoding: { placement } })
  const camera = await stage.addCamera()
  await stage.addClients(camera, FAST)
  const phases = [await phase(stage, camera, 0, seconds)]
  await stage.addClients(camera, SLOW, 1)
  phases.push(await phase(stage, camera, SLOW, seconds))
  await stage.removeClients()
  await stage.addClients(camera, FAST)
  phases.push(await phase(stage, camera, 0, seconds))
  return { tables: [table(phases)], targets: targets(phases), figures: phases }
}

async function phase(stage: Stage, camera: StageCamera, slow: number, seconds: number): Promise<Phase> {
  await delay(WARM_UP_MS)
  const before = await stage.counts(camera)
  const fromMs = Date.now()
  const usage = await measureUsage(stage.cast, seconds)
  const toMs = Date.now()
  const after = await stage.counts(camera)
  const seen = stage.clients.slice(0, FAST).map(client => client.seen)
  const fast = seen.map(each => delivery(each, fromMs, toMs, PICTURES['720p15'].fps))
  const gauges = parseMetrics(await stage.gateway.metrics())
  return {
    ...{ slow, fast, usage, account: account(before, after) },
    p99Ms: delivery(seen.flat(), fromMs, toMs, PICTURES['720p15'].fps).latencyMs.p99,
    ringBytes: total(gauges, 'chrysalis_ring_bytes'),
    unsentBytes: total(gauges, 'chrysalis_unsent_bytes'),
  }
}

function table(phases: readonly Phase[]) {
  const each = (phase: Phase, of: (client: Delivery) => number, digits = 0) =>
    phase.fast.map(client => figure(of(client), digits)).join(' / ')
  return {
    title: `720p15: ${FAST} clients take every frame, and others one a second`,
    rows: [
      ['others', 'fps', 'p50 ms', 'p99 ms', 'missing', 'gateway CPU %', 'gateway MB', 'ring MB', 'unsent MB', 'drops', 'noise %'],
      ...phases.map(phase => [
        String(phase.slow),
        each(phase, ({ fps }) => fps, 1),
        each(phase, ({ latencyMs }) => latencyMs.p50),
        each(phase, ({ latencyMs }) => latencyMs.p99),
        each(phase, ({ missing }) => missing),
        figure(phase.usage.roles.gateway?.cpu, 1),
        figure(phase.usage.roles.gateway?.rss),
        ...[phase.ringBytes, phase.unsentBytes].map(bytes => figure(bytes / 1e6, 1)),
        dropText(phase.account.drops),
        figure(phase.usage.noise),
      ]),
    ],
  }
}

function targets(phases: readonly Phase[]) {
  const alone = phases.filter(({ slow }) => slow === 0)
  const aloneMs = sum(alone.map(({ p99Ms }) => p99Ms)) / alone.length
  const together = phases.filter(({ slow }) => slow > 0)
  const ms = Math.max(...together.map(({ p99Ms }) => p99Ms))
  const memory = Math.max(...together.map(({ usage }) => usage.roles.gateway?.rss ?? NaN))
  return [
    {
      what: `p99 of the ${FAST} that take everything, with ${SLOW} others ≤ ${SLOWER_MAX} × without`,
      measured: `${figure(ms)} beside ${figure(aloneMs)} ms`,
      met: ms <= SLOWER_MAX * aloneMs,
    },
    { what: `gateway with ${FAST + SLOW} clients ≤ ${GATEWAY_MB_MAX} MB`, measured: `${figure(memory)} MB`, met: memory <= GATEWAY_MB_MAX },
  ]
}
