// Whether a camera gives frames, and why not, as FramesService says it.
import type { CameraStatus } from '../../../proto/generated/chrys/cloud/frames/v1/CameraStatus.ts'
import { judge, type Judgement, type Verdict } from '../../../proto/health.ts'
import { explain, severityOf, type AnyReason, type Severity } from '../../../proto/reasons.ts'
import type { KnownCamera } from '../../cameras.ts'
import type { Why } from '../../frames/rendition-frames.ts'

export const SEVERITIES = {
  ok: 'SEVERITY_OK',
  transient: 'SEVERITY_TRANSIENT',
  'needs-a-person': 'SEVERITY_NEEDS_A_PERSON',
} as const satisfies Record<Severity, string>

/** At `nowMs` (performance.now()). */
export const judgementOf = ({ record, report, runningSince }: KnownCamera, isConnected: boolean, nowMs: number): Judgement =>
  judge({
    ...{ record, isConnected },
    report: report && { state: report.state, ageMs: nowMs - report.receivedMs },
    runningMs: runningSince === undefined ? 0 : nowMs - runningSince,
  })

export type Obstacle = { reason: AnyReason; message: string; severity: Severity }

/** Why the camera gives no packets or frames now; undefined where it does. `why`: what the FrameSource knows. */
export function obstacleOf(known: KnownCamera, why: Why | undefined, isConnected: boolean, nowMs: number): Obstacle | undefined {
  if (!isConnected) return obstacle('NatsUnreachable')
  const { Connected, Decoding } = judgementOf(known, isConnected, nowMs).conditions
  if (Connected.status !== 'True') return ofVerdict(Connected)
  // The gateway's own word is newer than what the sidecar reports of it.
  if (why !== undefined) return obstacle(why.reason as AnyReason, why.message)
  return Decoding.status === 'False' && severityOf(Decoding.reason) !== 'ok' ? ofVerdict(Decoding) : undefined
}

const ofVerdict = ({ reason, message }: Verdict): Obstacle => obstacle(reason, message)

const obstacle = (reason: AnyReason, message?: string): Obstacle => ({
  ...{ reason, message: explain(reason, message), severity: severityOf(reason) },
})

export const streaming = (camera: string): CameraStatus => ({ camera, state: 'STATE_STREAMING', severity: 'SEVERITY_OK' })

export const noFrames = (camera: string, { reason, message, severity }: Obstacle): CameraStatus => ({
  ...{ camera, state: 'STATE_NO_FRAMES', reason, message, severity: SEVERITIES[severity] },
})

export const gone = (camera: string): CameraStatus => ({ camera, state: 'STATE_GONE', severity: 'SEVERITY_OK' })
