// When a child process is ready, by its own probe.
import { sleep } from '../../common/abort.ts'

const POLL_MS = 250
const ANSWER_MS = 2_000

/** Asks for /readyz at this port of 127.0.0.1 until the answer is 200 or `signal` aborts. Calls back with what is missing; undefined: ready. */
export async function followReadiness(port: number, onMissing: (missing: string | undefined) => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const missing = await missingAt(port, signal)
    if (signal.aborted) return
    onMissing(missing)
    if (missing === undefined) return
    await sleep(POLL_MS, signal)
  }
}

async function missingAt(port: number, signal: AbortSignal): Promise<string | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]) })
    const text = await response.text()
    return response.ok ? undefined : text.trim().split('\n').join(', ')
  } catch {
    return 'its probe does not answer yet'
  }
}
