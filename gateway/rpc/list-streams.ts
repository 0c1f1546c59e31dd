// ListStreams: how each camera is, in the predecessor's words.
import type { ListStream } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/ListStream.ts'
import { judge } from '../../proto/health.ts'
import type { Cause } from '../../proto/reasons.ts'
import type { KnownCamera } from '../cameras.ts'

/** What holds for all cameras. `problem`: of annotations. */
export type Surroundings = { isConnected: boolean; problem: Cause | undefined }

/** One camera at `nowMs` (performance.now()); `name` is its canonical device_id. */
export function listStream(
  { record, report, runningSince }: KnownCamera,
  name: string,
  { isConnected, problem }: Surroundings,
  nowMs: number,
): ListStream {
  const { status, failingStreak, state, health, error } = judge({
    ...{ record, isConnected, annotations: problem },
    report: report && { state: report.state, ageMs: nowMs - report.receivedMs },
    runningMs: runningSince === undefined ? 0 : nowMs - runningSince,
  })
  const { pod } = record
  return {
    ...{ name, status, failing_streak: failingStreak, health_status: health, error },
    ...{ dead: pod.dead, exit_code: pod.exitCode, oomkilled: pod.oomKilled, pid: state?.pid ?? 0 },
    ...{ running: status === 'running', paused: record.suspended, restarting: status === 'restarting' },
  }
}
