// What was observed → the Camera's status. Pure.
import type { CameraState } from '../../proto/state.ts'
import type { EventType } from '../kube/events.ts'
import { sortedJson } from '../kube/json.ts'
import { defined, metaTime, type CameraStatus, type Condition, type ConditionType, type WatchedCamera } from '../kube/kinds.ts'
import type { PodReport } from './pods.ts'
import { explain, type AnyReason, type Reason } from '../../proto/reasons.ts'

export type Observed = {
  camera: WatchedCamera
  pod: PodReport
  /** How long the pod's container has run; 0 where none does. */
  runningMs: number
  /** What the sidecar last said; undefined when it said nothing, or too long ago. */
  state: CameraState | undefined
  natsAway: boolean
  /** The Deployment could not be applied. */
  problem: { reason: Reason; message: string } | undefined
  /** ms since the epoch. */
  now: number
}

/** A pod that has run so long without a word is silent; before, it is starting. */
const START_MS = 30_000

type Verdict = { status: Condition['status']; reason: AnyReason; message?: string | undefined }

const no = (reason: Reason, message?: string): Verdict => ({ status: 'False', reason, message })
const yes = (reason: Reason): Verdict => ({ status: 'True', reason })
const unknown = (reason: Reason, message?: string): Verdict => ({ status: 'Unknown', reason, message })
const isStarting = ({ runningMs }: Observed): boolean => runningMs < START_MS
const silent = ({ pod: { state } }: Observed): Verdict =>
  unknown(
    'SidecarSilent',
    state.node === undefined ? undefined : `the pod on node ${state.node} runs, by what the node last said, and does not report`,
  )

export function cameraStatus(observed: Observed): CameraStatus {
  const { camera, pod, state, now } = observed
  const before = camera.status ?? {}
  const verdicts: Record<ConditionType, Verdict> = {
    Ready: ready(observed),
    Connected: connected(observed),
    Decoding: decoding(observed),
    ProxyActive: proxyActive(observed),
    Archiving: archiving(observed),
  }
  const { generation } = camera.metadata
  const conditions = Object.entries(verdicts).map(([type, verdict]) =>
    condition(type as ConditionType, verdict, generation, before.conditions, now),
  )
  const isStreaming = state?.connection === 'streaming'
  return defined<CameraStatus>({
    observedGeneration: generation,
    conditions,
    reason: verdicts.Ready.reason,
    node: pod.state.node,
    codec: state?.codec?.name ?? before.codec,
    size: state?.codec === undefined ? before.size : { width: state.codec.width, height: state.codec.height },
    fps: isStreaming ? steady(state.fps, before.fps) : undefined,
    lastFrameTime: isTime(state?.lastPacketAt) ? metaTime(state.lastPacketAt) : before.lastFrameTime,
    restarts: pod.state.restarts,
  })
}

/** Of a Camera that nobody sees to any more, `now` in ms since the epoch: what is lasting of its status stays. */
export function uninstalledStatus({ metadata: { generation }, status: before = {} }: WatchedCamera, now: number): CameraStatus {
  const types: ConditionType[] = ['Ready', 'Connected', 'Decoding', 'ProxyActive', 'Archiving']
  const { codec, size, lastFrameTime } = before
  return defined<CameraStatus>({
    observedGeneration: generation,
    conditions: types.map(type => condition(type, no('Uninstalled'), generation, before.conditions, now)),
    reason: 'Uninstalled',
    ...{ codec, size, lastFrameTime },
  })
}

/**
 * Whether `next` says something that `before` does not. The time of the last frame alone is no news while frames come; conditions of
 * others are none of ours.
 */
export function isNews(next: CameraStatus, before: CameraStatus | undefined): boolean {
  const isOurs = ({ type }: Condition) => next.conditions?.some(each => each.type === type)
  const comparable = ({ lastFrameTime, conditions, ...rest }: CameraStatus) =>
    sortedJson({ ...rest, conditions: conditions?.filter(isOurs), ...(rest.fps === undefined ? { lastFrameTime } : {}) })
  return before === undefined || comparable(next) !== comparable(before)
}

/** On the way to somewhere else: nothing a person should notice. */
const PASSING: readonly AnyReason[] = ['PodPending', 'ContainerCreating', 'Terminating', 'Starting', 'Connecting', 'Deleting']

/** What a change of status is worth telling in an Event. */
export function transition(
  before: CameraStatus | undefined,
  after: CameraStatus,
): { type: EventType; reason: AnyReason; message: string } | undefined {
  const now = after.conditions?.find(({ type }) => type === 'Ready')
  if (now === undefined || now.reason === before?.reason || PASSING.includes(now.reason)) return undefined
  const type = now.status === 'True' || now.reason === 'Suspended' ? 'Normal' : 'Warning'
  return { type, reason: now.reason, message: now.message }
}

