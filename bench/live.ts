// One camera, watched by nobody, by one client, by three: rate, latency, losses, cost.
import { setTimeout as delay } from 'node:timers/promises'
import { recordArrivals, type Arrivals } from './arrivals.ts'
import { account, startChain, type Account, type Chain, type Picture, type ChainOptions } from './chain.ts'
import { delivery, liveClient, type Client, type Delivery } from './clients.ts'
import { decodeCpu } from './limits.ts'
import { sum } from './statistics.ts'
import { measureUsage, type Usage } from './usage.ts'

/** Until programs have compiled what they run often, and buffers have their size. */
const WARM_UP_MS = 4_000
const CLIENTS = [0, 1, 3]

export type LiveRow = {
  picture: string
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

export async function measureLive(picture: Picture, { seconds, env, placement }: ChainOptions & { seconds: number }) {
  const limitCpu = await decodeCpu(picture, seconds)
  await using arrivals = await recordArrivals(env)
  await using chain = await startChain(picture, { env, placement, sidecarEnv: arrivals.env })
  await using clients = new AsyncDisposableStack()
  const watching: Client[] = []
  const rows: LiveRow[] = []
  for (const count of CLIENTS) {
    let firstFrameMs: number | undefined
    while (watching.length < count) {
      const client = clients.use(await liveClient(chain.gateway.port, chain.device))
      chain.cast.clients.push(client.pid)
      watching.push(client)
      firstFrameMs ??= await client.firstFrameMs()
    }
    await Promise.all(watching.map(client => client.firstFrameMs()))
    await delay(WARM_UP_MS)
    rows.push({ ...(await measureWatched(picture, chain, arrivals, watching, seconds, limitCpu)), firstFrameMs })
  }
  return { picture: picture.name, limitCpu, rows } satisfies LiveResult
}

async function measureWatched(
  picture: Picture,
  chain: Chain,
  arrivals: Arrivals,
  watching: readonly Client[],
  seconds: number,
  limitCpu: number,
): Promise<Omit<LiveRow, 'firstFrameMs'>> {
  const before = await chain.counts()
  const fromMs = Date.now()
  const usage = await measureUsage(chain.cast, seconds)
  const toMs = Date.now()
  const after = await chain.counts()
  const arrived = await arrivals.read()
  const clients = watching.map(({ seen }) => delivery(seen, fromMs, toMs, picture.fps, arrived))
  if (sum(clients.map(({ fps }) => fps)) === 0 && watching.length > 0) throw new Error('clients got no frames')
  return { picture: picture.name, clients, usage, account: account(before, after), timesLimit: usage.ours.cpu / limitCpu }
}
