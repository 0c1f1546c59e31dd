// How long the first client of a connected camera waits for its first frame, which depends on how much of the GOP must be decoded first.
import { until } from '../test/fixtures/wait.ts'
import { GOP_SECONDS, PICTURES, startChain, type Chain, type ChainOptions } from './chain.ts'
import { liveClient } from './clients.ts'
import { total } from './counters.ts'

/** How much of the GOP has passed when the client asks. */
const PARTS = [0.1, 0.5, 0.95]

export type FirstFrame = { part: number; ms: number }

export async function measureFirstFrames({ env, placement }: ChainOptions): Promise<FirstFrame[]> {
  await using chain = await startChain(PICTURES['1080p30'], { env, placement })
  const frames: FirstFrame[] = []
  for (const part of PARTS) {
    await until(async () => (await value(chain, 'chrysalis_decoder_running')) === 0, { what: 'the end of decoding', everyMs: 200 })
    const seen = await value(chain, 'chrysalis_keyframes_total')
    await until(async () => (await value(chain, 'chrysalis_keyframes_total')) > seen, { what: 'a keyframe' })
    // A GOP later, when the client's Python has started.
    const askAtMs = Date.now() + (1 + part) * GOP_SECONDS * 1000
    await using client = await liveClient(chain.gateway.port, chain.device, { askAtMs })
    frames.push({ part, ms: await client.firstFrameMs() })
  }
  return frames
}

/** In sidecar and gateway together. */
async function value(chain: Chain, name: string): Promise<number> {
  const { sidecar, gateway } = await chain.counts()
  return total(sidecar, name) + total(gateway, name)
}