function ready(observed: Observed): Verdict {
  const { camera, pod, state, problem, natsAway } = observed
  if (camera.metadata.deletionTimestamp !== undefined) return no('Deleting')
  if (problem !== undefined) return no(problem.reason, problem.message) // of a stop, too: the pod runs on
  if (camera.spec.suspend) return no('Suspended')
  if (pod.notRunning !== undefined) return no(pod.notRunning.reason, pod.notRunning.message)
  if (state === undefined) {
    if (natsAway) return unknown('NatsUnreachable')
    return isStarting(observed) ? no('Starting') : silent(observed)
  }
  if (state.connection !== 'streaming') return notStreaming(state)
  if (!state.buffer.ok) return failing(state.buffer, 'BufferUnavailable')
  if (!state.decoding.ok) return failing(state.decoding, 'NoDecodableFrames')
  return yes('Streaming')
}

/** Of everything that needs a connection: what keeps it from being there; undefined when it is. */
function withoutConnection(observed: Observed): Verdict | undefined {
  const { camera, state, pod } = observed
  if (camera.spec.suspend) return no('Suspended')
  if (pod.notRunning !== undefined) return no('NotConnected')
  if (state === undefined && observed.natsAway) return unknown('NatsUnreachable')
  if (state === undefined) return isStarting(observed) ? no('NotConnected') : silent(observed)
  return state.connection === 'streaming' ? undefined : no('NotConnected')
}

function connected(observed: Observed): Verdict {
  const { camera, state, pod } = observed
  if (camera.spec.suspend || pod.notRunning !== undefined || state === undefined) return ready(observed)
  return state.connection === 'streaming' ? yes('Streaming') : notStreaming(state)
}

function decoding(observed: Observed): Verdict {
  const cause = withoutConnection(observed)
  if (cause !== undefined) return cause
  const { active = false, ok = true, ...why } = observed.state?.decoding ?? {}
  if (!ok) return failing(why, 'NoDecodableFrames')
  return active ? yes('Decoding') : no('NoDemand')
}

function proxyActive(observed: Observed): Verdict {
  if (observed.camera.spec.proxy?.urlSecretRef === undefined) return no('NotConfigured')
  return activity(observed, observed.state?.proxy, { on: yes('Forwarding'), off: no('SwitchedOff'), broken: 'ForwardingFailed' })
}

function archiving(observed: Observed): Verdict {
  if (observed.camera.spec.archive === undefined) return no('NotConfigured')
  return activity(observed, observed.state?.archive, { on: yes('Recording'), off: no('NotConnected'), broken: 'ArchiveFailed' })
}

type Words = { on: Verdict; off: Verdict; broken: Reason }

/** Of something that the sidecar reports on. A report of failure counts without a connection too. */
function activity(observed: Observed, reported: CameraState['proxy'], words: Words): Verdict {
  if (reported !== undefined && !reported.ok && !observed.camera.spec.suspend) return failing(reported, words.broken)
  const cause = withoutConnection(observed)
  if (cause !== undefined) return cause
  if (reported === undefined) return unknown('NotReported')
  return reported.active ? words.on : words.off
}

const notStreaming = ({ reason, message }: CameraState): Verdict =>
  reason === undefined ? no('Connecting') : { status: 'False', reason: word(reason), message }

const failing = ({ reason, message }: { reason?: AnyReason | undefined; message?: string | undefined }, otherwise: Reason): Verdict => ({
  status: 'False',
  reason: reason === undefined ? otherwise : word(reason),
  message,
})

/** A reason as the schema wants it: one that is not would void the whole status. */
const word = (reason: AnyReason): AnyReason => (/^[A-Z][A-Za-z0-9]{0,127}$/.test(reason) ? reason : 'InternalError')

function condition(
  type: ConditionType,
  { status, reason, message }: Verdict,
  observedGeneration: number,
  before: Condition[] | undefined,
  now: number,
): Condition {
  const old = before?.find(each => each.type === type)
  const lastTransitionTime = old?.status === status ? old.lastTransitionTime : metaTime(now)
  return { type, status, observedGeneration, lastTransitionTime, reason, message: explain(reason, message) }
}

/** Keeps the old number while the new one is near it, so that jitter is no news. */
function steady(reported: number, before: number | undefined): number {
  const fps = Math.max(0, reported)
  const rounded = fps >= 5 ? Math.round(fps) : Math.round(fps * 10) / 10
  return before !== undefined && Math.abs(fps - before) <= Math.max(1, before * 0.1) ? before : rounded
}

/** A time that the schema takes: not after the year 9999. */
const isTime = (ms: number | undefined): ms is number => ms !== undefined && ms < 253_402_300_800_000
