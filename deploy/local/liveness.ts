// Whether a child still answers: one that stands still is replaced like one that died, as the kubelet does with a liveness probe.
import { connect } from 'node:net'
import { sleep } from '../../common/abort.ts'

/** True for an answer, false for none within the time. */
export type Answers = (signal: AbortSignal) => Promise<boolean>

/** As of pods: three probes, ten seconds apart. */
export const SILENT_MS = 30_000
/** On a busy machine Node itself takes its time to start. */
const TIMES = { firstPollMs: 500, pollMs: 5_000, answerMs: 5_000, startMs: 120_000, silentMs: SILENT_MS }

/** Resolves when no answer has come for so long (at the start: for longer), with true; with false when `signal` aborts. */
export async function fallsSilent(answers: Answers, signal: AbortSignal, times = TIMES): Promise<boolean> {
  let since = performance.now()
  let patienceMs = times.startMs
  let pollMs = times.firstPollMs
  for (;;) {
    await sleep(pollMs, signal)
    if (signal.aborted) return false
    const asked = performance.now()
    if (await answers(AbortSignal.any([signal, AbortSignal.timeout(times.answerMs)])).catch(() => false)) {
      since = performance.now()
      patienceMs = times.silentMs
      pollMs = times.pollMs
    } else if (asked - since >= patienceMs) return !signal.aborted
  }
}

/** A process of ours, by its probe. */
export const answersLivez =
  (port: number): Answers =>
  async signal =>
    (await fetch(`http://127.0.0.1:${port}/livez`, { signal })).ok

/** A nats-server, which speaks first. */
export const answersNats =
  (port: () => number | undefined): Answers =>
  signal =>
    new Promise(resolve => {
      const at = port()
      if (at === undefined) return resolve(false)
      const socket = connect(at, '127.0.0.1')
      const end = (answer: boolean) => {
        socket.destroy()
        resolve(answer)
      }
      socket.once('data', () => end(true)).once('error', () => end(false))
      signal.addEventListener('abort', () => end(false), { once: true })
    })
