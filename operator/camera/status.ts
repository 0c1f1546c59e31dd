// How a camera is → the Camera's status. Pure.
import { CONDITION_TYPES, judge, type ConditionType, type Known, type Verdict } from '../../proto/health.ts'
import { explain, severityOf, type AnyReason } from '../../proto/reasons.ts'
import type { EventType } from '../kube/events.ts'
import { sortedJson } from '../kube/json.ts'
import { defined, metaTime, type CameraStatus, type Condition, type WatchedCamera } from '../kube/kinds.ts'

/** `now` in ms since the epoch. */
export function cameraStatus(camera: WatchedCamera, known: Known, now: number): CameraStatus {
  const before = camera.status ?? {}
  const { generation } = camera.metadata
  const { conditions, state } = judge(known)
  const { pod } = known.record
  return defined<CameraStatus>({
    observedGeneration: generation,
    conditions: CONDITION_TYPES.map(type => condition(type, conditions[type], generation, before.conditions, now)),
    reason: conditions.Ready.reason,
    node: pod.node,
    codec: state?.codec?.name ?? before.codec,
    device: camera.spec.source.onvif === undefined ? undefined : (state?.device ?? before.device),
    tls: state?.tls ?? before.tls,
    size: state?.codec === undefined ? before.size : { width: state.codec.width, height: state.codec.height },
    fps: state?.connection === 'streaming' ? steady(state.fps, before.fps) : undefined,
    lastFrameTime: isTime(state?.lastPacketAt) ? metaTime(state.lastPacketAt) : before.lastFrameTime,
    restarts: pod.restarts,
  })
}

/** Of a Camera without an operator, `now` in ms since the epoch. What the status says of the stream stays. */
export function uninstalledStatus({ metadata: { generation }, status: before = {} }: WatchedCamera, now: number): CameraStatus {
  const { codec, device, tls, size, lastFrameTime } = before
  return defined<CameraStatus>({
    observedGeneration: generation,
    conditions: CONDITION_TYPES.map(type =>
      condition(type, { status: 'False', reason: 'Uninstalled' }, generation, before.conditions, now),
    ),
    reason: 'Uninstalled',
    ...{ codec, device, tls, size, lastFrameTime },
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

/** The Event that a change of status is worth; undefined while the camera only starts, connects or is being deleted. */
export function transition(
  before: CameraStatus | undefined,
  after: CameraStatus,
): { type: EventType; reason: AnyReason; message: string } | undefined {
  const now = after.conditions?.find(({ type }) => type === 'Ready')
  if (now === undefined || now.reason === before?.reason) return undefined
  const isAsAsked = now.status === 'True' || now.reason === 'Suspended'
  if (severityOf(now.reason) === 'ok' && !isAsAsked) return undefined
  return { type: isAsAsked ? 'Normal' : 'Warning', reason: now.reason, message: now.message }
}

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
