// What goes wrong in a soak, again and again: processes are killed and stand still, clients vanish.
import { sleep } from '../common/abort.ts'
import { grpcClient } from '../test/fixtures/gateway.ts'
import { descendants } from '../test/fixtures/processes.ts'
import type { Chain } from './chain.ts'

const EVERY_MS = 20_000
const STILL_MS = 5_000

type Fault = (chain: Chain, signal: AbortSignal) => void | Promise<void>

const FAULTS: readonly Fault[] = [
  ({ sidecar }) => killFfmpegs(sidecar.pid),
  ({ gateway }) => killFfmpegs(gateway.pid),
  async ({ nats }, signal) => {
    nats.stop()
    await sleep(STILL_MS, signal)
    nats.cont()
  },
  async ({ nats, cast }) => {
    await nats.restart()
    cast.nats[0] = nats.pid
  },
  async ({ gateway, device }) => {
    for (let i = 0; i < 20; i++) {
      const client = grpcClient(gateway.port)
      void client.latest({ device_id: device }).catch(() => {}) // it does not wait for the answer
      await sleep(50, new AbortController().signal)
      await client[Symbol.asyncDispose]()
    }
  },
]

function killFfmpegs(parent: number): void {
  for (const { pid, command } of descendants(parent)) if (command.includes('ffmpeg')) process.kill(pid, 'SIGKILL')
}

/** Injects the next fault every 20 s, until `signal` aborts; returns how many there were. */
export async function injectFaults(chain: Chain, signal: AbortSignal): Promise<number> {
  let count = 0
  for (;;) {
    await sleep(EVERY_MS, signal)
    if (signal.aborted) return count
    await FAULTS[count++ % FAULTS.length]?.(chain, signal)
  }
}
