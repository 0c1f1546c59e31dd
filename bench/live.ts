// One camera, unwatched, by one client, by three: rate, latency, losses, cost.
import { setTimeout as delay } from 'node:timers/promises'
import type { Placement } from '../proto/camera.ts'
import { recordArrivals, type Arrivals } from './arrivals.ts'
import { account, startChain, type Account, type Chain, type Picture, type ChainOptions } from './chain.ts'
import { delivery, liveClient, type Client, type Delivery } from './clients.ts'
import { decodeCpu } from './limits.ts'
import { sum } from './statistics.ts'
import { measureUsage, type Usage } from './usage.ts'

/** Until programs have compiled what they run often, and buffers have their size. */
const WARM_UP_MS = 3_000
/** An unwatched camera runs for weeks, and does so little that V8 takes its time. */
const IDLE_WARM_UP_MS = 25_000
/** How many clients watch, where the figures of a picture need it. */
const CLIENTS: Record<string, readonly number[]> = { '720p15': [1] }
const USUAL_CLIENTS = [1, 3]
/** Also measured without any. */
const UNWATCHED = new Set(['1080p30'])

/** `Auto` is either, which the size decides: both are measured. */
const placementsOf = (placement: Placement): readonly Placement[] => (placement === 'Auto' ? ['Sidecar', 'Gateway'] : [placement])

export type LiveRow = {
  picture: string
  placement: Placement
  clients: readonly Delivery[]
  usage: Usage
  account: Account
  /** CPU of the product's processes ÷ that of ffmpeg alone. */
  timesLimit: number
  /** Of the client that began to watch. */
  firstFrameMs: number | undefined
}

export type LiveResult = {
  picture: string
  /** ffmpeg alone, from packets to BGR24 at the same rate: per cent of one core. */
  limitCpu: number
  rows: LiveRow[]
}

type Live = ChainOptions & { seconds: number }

export async function measureLive(picture: Picture, options: Live): Promise<LiveResult> {
  const limitCpu = await decodeCpu(picture, options.seconds)
  const rows = UNWATCHED.has(picture.name) ? [await measureUnwatched(picture, options, limitCpu)] : []
  for (const placement of placementsOf(options.placement)) rows.push(...(await measurePlaced(picture, { ...options, placement }, limitCpu)))
  return { picture: picture.name, limitCpu, rows }
}

/** Which costs the same wherever it would be decoded. */
async function measureUnwatched(picture: Picture, { seconds, env, placement }: Live, limitCpu: number): Promise<LiveRow> {
  await using chain = await startChain(picture, { env, placement })
  await delay(IDLE_WARM_UP_MS)
  const before = await chain.counts()
  const usage = await measureUsage(chain.cast, seconds)
  const timesLimit = usage.ours.cpu / limitCpu
  return {
    ...{ picture: picture.name, placement, clients: [], usage, account: account(before, await chain.counts()), timesLimit },
    firstFrameMs: undefined,
  }
}

async function measurePlaced(picture: Picture, { seconds, env, placement }: Live, limitCpu: number): Promise<LiveRow[]> {
  await using arrivals = await recordArrivals(env)
  await using chain = await startChain(picture, { env, placement, sidecarEnv: arrivals.env })
  await using clients = new AsyncDisposableStack()
  const watching: Client[] = []
  const rows: LiveRow[] = []
  for (const count of CLIENTS[picture.name] ?? USUAL_CLIENTS) {
    let firstFrameMs: number | undefined
    while (watching.length < count) {
      const client = clients.use(await liveClient(chain.gateway.port, chain.device))
      chain.cast.clients.push(client.pid)
      watching.push(client)
      firstFrameMs ??= await client.firstFrameMs()
    }
    await Promise.all(watching.map(client => client.firstFrameMs()))
    await delay(WARM_UP_MS)
    const { usage, ...measured } = await measureWatched(picture, chain, arrivals, watching, seconds)
    rows.push({ picture: picture.name, placement, ...measured, usage, timesLimit: usage.ours.cpu / limitCpu, firstFrameMs })
  }
  return rows
}

async function measureWatched(
  picture: Picture,
  chain: Chain,
  arrivals: Arrivals,
  watching: readonly Client[],
  seconds: number,
): Promise<Pick<LiveRow, 'clients' | 'usage' | 'account'>> {
  const before = await chain.counts()
  const fromMs = Date.now()
  const usage = await measureUsage(chain.cast, seconds)
  const toMs = Date.now()
  const after = await chain.counts()
  const arrived = await arrivals.read()
  const clients = watching.map(({ seen }) => delivery(seen, fromMs, toMs, picture.fps, arrived))
  if (sum(clients.map(({ fps }) => fps)) === 0) throw new Error('clients got no frames')
  return { clients, usage, account: account(before, after) }
}
