// What the gateway makes of records and states, as values: no NATS, no process.
import test from 'ava'
import pino from 'pino'
import { Registry } from 'prom-client'
import { settleMs } from '../common/nats/buckets.ts'
import { Cameras } from '../gateway/cameras.ts'
import { createMetrics } from '../gateway/metrics.ts'
import { listStream } from '../gateway/rpc/list-streams.ts'
import { Refusal } from '../gateway/refusal.ts'
import { encodeState, type CameraRecord, type CameraState } from '../proto/state.ts'
import { cameraKey } from '../proto/subjects.ts'
import { cameraRecord, cameraState, type FakeCamera } from './fixtures/cameras.ts'

const DOOR: FakeCamera = { namespace: 'default', name: 'door', uid: 'uid-door' }
const POD = { running: true, dead: false, exitCode: 0, oomKilled: false, restarts: 0 }
const NOW = 1_000_000

function listed(
  record: Partial<CameraRecord>,
  state?: Partial<CameraState>,
  { silentMs = 0, isConnected = true, runningMs = 60_000 } = {},
) {
  const report = state === undefined ? undefined : { state: cameraState(DOOR, state), receivedMs: NOW - silentMs }
  const { namespace, name, uid } = DOOR
  const known = { deviceId: name, ref: { namespace, name }, uid, record: cameraRecord(DOOR, record), report, runningSince: NOW - runningMs }
  return listStream(known, 'door', { isConnected, problem: undefined }, NOW)
}

const REFUSED = { connection: 'waiting', reason: 'ConnectionRefused', message: 'nobody listens on cam:554', pid: 0 } as const

for (const [title, stream, expected] of [
  [
    'packets flow',
    listed({}, {}),
    {
      status: 'running',
      running: true,
      paused: false,
      restarting: false,
      health_status: 'healthy',
      error: '',
      pid: 4711,
      failing_streak: 0,
    },
  ],
  [
    'suspended',
    listed({ suspended: true }, {}),
    { status: 'stopped', running: false, paused: true, restarting: false, error: /^Suspended: The camera is stopped/ },
  ],
  [
    'being retried',
    listed({}, { ...REFUSED, failingStreak: 3 }),
    {
      ...{ status: 'restarting', running: false, restarting: true, failing_streak: 3, health_status: 'unhealthy', pid: 0 },
      error: /^ConnectionRefused: Nobody listens on cam:554\. Check the address/,
    },
  ],
  ['ten attempts have failed', listed({}, { ...REFUSED, failingStreak: 10 }), { status: 'failed', restarting: false, failing_streak: 10 }],
  [
    'a wrong password needs a person',
    listed({}, { connection: 'waiting', reason: 'AuthFailed', failingStreak: 1 }),
    { status: 'failed', error: /^AuthFailed: The camera rejects/ },
  ],
  [
    'the first attempt runs',
    listed({}, { connection: 'connecting' }),
    { status: 'restarting', health_status: 'starting', error: 'Connecting: Connecting to the camera.' },
  ],
  [
    'no word from the sidecar yet',
    listed({}, undefined, { runningMs: 5_000 }),
    { status: 'restarting', health_status: 'starting', pid: 0, error: 'Starting: The sidecar has started and has not reported yet.' },
  ],
  [
    'the sidecar fell silent',
    listed({}, {}, { silentMs: 16_000 }),
    { status: 'restarting', health_status: 'unhealthy', pid: 0, error: /^SidecarSilent: .* no heartbeat\./ },
  ],
  ['a heartbeat of 15 s is believed', listed({}, {}, { silentMs: 15_000 }), { status: 'running' }],
  ['NATS is unreachable', listed({}, {}, { silentMs: 60_000, isConnected: false }), { status: 'restarting', running: false, pid: 0 }],
  [
    'the image can’t be pulled',
    listed({ pod: { ...POD, running: false, reason: 'ImagePullBackOff', message: 'no such image' } }),
    { status: 'failed', error: /^ImagePullBackOff: No such image\. Correct spec\.pod\.image/, health_status: 'unhealthy' },
  ],
  [
    'out of memory again and again',
    listed({ pod: { ...POD, running: false, reason: 'OOMKilled', exitCode: 137, oomKilled: true, restarts: 4 } }),
    { status: 'restarting', oomkilled: true, exit_code: 137, dead: false, failing_streak: 4, error: /^OOMKilled: / },
  ],
  [
    'restarts of a pod that is wrong count as failed attempts',
    listed({ pod: { ...POD, running: false, reason: 'CrashLoop', restarts: 8 } }, { ...REFUSED, failingStreak: 2 }),
    { status: 'failed', failing_streak: 10 },
  ],
  [
    'restarts of long ago do not count',
    listed({ pod: { ...POD, restarts: 50 } }, { ...REFUSED, failingStreak: 1 }),
    { status: 'restarting', failing_streak: 1 },
  ],
  [
    'terminated for good',
    listed({ pod: { ...POD, running: false, dead: true, exitCode: 78 } }),
    { status: 'failed', dead: true, exit_code: 78 },
  ],
  [
    'packets without a picture',
    listed({}, { decoding: { active: true, ok: false, reason: 'NoDecodableFrames', message: 'nothing in 20 s' } }),
    { status: 'running', running: true, health_status: 'unhealthy', error: /^NoDecodableFrames: Nothing in 20 s\. Check/ },
  ],
  [
    'a codec nobody decodes',
    listed({}, { decoding: { active: false, ok: false, reason: 'CodecUnsupported' } }),
    { status: 'failed', running: false, error: /^CodecUnsupported: / },
  ],
] as const) {
  test(`ListStreams: ${title}`, t => {
    const { error, ...rest } = { error: undefined, ...expected }
    t.like(stream, rest)
    if (error instanceof RegExp) t.regex(stream.error ?? '', error)
    else if (error !== undefined) t.is(stream.error, error)
  })
}

