// What is known of a camera → how it is. The operator's conditions, ListStreams and local mode's table all come from `judge`. Pure.
import { explain, severityOf, type AnyReason, type Reason, type Severity } from './reasons.ts'
import type { Activity, CameraRecord, CameraState } from './state.ts'

/** A sidecar sends a heartbeat every 5 s. After this long without one, its last report no longer counts. */
export const SILENT_MS = 15_000
/** A sidecar that does not report is starting for this long, and silent after. */
export const START_MS = 30_000
/** After this many failed attempts in a row, a person is needed. */
const STREAK_FAILED = 10

/** What the camera's sidecar reported last, and how long ago. */
export type Report = { readonly state: CameraState; readonly ageMs: number }

export type Known = {
  record: CameraRecord
  /** One of a deleted camera of the same name does not count. */
  report: Report | undefined
  /** For how long the pod's container has run, as far as is known; 0 where none runs. */
  runningMs: number
  /** NATS is reachable from here. */
  isConnected: boolean
  isDeleting?: boolean
  /** Why annotations are not stored, or what was lost of them. */
  annotations?: { reason: AnyReason; message: string } | undefined
}

export type Verdict = { status: 'True' | 'False' | 'Unknown'; reason: AnyReason; message?: string | undefined }

const no = (reason: AnyReason, message?: string): Verdict => ({ status: 'False', reason, message })
const yes = (reason: Reason): Verdict => ({ status: 'True', reason })
const unknown = (reason: Reason, message?: string): Verdict => ({ status: 'Unknown', reason, message })

type Facts = Known & {
  /** The sidecar's last report, while it counts. */
  state: CameraState | undefined
  /** Why no packets arrive; undefined while they do. */
  obstacle: Verdict | undefined
}

/** Every condition: what it says, and how it is decided. */
export const CONDITIONS = {
  Ready: { meaning: 'Packets arrive, frames can be decoded from them, and the buffer works.', judge: ready },
  Connected: { meaning: 'Packets arrive from the camera.', judge: ({ obstacle }) => obstacle ?? yes('Streaming') },
  Decoding: { meaning: 'Frames are decoded. They are decoded only while a client asks for them.', judge: decoding },
  ProxyActive: {
    meaning: 'The stream is forwarded to the RTMP server.',
    judge: facts =>
      facts.record.proxy.hasTarget
        ? activity(facts, facts.state?.proxy, { on: 'Forwarding', off: 'SwitchedOff', failed: 'ForwardingFailed' })
        : no('NotConfigured'),
  },
  Archiving: {
    meaning: 'The stream is written to the archive.',
    judge: facts =>
      facts.record.archive
        ? activity(facts, facts.state?.archive, { on: 'Recording', off: 'NotConnected', failed: 'ArchiveFailed' })
        : no('NotConfigured'),
  },
  Substream: { meaning: 'Packets of the substream arrive. It is connected only while something wants it.', judge: substream },
  Annotating: {
    meaning: 'Annotations are stored, and none that was acknowledged is lost.',
    judge: ({ annotations: why }) => (why === undefined ? yes('Storing') : no(named(why.reason), why.message)),
  },
} as const satisfies Record<string, { meaning: string; judge: (facts: Facts) => Verdict }>

export type ConditionType = keyof typeof CONDITIONS
export const CONDITION_TYPES = Object.keys(CONDITIONS) as ConditionType[]

export type Judgement = {
  conditions: Record<ConditionType, Verdict>
  /** In ListStreams' words. */
  status: 'stopped' | 'running' | 'restarting' | 'failed'
  health: 'healthy' | 'starting' | 'unhealthy'
  /** Failed attempts in a row. */
  failingStreak: number
  /** What is wrong, or not yet as it should be; undefined where all is well. */
  cause: Verdict | undefined
  severity: Severity
  /** `Reason: message`; empty where all is well. */
  error: string
  /** The sidecar's last report, while it counts. */
  state: CameraState | undefined
}

