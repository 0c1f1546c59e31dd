// ListStreams: each camera's record, pod and sidecar in the predecessor's words.
import type { ListStream } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/ListStream.ts'
import type { CameraRecord, CameraState } from '../../proto/state.ts'
import { severityOf, type AnyReason } from '../../proto/reasons.ts'
import { SILENT_MS, type KnownCamera, type Report } from '../cameras.ts'

type Status = 'stopped' | 'running' | 'restarting' | 'failed'
type Cause = { reason: AnyReason; message: string }

const STREAK_FAILED = 10

/** One camera at `nowMs` (performance.now()); `name` is its canonical device_id. */
export function listStream({ record, report }: KnownCamera, name: string, isConnected: boolean, nowMs: number): ListStream {
  const { pod } = record
  const state = report === undefined || nowMs - report.receivedMs > SILENT_MS ? undefined : report.state
  const streak = failingStreak(record, state)
  const cause = record.suspended
    ? { reason: 'Suspended' as const, message: 'the Camera is suspended (spec.suspend)' }
    : (causeInState(state) ?? causeInPod(record) ?? silence(report, state, isConnected, nowMs))
  const status = statusOf(record, state, streak, cause)
  return {
    name,
    status,
    failing_streak: streak,
    health_status: health(status, streak, cause),
    dead: pod.dead,
    exit_code: pod.exitCode,
    pid: state?.pid ?? 0,
    running: status === 'running',
    paused: record.suspended,
    restarting: status === 'restarting',
    oomkilled: pod.oomKilled,
    error: cause === undefined ? '' : cause.message === '' ? cause.reason : `${cause.reason}: ${cause.message}`,
  }
}

/** Attempts to connect that failed in a row. A pod's restarts count while something is wrong with it, for it can't count itself then. */
function failingStreak({ pod }: CameraRecord, state: CameraState | undefined): number {
  if (state?.connection === 'streaming') return state.failingStreak
  const isPodWrong = pod.reason !== undefined || !pod.running
  return (state?.failingStreak ?? 0) + (isPodWrong ? pod.restarts : 0)
}

function statusOf(record: CameraRecord, state: CameraState | undefined, streak: number, cause: Cause | undefined): Status {
  if (record.suspended) return 'stopped'
  if (record.pod.dead || streak >= STREAK_FAILED || (cause !== undefined && severityOf(cause.reason) === 'needs-a-person')) return 'failed'
  return state?.connection === 'streaming' ? 'running' : 'restarting'
}

function health(status: Status, streak: number, cause: Cause | undefined): string {
  if (status === 'running') return cause === undefined ? 'healthy' : 'unhealthy'
  const isStarting = status === 'restarting' && streak === 0 && (cause === undefined || cause.reason === STARTING)
  return isStarting ? 'starting' : 'unhealthy'
}

/** While packets flow there may still be no picture. */
function causeInState(state: CameraState | undefined): Cause | undefined {
  if (state === undefined) return undefined
  const { ok, reason, message } = state.connection === 'streaming' ? state.decoding : { ok: false, ...state }
  return ok || reason === undefined ? undefined : { reason, message: message ?? '' }
}

function causeInPod({ pod }: CameraRecord): Cause | undefined {
  return pod.reason === undefined ? undefined : { reason: pod.reason, message: pod.message ?? '' }
}

const STARTING = 'Starting'

/** Why nobody says how the camera is. */
function silence(report: Report | undefined, state: CameraState | undefined, isConnected: boolean, nowMs: number): Cause | undefined {
  if (state?.connection === 'connecting') return { reason: STARTING, message: 'connecting to the camera' }
  if (state !== undefined) return undefined
  if (!isConnected)
    return { reason: 'NatsUnreachable', message: 'NATS is unreachable from the gateway, so the state of the camera is unknown' }
  if (report === undefined) return { reason: STARTING, message: 'the camera’s sidecar has not reported yet' }
  return { reason: 'SidecarSilent', message: `no word from the camera’s sidecar for ${Math.round((nowMs - report.receivedMs) / 1000)} s` }
}
