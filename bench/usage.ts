// What processes cost, from /proc: CPU time, resident memory, open files; each under the name of the role it plays.
import { readdirSync, readFileSync } from 'node:fs'
import { sleep } from '../common/abort.ts'
import { descendants, type Process } from '../test/fixtures/processes.ts'
import { sum } from './statistics.ts'

/** The kernel counts CPU time in hundredths of a second towards user space, whatever its own tick. */
const TICKS_PER_SECOND = 100
const SAMPLE_MS = 1_000

export const ROLES = ['camera', 'nats-server', 'sidecar', 'demux ffmpeg', 'decode ffmpeg', 'gateway', 'gateway ffmpeg', 'client'] as const
export type Role = (typeof ROLES)[number]
/** What the product runs; the camera and the clients are others'. */
const OURS: readonly Role[] = ['nats-server', 'sidecar', 'demux ffmpeg', 'decode ffmpeg', 'gateway', 'gateway ffmpeg']

/** Which pids a benchmark started as what. Their ffmpegs are found by their parents. */
export type Cast = { camera: number[]; nats: number[]; sidecars: number[]; gateways: number[]; clients: number[] }

export type RoleUsage = {
  /** Per cent of one core. */
  cpu: number
  /** Highest sum of resident sets seen, MB (10⁶ bytes); pages shared between processes count in each. */
  rss: number
  /** Its part that is the processes' own: no file behind it. */
  anonymous: number
  files: number
}

export type Usage = {
  seconds: number
  roles: Partial<Record<Role, RoleUsage>>
  /** Sums over what the product runs. */
  ours: { cpu: number; rss: number }
  /** CPU that other programs of this machine took meanwhile, or its host withheld: per cent of one core. */
  noise: number
}

type Sample = {
  atMs: number
  machineTicks: number
  ownTicks: number
  processes: Map<number, { role: Role; ticks: number; childTicks: number; rss: number; anonymous: number; files: number }>
}

/** Watches for so long, or until `signal` aborts. */
export async function measureUsage(cast: Cast, seconds: number, signal = new AbortController().signal): Promise<Usage> {
  const first = sample(cast)
  const samples = [first]
  for (let left = seconds * 1000; left > 0 && !signal.aborted; left = seconds * 1000 - (performance.now() - first.atMs)) {
    await sleep(Math.min(left, SAMPLE_MS), signal)
    samples.push(sample(cast))
  }
  const last = samples.at(-1) ?? first
  const elapsed = (last.atMs - first.atMs) / 1000
  const percent = (ticks: number) => (100 * ticks) / TICKS_PER_SECOND / elapsed
  const ticks = ticksByRole(samples)
  const roles: Usage['roles'] = {}
  for (const role of ROLES) {
    const peak = (what: 'rss' | 'anonymous' | 'files') => Math.max(...samples.map(s => total(s, role, what)))
    const cpu = percent(ticks.get(role) ?? 0)
    if (cpu > 0 || peak('rss') > 0) roles[role] = { cpu, rss: peak('rss'), anonymous: peak('anonymous'), files: peak('files') }
  }
  const known = sum(ticks.values()) + last.ownTicks - first.ownTicks
  return {
    seconds: elapsed,
    roles,
    ours: { cpu: sum(OURS.map(role => roles[role]?.cpu ?? 0)), rss: sum(OURS.map(role => roles[role]?.rss ?? 0)) },
    noise: Math.max(0, percent(last.machineTicks - first.machineTicks - known)),
  }
}

const total = ({ processes }: Sample, role: Role, what: 'rss' | 'anonymous' | 'files') =>
  sum([...processes.values()].filter(process => process.role === role).map(process => process[what]))

export type RoleState = { role: Role; rss: number; files: number }

/** Resident memory in MB and open files, now. */
export function stateNow(cast: Cast): RoleState[] {
  const now = sample(cast)
  const roles = new Set([...now.processes.values()].map(({ role }) => role))
  return [...roles].map(role => ({ role, rss: total(now, role, 'rss'), files: total(now, role, 'files') }))
}

/** CPU from the first sample to the last. That of an ffmpeg which ended in between has gone to its parent's account of children. */
function ticksByRole(samples: readonly Sample[]): Map<Role, number> {
  const [first, last] = [samples[0], samples.at(-1)]
  const ticks = new Map<Role, number>()
  const add = (role: Role, count: number) => ticks.set(role, (ticks.get(role) ?? 0) + count)
  const lastSeen = new Map(samples.flatMap(({ processes }) => [...processes]))
  for (const [pid, process] of lastSeen) {
    const before = first?.processes.get(pid)
    const isCharged = process.role.endsWith('ffmpeg') && last?.processes.has(pid) === false
    add(process.role, (isCharged ? 0 : process.ticks) - (before?.ticks ?? 0))
    const ended = process.childTicks - (before?.childTicks ?? 0)
    if (process.role === 'sidecar') add('decode ffmpeg', ended)
    if (process.role === 'gateway') add('gateway ffmpeg', ended)
  }
  return ticks
}

function sample(cast: Cast): Sample {
  const processes: Sample['processes'] = new Map()
  for (const process of descendants()) {
    const role = roleOf(cast, process)
    const numbers = role === undefined ? undefined : readProcess(process.pid)
    if (role !== undefined && numbers !== undefined) processes.set(process.pid, { role, ...numbers })
  }
  return { atMs: performance.now(), machineTicks: busyTicks(), ownTicks: readProcess(process.pid)?.ticks ?? 0, processes }
}

/** Who plays a role now. */
export const processesOf = (cast: Cast): { pid: number; role: Role }[] =>
  descendants().flatMap(process => {
    const role = roleOf(cast, process)
    return role === undefined ? [] : [{ pid: process.pid, role }]
  })

function roleOf(cast: Cast, { pid, parent, command }: Process): Role | undefined {
  if (cast.camera.includes(pid)) return 'camera'
  if (cast.nats.includes(pid)) return 'nats-server'
  if (cast.sidecars.includes(pid)) return 'sidecar'
  if (cast.gateways.includes(pid)) return 'gateway'
  if (cast.clients.includes(pid)) return 'client'
  if (cast.gateways.includes(parent)) return 'gateway ffmpeg'
  if (cast.sidecars.includes(parent)) return command.includes('-i pipe:0') ? 'decode ffmpeg' : 'demux ffmpeg'
  return undefined
}

function readProcess(pid: number) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const kilobytes = (name: string) => (Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * 1024) / 1e6
    return {
      ticks: (fields[11] ?? 0) + (fields[12] ?? 0),
      childTicks: (fields[13] ?? 0) + (fields[14] ?? 0),
      rss: kilobytes('VmRSS'),
      anonymous: kilobytes('RssAnon'),
      files: readdirSync(`/proc/${pid}/fd`).length,
    }
  } catch {
    return undefined // it ended while we looked
  }
}

/** Of all cores, whatever used them; what the host withheld included. */
function busyTicks(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '')
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return user + nice + system + irq + softirq + steal
}