function world() {
  const gone: string[] = []
  const metrics = createMetrics(new Registry())
  const cameras = new Cameras('default', metrics, pino({ enabled: false }), uid => gone.push(uid))
  const put = (camera: FakeCamera) => cameras.setRecord(cameraKey(camera), encodeState(cameraRecord(camera)))
  return { cameras, gone, put, metrics }
}

const kindOf = (act: () => unknown): string | undefined => {
  try {
    act()
    return undefined
  } catch (error) {
    return error instanceof Refusal ? error.kind : String(error)
  }
}

test('before the list is there an unknown camera may yet come, and one that is known already is served', t => {
  const { cameras, put } = world()
  t.is(
    kindOf(() => cameras.resolve('door')),
    'unavailable',
  )
  t.is(
    kindOf(() => cameras.list()),
    'unavailable',
  )
  put(DOOR)
  t.is(cameras.resolve('door').uid, DOOR.uid)
  cameras.complete(new Set([cameraKey(DOOR)]))
  t.is(
    kindOf(() => cameras.resolve('nowhere')),
    'notFound',
  )
})

test('before the list is there a bare name is not taken for another namespace’s camera', t => {
  const { cameras, put } = world()
  put({ ...DOOR, namespace: 'farm' })
  t.is(
    kindOf(() => cameras.resolve('door')),
    'unavailable',
  )
  t.is(cameras.resolve('farm/door').uid, DOOR.uid)
})

test('cameras that a new list no longer has are gone', t => {
  const { cameras, put, gone } = world()
  put(DOOR)
  put({ ...DOOR, name: 'yard', uid: 'uid-yard' })
  cameras.complete(new Set(['default.yard']))
  t.deepEqual(gone, [DOOR.uid])
  t.deepEqual(
    cameras.list().map(({ uid }) => uid),
    ['uid-yard'],
  )
})

test('a state of another uid is not the camera’s', t => {
  const { cameras, put } = world()
  put(DOOR)
  cameras.setReport(cameraKey(DOOR), encodeState(cameraState({ ...DOOR, uid: 'uid-old' })), 0)
  t.is(cameras.resolve('default/door').report, undefined)
  cameras.setReport(cameraKey(DOOR), encodeState(cameraState(DOOR)), 0)
  t.is(cameras.resolve('default/door').report?.state.uid, DOOR.uid)
})

test('a pod has run since it was first seen to, and since its last restart', t => {
  const { cameras } = world()
  const put = (pod: Partial<CameraRecord['pod']>) =>
    cameras.setRecord(cameraKey(DOOR), encodeState(cameraRecord(DOOR, { pod: { ...POD, ...pod } })))
  const since = () => cameras.resolve('default/door').runningSince
  put({ running: false })
  t.is(since(), undefined)
  put({})
  const first = since()
  t.true((first ?? 0) > 0)
  put({ node: 'edge-1' })
  t.is(since(), first)
  put({ restarts: 1 })
  t.true((since() ?? 0) > (first ?? Infinity))
})

test('the clocks’ skew is told, and goes with the camera', async t => {
  const { cameras, put, metrics } = world()
  put(DOOR)
  cameras.setReport(cameraKey(DOOR), encodeState(cameraState(DOOR, { at: Date.now() - 60_000 })), 0)
  const [skew] = (await metrics.clockSkew.get()).values
  t.true(Math.abs((skew?.value ?? 0) - 60) < 5)
  cameras.setRecord(cameraKey(DOOR), undefined)
  t.deepEqual((await metrics.clockSkew.get()).values, [])
})

test('what ends after its camera leaves no series of it', async t => {
  const { cameras, put, metrics } = world()
  put(DOOR)
  cameras.setRecord(cameraKey(DOOR), undefined)
  for (const camera of ['default/door', 'default/yard']) {
    metrics.emptyServed.inc({ camera })
    metrics.delivery.observe({ camera }, 1)
    metrics.framesDropped.inc({ camera, reason: 'late' })
  }
  await metrics.forgetOthersThan(new Set(['default/yard']))
  for (const metric of [metrics.emptyServed, metrics.delivery, metrics.framesDropped]) {
    const { values } = await metric.get()
    t.deepEqual([...new Set(values.map(({ labels }) => labels.camera))], ['default/yard'])
  }
})

test('what comes to a bucket that has just ceased to be young is not waited for a negative time, of which Node would complain', t => {
  t.is(settleMs({}, new Set(['default.door']), -0.4), 0)
  t.is(settleMs({}, new Set(), 600), 600)
})