export function judge(known: Known): Judgement {
  const facts = factsOf(known)
  const { record, state, obstacle } = facts
  const verdicts = CONDITION_TYPES.map(type => [type, CONDITIONS[type].judge(facts)] as const)
  const conditions = Object.fromEntries(verdicts) as Record<ConditionType, Verdict>
  const isWrong = ({ status, reason }: Verdict) => status === 'False' && severityOf(reason) !== 'ok'
  const cause = conditions.Ready.status === 'True' ? Object.values(conditions).find(isWrong) : conditions.Ready
  const severity = cause === undefined ? 'ok' : severityOf(cause.reason)
  const failingStreak = streakOf(record, state)
  // Where frames can be had, the camera runs, whatever else fails.
  const givesFrames = obstacle === undefined && state?.decoding.ok === true
  const hasFailed = record.pod.dead || failingStreak >= STREAK_FAILED || (severity === 'needs-a-person' && !givesFrames)
  const status = record.suspended ? 'stopped' : hasFailed ? 'failed' : obstacle === undefined ? 'running' : 'restarting'
  const isStarting = status === 'restarting' && failingStreak === 0 && severity === 'ok'
  const health = isStarting ? 'starting' : status === 'running' && cause === undefined ? 'healthy' : 'unhealthy'
  const error = cause === undefined ? '' : `${cause.reason}: ${explain(cause.reason, cause.message)}`
  return { conditions, status, health, failingStreak, cause, severity, error, state }
}

function factsOf(known: Known): Facts {
  const { record, report } = known
  const state = report === undefined || report.state.uid !== record.uid || report.ageMs > SILENT_MS ? undefined : report.state
  return { ...known, state, obstacle: obstacle(known, state) }
}

function obstacle({ record: { suspended, pod }, isConnected, runningMs }: Known, state: CameraState | undefined): Verdict | undefined {
  if (suspended) return no('Suspended')
  if (!pod.running) return no(named(pod.reason ?? (pod.dead ? 'CrashLoop' : 'PodPending')), pod.message)
  if (state?.connection === 'streaming') return undefined
  if (state !== undefined) return state.reason === undefined ? no('Connecting') : no(named(state.reason), state.message)
  if (!isConnected) return unknown('NatsUnreachable')
  if (runningMs < START_MS) return no('Starting')
  return unknown('SidecarSilent', pod.node && `the camera pod runs on node ${pod.node}, but the sidecar sends no heartbeat`)
}

/** A pod's restarts count while it does not run, for its sidecar cannot count then. */
function streakOf({ pod }: CameraRecord, state: CameraState | undefined): number {
  const reported = state?.failingStreak ?? 0
  return pod.running || state?.connection === 'streaming' ? reported : reported + pod.restarts
}

function ready(facts: Facts): Verdict {
  const { record, isDeleting, obstacle: why, state } = facts
  if (isDeleting) return no('Deleting')
  if (record.problem !== undefined) return no(named(record.problem.reason), record.problem.message)
  if (why !== undefined) return why
  if (state?.decoding.ok === false) return failing(state.decoding, 'NoDecodableFrames')
  if (state?.buffer.ok === false) return failing(state.buffer, 'BufferUnavailable')
  return yes('Streaming')
}

/** Of what needs a connection, while there is none. */
function withoutConnection({ obstacle: why }: Facts): Verdict | undefined {
  if (why === undefined || why.status === 'Unknown' || why.reason === 'Suspended') return why
  return no('NotConnected')
}

function decoding(facts: Facts): Verdict {
  const { state } = facts
  const why = withoutConnection(facts)
  if (why !== undefined) return why
  if (state?.decoding.ok === false) return failing(state.decoding, 'NoDecodableFrames')
  return state?.decoding.active ? yes('Decoding') : no('NoDemand')
}

/** It has a connection of its own. */
function substream(facts: Facts): Verdict {
  const { record, state } = facts
  if (record.substream !== true) return no('NotConfigured')
  if (state === undefined || record.suspended || !record.pod.running) return withoutConnection(facts) ?? unknown('NotReported')
  if (state.substream === undefined) return unknown('NotReported')
  const { connection, reason, message } = state.substream
  if (connection === 'streaming') return yes('Streaming')
  if (reason !== undefined) return no(named(reason), `the substream: ${message ?? explain(reason, undefined)}`)
  return no(connection === 'off' ? 'SubstreamIdle' : 'Connecting')
}

/** Of something that the spec asks for. A reported failure counts without a connection too. */
function activity(facts: Facts, reported: Activity | undefined, words: { on: Reason; off: Reason; failed: Reason }): Verdict {
  if (reported?.ok === false && !facts.record.suspended) return failing(reported, words.failed)
  const why = withoutConnection(facts)
  if (why !== undefined) return why
  if (reported === undefined) return unknown('NotReported')
  return reported.active ? yes(words.on) : no(words.off)
}

const failing = ({ reason, message }: { reason?: AnyReason | undefined; message?: string | undefined }, otherwise: Reason): Verdict =>
  no(named(reason ?? otherwise), message)

/** A reason as the Camera's schema accepts it: one that it rejects would void the whole status. */
const named = (reason: AnyReason): AnyReason => (/^[A-Z][A-Za-z0-9]{0,127}$/.test(reason) ? reason : 'InternalError')
