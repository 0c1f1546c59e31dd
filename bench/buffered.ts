// Reading the past: how fast, and how soon.
import { setTimeout as delay } from 'node:timers/promises'
import { GOP_SECONDS, PICTURES, startChain, type ChainOptions } from './chain.ts'
import { bufferedClient } from './clients.ts'
import { decodeSpeed } from './limits.ts'
import { measureUsage, type Usage } from './usage.ts'

const SECONDS = 16
const FIRST_FRAMES = 4

export type BufferedResult = {
  /** Seconds of video in one, from the first request on. */
  timesRealTime: number
  frames: number
  /** Frames of the stretch that did not come. */
  missing: number
  /** Of reads that begin at different places of a GOP, in ms. */
  firstFrameMs: number[]
  usage: Usage
  /** ffmpeg alone, from a file to /dev/null, with one thread and with as many as it likes: × real time. */
  limit: { oneThread: number; threads: number }
}

export async function measureBuffered({ env, placement }: ChainOptions): Promise<BufferedResult> {
  const picture = PICTURES['1080p30']
  const limit = {
    oneThread: await decodeSpeed(picture, { threads: 1, seconds: SECONDS / 2 }),
    threads: await decodeSpeed(picture, { threads: 0, seconds: SECONDS / 2 }),
  }
  await using chain = await startChain(picture, { env, placement })
  const startMs = Date.now() + GOP_SECONDS * 1000
  const endMs = startMs + SECONDS * 1000
  await delay(endMs - Date.now() + 1_000)
  const { port } = chain.gateway
  const firstFrameMs: number[] = []
  for (let i = 0; i < FIRST_FRAMES; i++) {
    const fromMs = startMs + ((i + 0.5) / FIRST_FRAMES) * GOP_SECONDS * 1000
    await using client = await bufferedClient(port, chain.device, { fromMs, toMs: endMs, framesMax: 1 })
    firstFrameMs.push(await client.firstFrameMs())
    await client.finished
  }
  await using client = await bufferedClient(port, chain.device, { fromMs: startMs, toMs: endMs, framesMax: 0 })
  chain.cast.clients.push(client.pid)
  const first = await client.firstFrameMs()
  const over = new AbortController()
  const ending = client.finished.finally(() => over.abort())
  const usage = await measureUsage(chain.cast, SECONDS, over.signal)
  await ending
  const { seen } = client
  const elapsedMs = (seen.at(-1)?.receivedMs ?? NaN) - (seen[0]?.receivedMs ?? NaN) + first
  const expected = SECONDS * picture.fps
  return {
    timesRealTime: (1000 * seen.length) / picture.fps / elapsedMs,
    frames: seen.length,
    missing: Math.max(0, expected - 1 - seen.length), // either border may fall between two frames
    firstFrameMs,
    usage,
    limit,
  }
}
