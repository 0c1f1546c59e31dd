// Keeps one program running: the operator's and the kubelet's part in local mode.
import { retryDelayMs } from '../../common/backoff.ts'
import { endReason, type PodState } from '../../common/camera-record.ts'
import { sleep } from '../../common/abort.ts'
import { severityOf } from '../../proto/reasons.ts'
import { fallsSilent, SILENT_MS, type Answers } from './liveness.ts'
import { runChild, type ChildEvents, type Ending, type Exit, type Program } from './child.ts'

/** A run of this length counts as a success: the next failure is waited for as if it were the first. */
const HEALTHY_MS = 60_000

export const STARTING: PodState = { running: false, dead: false, exitCode: 0, oomKilled: false, restarts: 0 }

/** `onPod`: the state of the program, at each change. */
export type Supervised = ChildEvents & {
  onPod: (pod: PodState) => void
  /** Where it tells that it still works: one that stands still is ended, and started again. */
  answers?: Answers
}

/** Runs the program again whenever it ends, until `ending.stop` aborts; or ends when there is no use in another start. */
export async function keepRunning(program: Program, { onPod, onLine, onStart, answers }: Supervised, ending: Ending): Promise<void> {
  let pod = STARTING
  const change = (next: PodState) => onPod((pod = next))
  for (let attempt = 0; !ending.stop.aborted; attempt++) {
    const events = {
      onLine,
      onStart: (pid: number) => {
        onStart?.(pid)
        const { reason: _reason, message: _message, ...rest } = pod
        change({ ...rest, running: true })
      },
    }
    const exit = await runWhileItAnswers(program, events, answers, ending)
    if (ending.stop.aborted) return change({ ...pod, running: false, exitCode: exit.code })
    if (exit.ranMs >= HEALTHY_MS) attempt = 0
    const delayMs = retryDelayMs(attempt)
    change(podAfter(pod, exit, attempt, delayMs))
    if (pod.dead) return
    await sleep(delayMs, ending.stop)
    if (!ending.stop.aborted) change({ ...pod, restarts: pod.restarts + 1 })
  }
}

async function runWhileItAnswers(program: Program, events: ChildEvents, answers: Answers | undefined, ending: Ending): Promise<Exit> {
  if (answers === undefined) return runChild(program, events, ending)
  const [silent, over] = [new AbortController(), new AbortController()]
  const watching = fallsSilent(answers, over.signal).then(isSilent => isSilent && silent.abort())
  const exit = await runChild(program, events, { ...ending, kill: AbortSignal.any([ending.kill, silent.signal]) })
  over.abort()
  await watching
  return silent.signal.aborted ? { ...exit, message: `did not answer for ${SILENT_MS / 1000} s` } : exit
}

/**
 * What is said of a program that ended, and is to start again in `delayMs`; `attempt` counts its failures in a row, from 0. Who sent a
 * SIGKILL can't be seen from here, so `oomKilled` stays false.
 */
export function podAfter(pod: PodState, { code, message }: Exit, attempt: number, delayMs: number): PodState {
  const reason = endReason({ exitCode: code, oomKilled: false }, attempt > 0)
  const dead = severityOf(reason) === 'needs-a-person'
  const again = dead ? 'not started again: its configuration is invalid' : `starting again in ${Math.ceil(delayMs / 1000)} s`
  return { ...pod, running: false, dead, exitCode: code, reason, message: `${message}; ${again}` }
}
