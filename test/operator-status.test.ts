import test from 'ava'
import { cameraRecord, type Problem } from '../common/camera-record.ts'
import type { CameraSpec } from '../proto/camera.ts'
import { explain, REASONS, type AnyReason } from '../proto/reasons.ts'
import type { CameraState } from '../proto/state.ts'
import type { CameraStatus, Condition, Pod } from '../operator/kube/kinds.ts'
import { isWithoutRoom, reportOn } from '../operator/camera/pods.ts'
import { hold, type Rejections } from '../operator/camera/failed-pods.ts'
import { cameraStatus, isNews, transition } from '../operator/camera/status.ts'
import { cameraState, pod, podWith, runningPod, watchedCamera } from './fixtures/camera-objects.ts'

const NOW = Date.parse('2026-01-01T01:00:00Z')

type Scene = {
  spec?: Partial<CameraSpec>
  before?: CameraStatus
  pods?: Pod[]
  held?: string
  state?: CameraState | undefined
  natsAway?: boolean
  problem?: Problem
  runningMs?: number
  now?: number
  annotations?: Problem
}

function statusOf({
  spec,
  before,
  pods = [runningPod],
  held,
  state,
  natsAway = false,
  problem,
  runningMs = 60_000,
  now = NOW,
  annotations,
}: Scene): CameraStatus {
  const camera = watchedCamera(spec, before === undefined ? {} : { status: before })
  const record = cameraRecord(camera, reportOn(pods, undefined, held).state, problem)
  return cameraStatus(camera, { record, report: state && { state, ageMs: 0 }, runningMs, isConnected: !natsAway, annotations }, now)
}

const condition = (status: CameraStatus, type: string) => status.conditions?.find(each => each.type === type)
/** e.g. `Ready False ImagePullBackOff` */
const brief = (status: CameraStatus, type = 'Ready') => {
  const { status: truth, reason } = condition(status, type) ?? {}
  return `${type} ${truth} ${reason}`
}

const waiting = (reason: string, message?: string) => podWith({ state: { waiting: { reason, ...(message && { message }) } } })
const ended = (exitCode: number, reason = 'Error') => ({ terminated: { exitCode, reason } })
const crashed = (exitCode: number, reason?: string) =>
  podWith({ state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: ended(exitCode, reason), restartCount: 5 })
