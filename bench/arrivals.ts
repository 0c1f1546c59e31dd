// When packets arrived at the sidecar, by its clock. A frame's timestamp is its capture time: the packets that came the fastest say which, so
// what the camera and the network delay others by counts as latency from capture, and not as latency from arrival.
import { readFile, writeFile } from 'node:fs/promises'
import { temporaryFolder } from '../test/fixtures/tmp.ts'
import type { ChainEnv } from './chain.ts'

const PROBE = new URL('arrivals-probe.ts', import.meta.url).href

export type Arrivals = AsyncDisposable & {
  /** For the sidecar. */
  readonly env: ChainEnv
  /** So far: ms since the epoch, by the timestamp of the packet's frame. */
  read(): Promise<ReadonlyMap<number, number>>
}

export async function recordArrivals({ NODE_OPTIONS = '', ...env }: ChainEnv): Promise<Arrivals> {
  const folder = await temporaryFolder()
  const file = folder.file('arrivals')
  await writeFile(file, '')
  return {
    env: { ...env, NODE_OPTIONS: `${NODE_OPTIONS} --import=${PROBE}`.trim(), BENCH_ARRIVALS_FILE: file },
    async read() {
      const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
      return new Map(lines.map(line => line.split(' ').map(Number) as [number, number]))
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}
