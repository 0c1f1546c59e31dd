// How a camera is, as values: what kubectl, ListStreams and local mode's table say of it.
import test from 'ava'
import { CONDITION_TYPES, judge, SILENT_MS, START_MS, type Known } from '../proto/health.ts'
import { REASONS, severityOf, type AnyReason, type Reason } from '../proto/reasons.ts'
import type { CameraRecord, CameraState } from '../proto/state.ts'
import { cameraRecord, cameraState } from './fixtures/cameras.ts'

const DOOR = { namespace: 'default', name: 'door', uid: 'uid-door' }
const POD = { running: true, dead: false, exitCode: 0, oomKilled: false, restarts: 0 }
const DOWN = { ...POD, running: false }

type Scene = Partial<Omit<Known, 'record' | 'report'>> & { record?: Partial<CameraRecord>; state?: Partial<CameraState>; ageMs?: number }

function judged({ record, state, ageMs = 0, ...rest }: Scene) {
  const report = state === undefined ? undefined : { state: cameraState(DOOR, state), ageMs }
  return judge({ record: cameraRecord(DOOR, record), report, runningMs: 60_000, isConnected: true, ...rest })
}

const waiting = (reason: Reason, failingStreak = 1): Partial<CameraState> => ({ connection: 'waiting', reason, failingStreak, pid: 0 })
const broken = (reason: Reason) => ({ active: false, ok: false, reason })
const forwarding = { proxy: { hasTarget: true, enabled: true } }

/** The Ready condition, then ListStreams' status and health. */
const CASES: [title: string, scene: Scene, expected: string][] = [
  ['packets arrive', { state: {} }, 'True Streaming, running healthy'],
  ['suspended', { record: { suspended: true } }, 'False Suspended, stopped unhealthy'],
  ['being deleted', { isDeleting: true, state: {} }, 'False Deleting, running unhealthy'],
  ['no pod yet', { record: { pod: DOWN } }, 'False PodPending, restarting starting'],
  [
    'the pod is being created',
    { record: { pod: { ...DOWN, reason: 'ContainerCreating' } } },
    'False ContainerCreating, restarting starting',
  ],
  ['the image cannot be pulled', { record: { pod: { ...DOWN, reason: 'ImagePullBackOff' } } }, 'False ImagePullBackOff, failed unhealthy'],
  ['the container was restarted once', { record: { pod: { ...DOWN, reason: 'Restarting' } } }, 'False Restarting, restarting unhealthy'],
  [
    'the configuration is invalid',
    { record: { pod: { ...DOWN, reason: 'ConfigurationInvalid' } } },
    'False ConfigurationInvalid, failed unhealthy',
  ],
  ['ended for good', { record: { pod: { ...DOWN, dead: true } } }, 'False CrashLoop, failed unhealthy'],
  [
    'the pod ended a moment after its last heartbeat',
    { record: { pod: { ...DOWN, reason: 'OOMKilled' } }, state: {} },
    'False OOMKilled, restarting unhealthy',
  ],
  ['just started', { runningMs: START_MS - 1 }, 'False Starting, restarting starting'],
  ['never reported', { runningMs: START_MS }, 'Unknown SidecarSilent, restarting unhealthy'],
  ['the last heartbeat still counts', { state: {}, ageMs: SILENT_MS }, 'True Streaming, running healthy'],
  ['the last heartbeat is too old', { state: {}, ageMs: SILENT_MS + 1 }, 'Unknown SidecarSilent, restarting unhealthy'],
  ['an old report of the process before', { state: {}, ageMs: 60_000, runningMs: 2_000 }, 'False Starting, restarting starting'],
  ['a report of a deleted namesake', { state: { uid: 'another' } }, 'Unknown SidecarSilent, restarting unhealthy'],
  ['NATS is unreachable', { state: {}, ageMs: 60_000, isConnected: false }, 'Unknown NatsUnreachable, restarting unhealthy'],
  ['NATS became unreachable a moment ago', { state: {}, isConnected: false }, 'True Streaming, running healthy'],
  ['connecting', { state: { connection: 'connecting' } }, 'False Connecting, restarting starting'],
  ['the camera is down', { state: waiting('ConnectionRefused', 9) }, 'False ConnectionRefused, restarting unhealthy'],
  ['the camera is down for long', { state: waiting('ConnectionRefused', 10) }, 'False ConnectionRefused, failed unhealthy'],
  ['a wrong password', { state: waiting('AuthFailed') }, 'False AuthFailed, failed unhealthy'],
  ['no video', { state: waiting('NoVideoTrack') }, 'False NoVideoTrack, failed unhealthy'],
  ['another pod holds the lease', { state: waiting('WaitingForLease', 0) }, 'False WaitingForLease, restarting unhealthy'],
  ['no decodable frame', { state: { decoding: broken('NoDecodableFrames') } }, 'False NoDecodableFrames, running unhealthy'],
  ['frames are too large to decode', { state: { decoding: broken('ResolutionTooLarge') } }, 'False ResolutionTooLarge, failed unhealthy'],
  ['the buffer fails', { state: { buffer: broken('BufferQuotaExceeded') } }, 'False BufferQuotaExceeded, running unhealthy'],
  [
    'a change of the Deployment is rejected while frames flow',
    { record: { problem: { reason: 'DeploymentRefused', message: 'no' } }, state: {} },
    'False DeploymentRefused, running unhealthy',
  ],
  [
    'the first Deployment is rejected',
    { record: { problem: { reason: 'DeploymentRefused', message: 'no' }, pod: DOWN } },
    'False DeploymentRefused, failed unhealthy',
  ],
  ['the archive fails', { record: { archive: true }, state: { archive: broken('ArchiveDiskFull') } }, 'True Streaming, running unhealthy'],
  ['forwarding fails', { record: forwarding, state: { proxy: broken('ForwardingRefused') } }, 'True Streaming, running unhealthy'],
  ['forwarding connects', { record: forwarding, state: { proxy: broken('ForwardingConnecting') } }, 'True Streaming, running healthy'],
  ['forwarding is off', { record: forwarding, state: { proxy: { active: false, ok: true } } }, 'True Streaming, running healthy'],
]
for (const [title, scene, expected] of CASES) {
  test(`${title}: ${expected}`, t => {
    const { conditions, status, health, cause, error } = judged(scene)
    t.is(`${conditions.Ready.status} ${conditions.Ready.reason}, ${status} ${health}`, expected)
    t.deepEqual(Object.keys(conditions), CONDITION_TYPES)
    t.is(error === '', cause === undefined)
    t.is(health === 'healthy', cause === undefined)
    if (conditions.Ready.status !== 'True') t.true(error.startsWith(`${conditions.Ready.reason}: `))
  })
}