const unschedulable = pod(
  { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes' }] },
  { node: '' },
)
const rejected = (name = 'p') => pod({ phase: 'Failed', reason: 'UnexpectedAdmissionError', message: 'no device' }, { name })
const failing = (reason: string) => cameraState({ connection: 'waiting', reason: reason as AnyReason, message: 'said the sidecar' })

const READY: [title: string, scene: Scene, expected: string][] = [
  ['packets flow', { state: cameraState() }, 'Ready True Streaming'],
  ['suspended', { spec: { suspend: true }, pods: [] }, 'Ready False Suspended'],
  ['no pod yet', { pods: [] }, 'Ready False PodPending'],
  ['the container is being created', { pods: [waiting('ContainerCreating')] }, 'Ready False ContainerCreating'],
  ['the old pod ends', { pods: [podWith({ state: { running: {} } }, { deleted: true })] }, 'Ready False Terminating'],
  ['no node takes the pod', { pods: [unschedulable] }, 'Ready False Unschedulable'],
  ['the image is pulled for the first time', { pods: [waiting('ErrImagePull')] }, 'Ready False ImagePullBackOff'],
  ['the image can’t be pulled', { pods: [waiting('ImagePullBackOff')] }, 'Ready False ImagePullBackOff'],
  ['it crashes', { pods: [crashed(1)] }, 'Ready False CrashLoop'],
  ['it refuses its configuration', { pods: [crashed(78)] }, 'Ready False ConfigurationInvalid'],
  ['it needs too much memory', { pods: [crashed(137, 'OOMKilled')] }, 'Ready False OOMKilled'],
  ['it ended once', { pods: [podWith({ state: ended(1) })] }, 'Ready False Restarting'],
  ['the node refused the pod', { pods: [rejected()] }, 'Ready False NodeRejectedPod'],
  ['held after refusals', { pods: [], held: 'node x: no device' }, 'Ready False NodeRejectedPod'],
  ['the Deployment is refused', { problem: { reason: 'DeploymentRefused', message: 'no' } }, 'Ready False DeploymentRefused'],
  [
    'to be suspended, which is refused',
    { spec: { suspend: true }, problem: { reason: 'DeploymentRefused', message: 'no' } },
    'Ready False DeploymentRefused',
  ],
  ['just started', { runningMs: 5_000 }, 'Ready False Starting'],
  ['silent', {}, 'Ready Unknown SidecarSilent'],
  ['NATS is unreachable', { natsAway: true }, 'Ready Unknown NatsUnreachable'],
  ['connecting', { state: cameraState({ connection: 'connecting' }) }, 'Ready False Connecting'],
  ['the camera refuses the password', { state: failing('AuthFailed') }, 'Ready False AuthFailed'],
  ['a reason of a newer sidecar', { state: failing('SomethingNew') }, 'Ready False SomethingNew'],
  ['a reason that the schema would refuse', { state: failing('some thing\n') }, 'Ready False InternalError'],
  [
    'no room for the buffer',
    { state: cameraState({ buffer: { ok: false, reason: 'BufferQuotaExceeded' } }) },
    'Ready False BufferQuotaExceeded',
  ],
  [
    'nothing can be decoded',
    { state: cameraState({ decoding: { active: true, ok: false, reason: 'NoDecodableFrames' } }) },
    'Ready False NoDecodableFrames',
  ],
]
for (const [title, scene, expected] of READY) {
  test(`Ready: ${title}`, t => {
    const status = statusOf(scene)
    t.is(brief(status), expected)
    t.is(status.reason, condition(status, 'Ready')?.reason)
    t.is(status.conditions?.length, 7)
    for (const { message } of status.conditions ?? []) t.regex(message, /[.]$/)
  })
}

test('Ready: being deleted', t => {
  const camera = watchedCamera()
  camera.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
  const record = cameraRecord(camera, reportOn([], undefined, undefined).state)
  const status = cameraStatus(camera, { record, report: undefined, runningMs: 0, isConnected: false, isDeleting: true }, NOW)
  t.is(brief(status), 'Ready False Deleting')
})

test('a pod that replaces a rejected one is what counts', t => {
  t.is(brief(statusOf({ pods: [rejected('old'), runningPod], state: cameraState() })), 'Ready True Streaming')
})

test('a Deployment whose pods the cluster’s policy refuses says so', t => {
  const deployment = {
    metadata: watchedCamera().metadata,
    status: { conditions: [{ type: 'ReplicaFailure', status: 'True', message: 'violates PodSecurity "restricted:latest"' }] },
  }
  t.like(reportOn([], deployment, undefined).state, {
    reason: 'PodRefused',
    message: 'violates PodSecurity "restricted:latest"',
  })
})

const proxy = { enabled: true, urlSecretRef: { name: 's', key: 'url' } }
const source = { url: 'rtsp://192.0.2.1/main', transport: 'tcp' as const, substream: { url: 'rtsp://192.0.2.1/sub' } }
const archive = { volume: { emptyDir: {} }, segment: 'GOP', retention: '5m' }
const OTHERS: [title: string, scene: Scene, expected: string][] = [
  ['nobody asks for frames', { state: cameraState() }, 'Decoding False NoDemand'],
  ['frames are made', { state: cameraState({ decoding: { active: true, ok: true } }) }, 'Decoding True Decoding'],
  ['no connection, no frames', { state: failing('AuthFailed') }, 'Decoding False NotConnected'],
  ['just started', { runningMs: 5_000 }, 'Decoding False NotConnected'],
  ['silent', {}, 'Decoding Unknown SidecarSilent'],
  ['connected although the buffer fails', { state: cameraState({ buffer: { ok: false } }) }, 'Connected True Streaming'],
  [
    'connected although a change of the Deployment is refused',
    { problem: { reason: 'DeploymentRefused', message: 'no' }, state: cameraState() },
    'Connected True Streaming',
  ],
  ['not connected', { state: failing('ConnectionRefused') }, 'Connected False ConnectionRefused'],
  ['no proxy asked for', { state: cameraState() }, 'ProxyActive False NotConfigured'],
  ['proxy not reported', { spec: { proxy }, state: cameraState() }, 'ProxyActive Unknown NotReported'],
  ['proxy on', { spec: { proxy }, state: cameraState({ proxy: { active: true, ok: true } }) }, 'ProxyActive True Forwarding'],
  ['proxy off', { spec: { proxy }, state: cameraState({ proxy: { active: false, ok: true } }) }, 'ProxyActive False SwitchedOff'],
  [
    'proxy fails',
    { spec: { proxy }, state: cameraState({ proxy: { active: false, ok: false, reason: 'SecretNotFound' } }) },
    'ProxyActive False SecretNotFound',
  ],
  ['no substream', { state: cameraState() }, 'Substream False NotConfigured'],
  [
    'substream unused',
    { spec: { source }, state: cameraState({ substream: { connection: 'off', fps: 0 } }) },
    'Substream False SubstreamIdle',
  ],
  [
    'substream on',
    { spec: { source }, state: cameraState({ substream: { connection: 'streaming', fps: 10 } }) },
    'Substream True Streaming',
  ],
  [
    'substream failing while the main stream is fine',
    { spec: { source }, state: cameraState({ substream: { connection: 'waiting', fps: 0, reason: 'NotFound' } }) },
    'Substream False NotFound',
  ],
  ['substream of an older sidecar', { spec: { source }, state: cameraState() }, 'Substream Unknown NotReported'],
  ['archive on', { spec: { archive }, state: cameraState({ archive: { active: true, ok: true } }) }, 'Archiving True Recording'],
  [
    'archive full',
    { spec: { archive }, state: cameraState({ archive: { active: false, ok: false, reason: 'ArchiveDiskFull' } }) },
    'Archiving False ArchiveDiskFull',
  ],
  ['suspended', { spec: { archive, suspend: true }, pods: [] }, 'Archiving False Suspended'],
]
for (const [title, scene, expected] of OTHERS) {
  test(`${expected.split(' ')[0]}: ${title}`, t => t.is(brief(statusOf(scene), expected.split(' ')[0]), expected))
}

test('lastTransitionTime moves when the status changes, not when the reason does', t => {
  const first = statusOf({ state: failing('ConnectionRefused') })
  const second = statusOf({ state: failing('AuthFailed'), before: first, now: NOW + 60_000 })
  const third = statusOf({ state: cameraState(), before: second, now: NOW + 120_000 })
  const time = (status: CameraStatus) => condition(status, 'Ready')?.lastTransitionTime
  t.is(time(first), '2026-01-01T01:00:00Z')
  t.is(time(second), time(first))
  t.is(time(third), '2026-01-01T01:02:00Z')
})

test('later frames, a jittering rate and conditions of others are no news; a new rate, size, reason and the end of frames are', t => {
  const before = statusOf({ state: cameraState({ fps: 29.7 }) })
  t.is(before.fps, 30)
  const news = (state: CameraState, scene: Scene = {}) => isNews(statusOf({ state, before, now: NOW + 60_000, ...scene }), before)
  t.false(news(cameraState({ fps: 30.9, lastPacketAt: 1_700_000_060_000 })))
  const foreign = { ...before.conditions?.[0], type: 'Reviewed' } as unknown as Condition
  t.false(isNews(before, { ...before, conditions: [foreign, ...(before.conditions ?? [])] }))
  t.true(news(cameraState({ fps: 15 })))
  t.true(news(cameraState({ codec: { ...cameraState().codec!, width: 640 } })))
  t.true(news(failing('ConnectionRefused')))
  const down = statusOf({ state: failing('ConnectionRefused') })
  t.false(isNews(statusOf({ state: failing('ConnectionRefused'), before: down, now: NOW + 1 }), down))
})

test('what is known of the stream outlives the connection, except its rate', t => {
  const before = statusOf({ state: cameraState() })
  const silent = statusOf({ before })
  t.like(silent, { codec: 'h264', size: { width: 1920, height: 1080 }, lastFrameTime: '2023-11-14T22:13:20Z' })
  t.is(silent.fps, undefined)
})

test('what a hostile sidecar could say does not break the status', t => {
  const status = statusOf({ state: cameraState({ lastPacketAt: 1e300, fps: -5, message: 'x'.repeat(1_024) }) })
  t.is(status.lastFrameTime, undefined)
  t.is(status.fps, 0)
})

test('a person is told of what they should notice, and of nothing that passes', t => {
  const of = (before: Scene | undefined, after: Scene) => {
    const told = transition(before && statusOf(before), statusOf(after))
    return told && `${told.type} ${told.reason}`
  }
  t.is(of(undefined, { pods: [] }), undefined)
  t.is(of({ pods: [] }, { state: cameraState() }), 'Normal Streaming')
  t.is(of({ state: cameraState() }, { state: cameraState() }), undefined)
  t.is(of({ state: cameraState() }, { state: failing('AuthFailed') }), 'Warning AuthFailed')
  t.is(of({ state: cameraState() }, { spec: { suspend: true }, pods: [] }), 'Normal Suspended')
})

test('every message says what happened, then what to do', t => {
  t.is(
    explain('AuthFailed', 'the camera answers 401'),
    'The camera answers 401. Correct the keys username and password of the Secret that spec.source.credentialsSecretRef names. No restart is needed.',
  )
  t.is(explain('SomethingNew' as AnyReason, 'all is different'), 'All is different.')
  t.is(explain('constructor' as AnyReason), 'constructor')
  for (const [reason, { meaning, advice }] of Object.entries(REASONS)) {
    t.regex(reason, /^[A-Z][A-Za-z]+$/)
    t.regex(meaning, /^[A-Z].*[.]$/)
    t.regex(advice, /^$|^[A-Z].*[.]$/)
  }
})

test('the last exit, the restarts and the node are told to the gateway', t => {
  t.deepEqual(reportOn([crashed(137, 'OOMKilled')], undefined, undefined).state, {
    reason: 'OOMKilled',
    running: false,
    dead: false,
    exitCode: 137,
    oomKilled: true,
    restarts: 5,
    node: 'edge-1',
  })
  const running = podWith({ state: { running: {} }, lastState: ended(1), restartCount: 2 })
  t.like(reportOn([running], undefined, undefined).state, { running: true, exitCode: 1, oomKilled: false, restarts: 2 })
})

test('annotations that are not stored have a condition of their own', t => {
  const status = statusOf({ state: cameraState(), annotations: { reason: 'AnnotationsUnavailable', message: 'full' } })
  t.is(brief(status), 'Ready True Streaming')
  t.is(brief(status, 'Annotating'), 'Annotating False AnnotationsUnavailable')
  t.is(brief(statusOf({ state: cameraState() }), 'Annotating'), 'Annotating True Storing')
})

test('while a pod is replaced, the one that runs counts, until the new one runs or cannot', t => {
  const aged = (each: Pod, name: string, creationTimestamp: string, node = 'edge-1'): Pod => ({
    ...each,
    metadata: { ...each.metadata, name, uid: name, creationTimestamp },
    spec: { ...each.spec, nodeName: node },
  })
  const old = aged(runningPod, 'old', '2026-01-01T00:00:00Z', 'old-node')
  const next = (each: Pod) => [aged(each, 'new', '2026-01-01T00:30:00Z', 'new-node'), old]
  const nodeOf = (pods: Pod[]) => reportOn(pods, undefined, undefined).state
  for (const starting of [waiting('ContainerCreating'), pod({ phase: 'Pending' })])
    t.like(nodeOf(next(starting)), { running: true, node: 'old-node' })
  t.like(nodeOf(next(runningPod)), { running: true, node: 'new-node' })
  t.like(nodeOf(next(waiting('ImagePullBackOff'))), { running: false, reason: 'ImagePullBackOff', node: 'new-node' })
  t.true(isWithoutRoom(next(unschedulable), undefined))
  t.false(isWithoutRoom([unschedulable], undefined))
  t.false(isWithoutRoom(next(runningPod), undefined))
  const overQuota = { status: { conditions: [{ type: 'ReplicaFailure', status: 'True' }] }, metadata: watchedCamera().metadata }
  t.true(isWithoutRoom([old], overQuota))
  t.false(isWithoutRoom([], overQuota))
})

test('one rejected pod is removed; more of them hold the camera for a while, which grows', t => {
  let now = 0
  let memory: Rejections | undefined
  const step = (pods: Pod[]) => {
    const verdict = hold(pods, memory, now, () => 1)
    memory = verdict.rejections
    return { removed: verdict.remove.length, againInMs: verdict.againInMs, held: verdict.held !== undefined }
  }
  t.deepEqual(step([rejected('a')]), { removed: 1, againInMs: undefined, held: false })
  t.deepEqual(step([rejected('a')]), { removed: 1, againInMs: undefined, held: false }) // the same, not yet gone
  t.deepEqual(step([rejected('b'), runningPod]), { removed: 1, againInMs: 4_000, held: true })
  t.deepEqual(step([rejected('straggler')]), { removed: 1, againInMs: 4_000, held: true })
  now += 4_000
  t.deepEqual(step([]), { removed: 0, againInMs: undefined, held: false })
  const waits = Array.from({ length: 9 }, (_, i) => {
    const { againInMs = 0 } = step([rejected(`c${i}`)])
    now += againInMs
    return againInMs
  })
  t.deepEqual(waits.slice(0, 3), [8_000, 16_000, 32_000])
  t.is(waits.at(-1), 300_000)
  now += 600_001
  t.deepEqual(step([rejected('d')]), { removed: 1, againInMs: undefined, held: false })
})
