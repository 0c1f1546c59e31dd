// What it takes that clients have their frames: everything but the camera is counted, the clients too.
import { setTimeout as delay } from 'node:timers/promises'
import { rate, type Client } from './clients.ts'
import { percentile } from './statistics.ts'
import { figure } from './table.ts'
import { measureUsage, ROLES, type Cast, type Usage } from './usage.ts'

/** Until programs have compiled what they run often. */
const WARM_UP_MS = 5_000

export type Spent = {
  /** Per cent of one core: of everything but the camera, what of it the clients take, and what is ours. */
  cpu: number
  clientsCpu: number
  oursCpu: number
  /** MB, the sum of all resident sets. */
  rss: number
  /** From capture to a client, in ms; meaningless where clients say no capture time. */
  ageMs: { p50: number; p95: number }
  /** How much later a frame came than the fastest one of its client, by the camera's clock, in ms: of 95 % of frames. */
  lateMs: number
  /** Frames and bytes a second, of each client. */
  fps: number[]
  bytesPerSecond: number[]
  noise: number
  roles: Usage['roles']
}

export async function spend(cast: Cast, clients: readonly Client[], seconds: number): Promise<Spent> {
  await delay(WARM_UP_MS)
  const fromMs = Date.now()
  const { ours, roles, noise } = await measureUsage(cast, seconds)
  const toMs = Date.now()
  const clientsCpu = roles.client?.cpu ?? NaN
  const inTime = clients.map(({ seen }) => seen.filter(({ receivedMs }) => receivedMs >= fromMs && receivedMs < toMs))
  const ages = inTime.map(seen => seen.map(({ receivedMs, timestamp }) => receivedMs - timestamp))
  const late = ages.flatMap(each => each.map(age => age - Math.min(...each)))
  return {
    ageMs: { p50: percentile(ages.flat(), 0.5), p95: percentile(ages.flat(), 0.95) },
    lateMs: percentile(late, 0.95),
    ...{ cpu: ours.cpu + clientsCpu, clientsCpu, oursCpu: ours.cpu, rss: ours.rss + (roles.client?.rss ?? NaN) },
    fps: clients.map(({ seen }) => rate(seen, fromMs, toMs)),
    bytesPerSecond: inTime.map(seen => (1000 * seen.reduce((sum, { bytes }) => sum + bytes, 0)) / (toMs - fromMs)),
    ...{ noise, roles },
  }
}

/** What each role takes, in % of a core. */
export const rolesText = (roles: Usage['roles']): string =>
  ROLES.filter(role => role !== 'camera')
    .flatMap(role => (roles[role] === undefined ? [] : [`${role} ${figure(roles[role].cpu, 1)}`]))
    .join(', ')
