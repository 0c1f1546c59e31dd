// What standing processes cost beyond their CPU time: memory without counting shared pages twice, and how often they wake.
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { processesOf, type Cast, type Role } from './usage.ts'

export type Footprint = {
  /** MB (10⁶ bytes), sums over the processes of a role. `pss`: a page that n processes share counts a n-th in each. */
  rss: number
  pss: number
  /** Times a second that a thread went to sleep until something happened. */
  wakeUps: number
}

export async function measureFootprint(cast: Cast, seconds: number): Promise<Partial<Record<Role, Footprint>>> {
  const startMs = performance.now()
  const before = new Map(processesOf(cast).map(({ pid }) => [pid, switches(pid)]))
  await delay(seconds * 1000)
  const elapsed = (performance.now() - startMs) / 1000
  const footprints: Partial<Record<Role, Footprint>> = {}
  for (const { pid, role } of processesOf(cast)) {
    const woken = (switches(pid) - (before.get(pid) ?? NaN)) / elapsed
    const { rss, pss } = memory(pid)
    const sum = footprints[role] ?? { rss: 0, pss: 0, wakeUps: 0 }
    footprints[role] = { rss: sum.rss + rss, pss: sum.pss + pss, wakeUps: sum.wakeUps + (Number.isNaN(woken) ? 0 : woken) }
  }
  return footprints
}

/** Of all its threads. */
function switches(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).reduce(
      (total, thread) => total + field(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'), 'voluntary_ctxt_switches'),
      0,
    )
  } catch {
    return NaN // it ended while we looked
  }
}

function memory(pid: number): { rss: number; pss: number } {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    const [rss = 0, pss = 0] = ['Rss', 'Pss'].map(name => (field(text, name) * 1024) / 1e6)
    return { rss, pss }
  } catch {
    return { rss: 0, pss: 0 }
  }
}

const field = (text: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