test('what fails besides is named, and severe as its reason is', t => {
  t.like(judged({ record: { archive: true }, state: { archive: broken('ArchiveDiskFull') } }), {
    error: `ArchiveDiskFull: ${REASONS.ArchiveDiskFull.meaning} ${REASONS.ArchiveDiskFull.advice}`,
    severity: 'needs-a-person',
  })
  t.like(judged({ state: {} }), { error: '', severity: 'ok' })
})

test('every reason that needs a person is failed at the first attempt, and no other is', t => {
  for (const reason of Object.keys(REASONS) as Reason[]) {
    t.is(judged({ state: waiting(reason) }).status === 'failed', severityOf(reason) === 'needs-a-person', reason)
  }
})

test('a reason of a newer sidecar stands as it is, and one that the Camera’s schema rejects does not', t => {
  const reason = (text: string) => judged({ state: { ...waiting('NotFound'), reason: text as AnyReason } }).conditions.Ready.reason
  t.is(reason('SomethingNew'), 'SomethingNew' as AnyReason)
  t.is(reason('some thing\n'), 'InternalError')
})

test('a pod’s restarts count as failed attempts while it does not run', t => {
  const streak = (pod: CameraRecord['pod'], state?: Partial<CameraState>) =>
    judged({ record: { pod }, ...(state && { state }) }).failingStreak
  t.is(streak({ ...DOWN, restarts: 4 }), 4)
  t.is(streak({ ...DOWN, restarts: 4 }, waiting('ConnectionRefused', 2)), 6)
  t.is(streak({ ...POD, restarts: 50 }, waiting('ConnectionRefused', 2)), 2)
})
