// Does anything grow? One camera, one client, for minutes; with faults all the time, where they are asked for.
import { setTimeout as delay } from 'node:timers/promises'
import { descendants } from '../test/fixtures/processes.ts'
import { account, PICTURES, startChain, type Account, type Chain, type ChainOptions } from './chain.ts'
import { delivery, liveClient, type Delivery } from './clients.ts'
import { injectFaults } from './soak-faults.ts'
import { median, slope } from './statistics.ts'
import { stateNow, type Role, type RoleState } from './usage.ts'

const SAMPLE_MS = 5_000
/** Until the buffer's minute is full and heaps have found their size. */
const SETTLE_MINUTES = 2
/** What garbage collectors and allocators swing by. */
const SWING_MB = 10

export type Growth = {
  role: Role
  /** MB (10⁶ bytes): medians of the first and the last quarter after settling. */
  rss: { first: number; last: number; perMinute: number }
  files: { first: number; last: number }
  grows: boolean
}

export type SoakResult = {
  minutes: number
  /** How many were injected. */
  faults: number
  /** Children of sidecar and gateway: medians of the first and the last quarter. */
  processes: { first: number; last: number }
  client: Delivery
  account: Account
  growth: Growth[]
}

export async function measureSoak(
  minutes: number,
  { env, placement, faults = false }: ChainOptions & { faults?: boolean },
): Promise<SoakResult> {
  const picture = PICTURES['1080p15']
  await using chain = await startChain(picture, { env, placement })
  await using client = await liveClient(chain.gateway.port, chain.device)
  await client.firstFrameMs()
  const before = await chain.counts()
  const fromMs = Date.now()
  const settledMs = Math.min(SETTLE_MINUTES, minutes / 2) * 60_000
  const samples: Sample[] = []
  const over = new AbortController()
  const injecting = faults ? injectFaults(chain, over.signal) : Promise.resolve(0)
  while (Date.now() - fromMs < minutes * 60_000) {
    await delay(SAMPLE_MS)
    const passedMs = Date.now() - fromMs
    if (passedMs >= settledMs) samples.push({ minute: passedMs / 60_000, states: stateNow(chain.cast), children: childrenOf(chain) })
  }
  over.abort()
  const injected = await injecting
  const toMs = Date.now()
  const seen = delivery(client.seen, fromMs, toMs, picture.fps)
  return {
    ...{ minutes, faults: injected, client: seen, account: account(before, await chain.counts()) },
    processes: ends(samples.map(({ children }) => children)),
    growth: growthOf(samples, faults),
  }
}

type Sample = { minute: number; states: RoleState[]; children: number }

const childrenOf = ({ sidecar, gateway }: Chain) => descendants(sidecar.pid).length + descendants(gateway.pid).length

/** Medians of the first and the last quarter. */
function ends(values: readonly number[]): { first: number; last: number } {
  const quarter = Math.ceil(values.length / 4)
  return { first: median(values.slice(0, quarter)), last: median(values.slice(-quarter)) }
}

/** The camera is no part of the product, and a Python client that keeps a list of what it saw is none either. */
const LASTING: readonly Role[] = ['nats-server', 'sidecar', 'demux ffmpeg', 'gateway']

/** `faults`: a process may be missing for a moment, which is no sign of anything then. */
function growthOf(samples: readonly Sample[], faults: boolean): Growth[] {
  const isInSidecar = samples.some(({ states }) => states.some(({ role }) => role === 'decode ffmpeg'))
  return [...LASTING, isInSidecar ? ('decode ffmpeg' as const) : ('gateway ffmpeg' as const)].map(role => {
    const alive = faults ? samples.filter(({ states }) => states.some(state => state.role === role)) : samples
    const of = (what: 'rss' | 'files') => alive.map(({ states }) => states.find(state => state.role === role)?.[what] ?? NaN)
    const memory = of('rss')
    const rss = { ...ends(memory), perMinute: slope(alive.map(({ minute }, i) => ({ x: minute, y: memory[i] ?? NaN }))) }
    const files = ends(of('files'))
    // NaN, where a process was missing, is no sign of health.
    const grows = !(rss.last - rss.first <= SWING_MB && files.last <= files.first)
    return { role, rss, files, grows }
  })
}
