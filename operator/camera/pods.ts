// A camera's pods → what is the matter with them. Pure.
import { endReason, type PodState } from '../../common/camera-record.ts'
import type { Reason } from '../../proto/reasons.ts'
import { MESSAGE_MAX } from '../../proto/state.ts'
import { defined, type Deployment, type Pod } from '../kube/kinds.ts'

export type PodReport = {
  state: PodState
  /** When the running container started, ms since the epoch, by its node's clock. */
  startedAt?: number
}

const WAITING: Record<string, Reason> = {
  ErrImagePull: 'ImagePullBackOff',
  ImagePullBackOff: 'ImagePullBackOff',
  ErrImageNeverPull: 'ImagePullBackOff',
  InvalidImageName: 'InvalidImageName',
  CreateContainerConfigError: 'CreateContainerConfigError',
  CreateContainerError: 'CreateContainerError',
  RunContainerError: 'RunContainerError',
}

/** `held`: the camera has no pod since its nodes rejected some. */
export function reportOn(pods: readonly Pod[], deployment: Deployment | undefined, held: string | undefined): PodReport {
  const pod = currentOf(pods)
  const container = containerOf(pod)
  const last = container?.state?.terminated ?? container?.lastState?.terminated
  const running = container?.state?.running
  const isUp = running !== undefined && pod?.metadata.deletionTimestamp === undefined
  const why = isUp ? undefined : whyNot(pod, container, deployment, held)
  return defined<PodReport>({
    state: defined<PodState>({
      reason: why?.reason,
      message: why?.message?.slice(0, MESSAGE_MAX),
      running: isUp,
      dead: held !== undefined || (pod !== undefined && isOver(pod)),
      exitCode: last?.exitCode ?? 0,
      oomKilled: last?.reason === 'OOMKilled',
      restarts: container?.restartCount ?? 0,
      node: pod?.spec?.nodeName,
    }),
    startedAt: isUp && running?.startedAt !== undefined ? Date.parse(running.startedAt) : undefined,
  })
}

export const isOver = (pod: Pod): boolean => pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded'

/** The uid of the pod whose container waits for its image and volumes. */
export const beingCreated = (pods: readonly Pod[]): string | undefined =>
  pods.find(({ status }) => status?.containerStatuses?.some(({ state }) => state?.waiting?.reason === 'ContainerCreating'))?.metadata.uid

/** A pod runs, and no node or quota has room for the one that is to replace it. */
export const isWithoutRoom = (pods: readonly Pod[], deployment: Deployment | undefined): boolean =>
  pods.some(pod => isLive(pod) && runningIn(pod) !== undefined) &&
  (refusalOf(deployment) !== undefined || pods.some(pod => isLive(pod) && unschedulable(pod) !== undefined))

const refusalOf = (deployment: Deployment | undefined) =>
  deployment?.status?.conditions?.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True')

const isLive = (pod: Pod): boolean => !isOver(pod) && pod.metadata.deletionTimestamp === undefined
const containerOf = (pod: Pod | undefined) => pod?.status?.containerStatuses?.find(({ name }) => name === 'sidecar')
const runningIn = (pod: Pod | undefined) => containerOf(pod)?.state?.running
const unschedulable = ({ status }: Pod) =>
  status?.conditions?.find(({ type, status, reason }) => type === 'PodScheduled' && status === 'False' && reason === 'Unschedulable')

/** The one that matters: the newest that lives, unless it only starts while the one before runs; else the newest. */
function currentOf(pods: readonly Pod[]): Pod | undefined {
  const rank = (pod: Pod) => (isOver(pod) ? 0 : isLive(pod) ? 2 : 1)
  const born = (pod: Pod) => Date.parse(pod.metadata.creationTimestamp ?? '') || 0
  const [newest, before] = pods.toSorted((a, b) => rank(b) - rank(a) || born(b) - born(a))
  const isOfUse = newest !== undefined && before !== undefined && isLive(before) && runningIn(before) !== undefined
  return isOfUse && runningIn(newest) === undefined && isStarting(newest) ? before : newest
}

const isStarting = (pod: Pod): boolean =>
  ['PodPending', 'ContainerCreating'].includes(whyNot(pod, containerOf(pod), undefined, undefined).reason)

/** Why no container runs. */
type Why = { reason: Reason; message?: string }
type Container = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number]

function whyNot(pod: Pod | undefined, container: Container | undefined, deployment: Deployment | undefined, held: string | undefined): Why {
  if (held !== undefined) return { reason: 'NodeRejectedPod', message: held }
  const refused = refusalOf(deployment)
  if (refused !== undefined && (pod === undefined || isOver(pod))) return withMessage('PodRefused', refused.message)
  if (pod === undefined) return { reason: 'PodPending' }
  if (isOver(pod)) return { reason: 'NodeRejectedPod', message: sentenceOfFailure(pod) }
  if (pod.metadata.deletionTimestamp !== undefined) return { reason: 'Terminating' }
  const waiting = container?.state?.waiting
  const known = WAITING[waiting?.reason ?? '']
  if (known !== undefined) return withMessage(known, waiting?.message)
  if (waiting?.reason === 'CrashLoopBackOff' || container?.state?.terminated !== undefined)
    return whyEnded(container, waiting !== undefined)
  if (waiting !== undefined) return { reason: 'ContainerCreating' }
  const unscheduled = unschedulable(pod)
  if (unscheduled !== undefined) return withMessage('Unschedulable', unscheduled.message)
  return { reason: 'PodPending' }
}

function whyEnded(container: Container | undefined, loops: boolean): Why {
  const last = container?.state?.terminated ?? container?.lastState?.terminated
  const oomKilled = last?.reason === 'OOMKilled'
  const message = last === undefined || oomKilled ? undefined : `the container ended with exit code ${last.exitCode}`
  return withMessage(endReason({ exitCode: last?.exitCode, oomKilled }, loops), message)
}

const withMessage = (reason: Reason, message: string | undefined): Why =>
  message === undefined || message === '' ? { reason } : { reason, message }

/** e.g. `node edge-1: UnexpectedAdmissionError: Allocate failed …` */
export function sentenceOfFailure({ spec, status }: Pod): string {
  const what = [status?.reason ?? status?.phase ?? 'Failed', status?.message].filter(part => part !== undefined && part !== '').join(': ')
  return `${spec?.nodeName === undefined ? '' : `node ${spec.nodeName}: `}${what}`.slice(0, 900)
}
