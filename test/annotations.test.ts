// Annotate: validated, stored, acknowledged. What happens to annotations then: delivery.test.ts.
import { status } from '@grpc/grpc-js'
import test from 'ava'
import { connect } from 'nats'
import { readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { problemAt, cloudJson, decodeAnnotation, type Annotation } from '../gateway/annotations/annotation.ts'
import { readConfig } from '../gateway/config.ts'
import type { AnnotateRequest } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/AnnotateRequest.ts'
import { frameId } from '../proto/frame-id.ts'
import { GatewayProblems } from '../operator/camera/gateway-problems.ts'
import { ANNOTATION_STREAM } from '../proto/subjects.ts'
import { annotate, annotation, serialized, stored } from './fixtures/annotations.ts'
import { startCameras, type FakeCamera } from './fixtures/cameras.ts'
import { startCloud } from './fixtures/cloud.ts'
import { failure, grpcClient, startGateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { freePort } from './fixtures/ports.ts'
import { until } from './fixtures/wait.ts'

const NOW = Date.now()
const DOOR: FakeCamera = { namespace: 'default', name: 'door', uid: 'uid-door' }
const DAY_MS = 86_400_000
const decoded = (request: AnnotateRequest): Annotation => decodeAnnotation(serialized(request))
const points = (count: number) => Array.from({ length: count }, () => ({ x: 1, y: 2, z: 3 }))

const REFUSED: [string, Partial<AnnotateRequest>, RegExp][] = [
  ['no device_name', { device_name: '' }, /^device_name is required$/],
  ['no type', { type: '' }, /^type is required$/],
  ['no start', { start_timestamp: 0 }, /^start_timestamp is required$/],
  ['a start in seconds', { start_timestamp: Math.round(NOW / 1000) }, /^start_timestamp .* within 7 days/],
  ['a start 8 days ago', { start_timestamp: NOW - 8 * DAY_MS }, /^start_timestamp /],
  ['a start in 8 days', { start_timestamp: NOW + 8 * DAY_MS }, /^start_timestamp /],
  ['a negative start', { start_timestamp: -1 }, /^start_timestamp /],
  ['an end before the start', { end_timestamp: NOW - 1 }, /^end_timestamp /],
  ['confidence NaN', { confidence: NaN }, /^confidence /],
  ['confidence 1.01', { confidence: 1.01 }, /^confidence /],
  ['confidence -0.01', { confidence: -0.01 }, /^confidence /],
  ['latitude 91', { location: { lat: 91, lon: 0 } }, /^location\.lat /],
  ['latitude NaN', { location: { lat: NaN, lon: 0 } }, /^location\.lat /],
  ['longitude -181', { location: { lat: 0, lon: -181 } }, /^location\.lon /],
  ['10,001 mask points', { mask: points(10_001) }, /^mask must have at most 10000 points$/],
  ['an infinite mask point', { mask: [{ x: Infinity, y: 0, z: 0 }] }, /^mask /],
  ['a coordinate that is no number', { object_coordinate: { x: 0, y: NaN, z: 0 } }, /^object_coordinate /],
  ['an infinite signature', { object_signature: [1, -Infinity] }, /^object_signature /],
]
for (const [what, change, problem] of REFUSED) {
  test(`${what} is a problem of its field`, t => {
    t.regex(problemAt(decoded(annotation({ start_timestamp: NOW, ...change })), NOW) ?? 'none', problem)
  })
}

const ACCEPTED: [string, Partial<AnnotateRequest>][] = [
  ['the least', {}],
  ['a start 7 days ago', { start_timestamp: NOW - 7 * DAY_MS }],
  ['an end at the start', { end_timestamp: NOW }],
  ['confidence 1', { confidence: 1 }],
  ['the poles', { location: { lat: -90, lon: 180 } }],
  ['10,000 mask points', { mask: points(10_000) }],
  ['any device name', { device_name: 'Front Door / 2. OG *>' }],
]
for (const [what, change] of ACCEPTED) {
  test(`${what} is no problem`, t => {
    t.is(problemAt(decoded(annotation({ start_timestamp: NOW, ...change })), NOW), undefined)
  })
}

test('the cloud gets the names of the proto, one of them misspelt, every digit, and no defaults', t => {
  const full = decoded({
    ...{ device_name: 'door', remote_stream_id: 'r', type: 'exit', start_timestamp: NOW, end_timestamp: NOW + 1, object_type: 'car' },
    ...{ object_id: 'o', object_tracking_id: 't', confidence: 0.75, object_bouding_box: { top: 1, left: 0, width: 3, height: 4 } },
    ...{
      location: { lat: 1.5, lon: 0 },
      object_coordinate: { x: 1, y: 0, z: -2.5 },
      mask: [{ x: 1, y: 2, z: 0 }],
      object_signature: [0, 1e-9],
    },
    ...{ ml_model: 'm', ml_model_version: '2', width: 640, height: 480, is_keyframe: true, video_type: 'live "ü"', offset_timestamp: 5 },
    ...{ offset_duration: 6, offset_frame_id: '9007199254740993', offset_packet_id: -8, custom_meta_1: 'a', custom_meta_5: 'e' },
  })
  const json = cloudJson(full, 'id-1')
  t.true(json.includes('"offset_frame_id":9007199254740993,'))
  t.deepEqual(JSON.parse(json.replace('9007199254740993', '7')), {
    ...{ device_name: 'door', remote_stream_id: 'r', type: 'exit', start_timestamp: NOW, end_timestamp: NOW + 1, object_type: 'car' },
    ...{ object_id: 'o', object_tracking_id: 't', confidence: 0.75, object_bouding_box: { top: 1, left: 0, width: 3, height: 4 } },
    ...{
      location: { lat: 1.5, lon: 0 },
      object_coordinate: { x: 1, y: 0, z: -2.5 },
      mask: [{ x: 1, y: 2, z: 0 }],
      object_signature: [0, 1e-9],
    },
    ...{ ml_model: 'm', ml_model_version: '2', width: 640, height: 480, is_keyrame: true, video_type: 'live "ü"', offset_timestamp: 5 },
    ...{ offset_duration: 6, offset_frame_id: 7, offset_packet_id: -8, custom_meta_1: 'a', custom_meta_5: 'e', idempotency_key: 'id-1' },
  })
  const least = JSON.parse(cloudJson(decoded(annotation({ start_timestamp: NOW })), 'id-2')) as unknown
  t.deepEqual(least, { device_name: 'door', type: 'moving', start_timestamp: NOW, idempotency_key: 'id-2' })
  const zero = JSON.parse(cloudJson(decoded(annotation({ object_id: '0', offset_packet_id: 0 })), 'id-3')) as Record<string, unknown>
  t.is(zero['object_id'], '0', 'a text is there, whatever it says')
  t.false('offset_packet_id' in zero)
})

test('the id of the frame that an annotation is about is stored with it, and any other text is refused', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [{ namespace: 'default', name: 'door', uid: 'uid-door' }])
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const id = frameId({ epoch: NOW, keyframe: 3, index: 14 })
  await annotate(client, annotation(), undefined, undefined, id)
  await annotate(client, annotation())
  const [about, other] = await stored(nats, ANNOTATION_STREAM)
  t.is(about?.header.get('Chrys-Frame-Id'), id)
  t.false(other?.header.has('Chrys-Frame-Id'))
  for (const bad of ['', 'x', `${id} x`, `${id}-1`, '01-1-1']) {
    const details = 'frame-id must be the id of a frame, as FramesService gives it'
    t.deepEqual(await failure(annotate(client, annotation(), undefined, undefined, bad)), { code: status.INVALID_ARGUMENT, details })
  }
})

test('an annotation is stored as it came, before it is acknowledged, on its camera’s subject', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [
    { namespace: 'default', name: 'door', uid: 'uid-door' },
    { namespace: 'yard', name: 'gate', uid: 'uid-gate' },
  ])
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const nc = await connect({ servers: nats.url })
  t.teardown(() => nc.close())
  const heard: string[] = []
  nc.subscribe('chrys.annotations.>', { callback: (_, message) => heard.push(message.subject) })
  await nc.flush()

  const first = annotation({ remote_stream_id: 'remote', mask: [{ x: 1, y: 2, z: 3 }] })
  t.deepEqual(await annotate(client, first, 'key-1'), {
    ...{ device_name: 'door', remote_stream_id: 'remote', type: 'moving', start_timestamp: Number(first.start_timestamp) },
  })
  await annotate(client, annotation({ device_name: 'yard/gate' }))
  await annotate(client, annotation({ device_name: 'gate' }))
  await annotate(client, annotation({ device_name: 'Front Door *>' }))
  const messages = await stored(nats, ANNOTATION_STREAM)
  const subjects = [
    'chrys.annotations.default.door',
    'chrys.annotations.yard.gate',
    'chrys.annotations.yard.gate',
    'chrys.annotations.other',
  ]
  t.deepEqual(
    messages.map(({ subject }) => subject),
    subjects,
  )
  t.deepEqual(Buffer.from(messages[0]?.data ?? []), serialized(first))
  t.is(messages[0]?.header.get('Nats-Msg-Id'), 'key-1')
  t.regex(messages[1]?.header.get('Nats-Msg-Id') ?? '', /^[0-9a-f-]{36}$/)
  await until(() => heard.length === 4, { what: 'the subscriber’s copies' })
  t.deepEqual(heard, subjects)

  // Again with the same key: acknowledged, not stored.
  await annotate(client, first, 'key-1')
  t.is((await stored(nats, ANNOTATION_STREAM)).length, 4)
  t.is(await gateway.metric('chrysalis_annotations_accepted_total'), 4)
  t.is(await gateway.metric('chrysalis_annotations_repeated_total'), 1)

  for (const [what, change, problem] of REFUSED) {
    const { code, details } = await failure(annotate(client, annotation(change)))
    t.is(code, status.INVALID_ARGUMENT, what)
    t.regex(details, problem, what)
  }
  for (const key of ['x'.repeat(129), 'with space']) {
    const { code, details } = await failure(annotate(client, annotation(), key))
    t.is(code, status.INVALID_ARGUMENT)
    t.regex(details, /^idempotency-key must be 1 to 128 visible ASCII characters$/)
  }
  t.is((await stored(nats, ANNOTATION_STREAM)).length, 4)
  await until(async () => (await gateway.metric('chrysalis_annotations_queued')) === 4, { what: 'the gauge of the queue' })
})

test('a full queue refuses what is new where annotations are delivered, and lets go of the oldest where they are not', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url)
  await using cloud = await startCloud()
  cloud.answer(() => ({ status: 503 }))
  const max = { CHRYS_ANNOTATION_QUEUE_MAX: '20' }
  {
    await using gateway = await startGateway(nats.url, { ...cloud.env, ...max })
    await until(() => gateway.ready(), { what: 'the gateway to be ready' })
    await using client = grpcClient(gateway.port)
    t.true(
      (await gateway.metrics()).includes('chrysalis_annotations_unstored_total{reason="full"} 0'),
      'the first one would be no increase',
    )
    for (let i = 0; i < 20; i++) await annotate(client, annotation(), `kept-${i}`)
    t.deepEqual(await failure(annotate(client, annotation(), 'one-more')), {
      code: status.RESOURCE_EXHAUSTED,
      details: 'annotation queue full',
    })
    t.is(await gateway.metric('chrysalis_annotations_unstored_total', 'full'), 1)
    await annotate(client, annotation(), 'kept-3') // is there already
    const ids = (await stored(nats, ANNOTATION_STREAM)).map(({ header }) => header.get('Nats-Msg-Id'))
    t.deepEqual(
      ids,
      Array.from({ length: 20 }, (_, i) => `kept-${i}`),
    )
    await gateway.stop()
  }
  await using gateway = await startGateway(nats.url, max)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  // The stream changes a moment after the start.
  await until(async () => annotate(client, annotation(), 'newest').then(() => true), { what: 'room for the newest' })
  const ids = (await stored(nats, ANNOTATION_STREAM)).map(({ header }) => header.get('Nats-Msg-Id'))
  t.is(ids.length, 20)
  t.is(ids[0], 'kept-1')
  t.is(ids.at(-1), 'newest')
})

test('a queue that is full in bytes is full', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url)
  await using cloud = await startCloud()
  cloud.answer(() => ({ status: 503 }))
  await using gateway = await startGateway(nats.url, { ...cloud.env, CHRYS_ANNOTATION_QUEUE_MAX_BYTES: '64Ki' })
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const large = annotation({ custom_meta_1: 'x'.repeat(20_000) })
  for (let i = 0; i < 3; i++) await annotate(client, large)
  t.is((await failure(annotate(client, large))).code, status.RESOURCE_EXHAUSTED)
})

test('where JetStream has no room for the queue nothing is acknowledged, and the answer says why', async t => {
  await using nats = await startNats({ jetstreamLimits: { file: 64 * 2 ** 20 } })
  await using _cameras = await startCameras(nats.url)
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const { code, details } = await failure(annotate(client, annotation()))
  t.is(code, status.UNAVAILABLE)
  t.regex(details, /^the annotation could not be stored: .*(insufficient|resources|exceed)/i)
  t.regex(gateway.log(), /cannot create or update the annotation queue/)
})

test('while NATS is unreachable annotations are refused at once, and taken when it is back', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url)
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  await annotate(client, annotation(), 'before')
  await nats.kill()
  await until(async () => (await gateway.metric('chrysalis_nats_connected')) === 0, { what: 'the gateway to miss NATS' })
  const startMs = performance.now()
  const { code, details } = await failure(annotate(client, annotation(), 'during'))
  t.is(code, status.UNAVAILABLE)
  t.regex(details, /NATS is unreachable/)
  t.true(performance.now() - startMs < 3_000)
  await nats.restart()
  await until(async () => annotate(client, annotation(), 'after').then(() => true), { what: 'an annotation to be taken' })
  const ids = (await stored(nats, ANNOTATION_STREAM)).map(({ header }) => header.get('Nats-Msg-Id'))
  t.deepEqual(ids, ['before', 'after'])
})

test('while NATS answers nothing an annotation is tried again under its one id, and stored once', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url)
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  await annotate(client, annotation(), 'before')
  nats.stop()
  await until(async () => / T /.test(await readFile(`/proc/${nats.pid}/stat`, 'utf8')), { what: 'nats-server to stand still' })
  const startMs = performance.now()
  const soon = await failure(annotate(client, annotation(), 'gave-up', 4_000))
  t.is(soon.code, status.DEADLINE_EXCEEDED)
  t.true(performance.now() - startMs < 6_000)
  const patient = annotate(client, annotation(), 'patient')
  setTimeout(() => nats.cont(), 4_000)
  await patient
  const ids = (await stored(nats, ANNOTATION_STREAM)).map(({ header }) => header.get('Nats-Msg-Id'))
  t.is(ids.filter(id => id === 'patient').length, 1)
  t.true(ids.filter(id => id === 'gave-up').length <= 1)
})

test('before NATS was ever reached annotations are refused', async t => {
  await using gateway = await startGateway(`nats://127.0.0.1:${await freePort()}`)
  await using client = grpcClient(gateway.port)
  t.is((await failure(annotate(client, annotation()))).code, status.UNAVAILABLE)
})

const ENV = { CHRYS_NATS_URL: 'nats://127.0.0.1:4222' }
const BAD_CONFIGURATIONS: [string, Record<string, string>, RegExp][] = [
  ['no URL', { CHRYS_CLOUD_API_URL: 'cloud' }, /CHRYS_CLOUD_API_URL: must be a URL/],
  ['a URL in the clear', { CHRYS_CLOUD_ANNOTATIONS_URL: 'http://cloud.example/a' }, /CHRYS_CLOUD_ANNOTATIONS_URL: must begin with https/],
  ['a password in a URL', { CHRYS_CLOUD_API_URL: 'https://a:b@cloud.example' }, /CHRYS_CLOUD_API_URL: must hold no user or password/],
  [
    'a URL without a key',
    { CHRYS_CLOUD_API_URL: 'https://cloud.example' },
    /CHRYS_CLOUD_KEY_FILE: is required.*CHRYS_CLOUD_SECRET_FILE: is required/,
  ],
  ['a key that cannot be read', { CHRYS_CLOUD_KEY_FILE: '/nonexistent' }, /CHRYS_CLOUD_KEY_FILE: \/nonexistent is not readable/],
  ['no room', { CHRYS_ANNOTATION_QUEUE_MAX: '0' }, /CHRYS_ANNOTATION_QUEUE_MAX: must be/],
]
for (const [what, env, problem] of BAD_CONFIGURATIONS) {
  test(`${what} is a bad configuration`, t => {
    const error = t.throws(() => readConfig({ ...ENV, ...env }))
    t.regex(error?.message ?? '', problem)
    t.notRegex(error?.message ?? '', /a:b/)
  })
}

test('http is allowed to this machine itself', t => {
  const files = { CHRYS_CLOUD_KEY_FILE: '/dev/null', CHRYS_CLOUD_SECRET_FILE: '/dev/null' }
  for (const host of ['127.0.0.1:1', '[::1]:1', 'localhost']) {
    t.is(readConfig({ ...ENV, ...files, CHRYS_CLOUD_API_URL: `http://${host}/` }).cloud.apiUrl, `http://${host}`)
  }
})

test('what a damaged store lost of acknowledged annotations is counted and reported, and no camera is healthy then', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [DOOR])
  await using cloud = await startCloud()
  cloud.answer(() => ({ status: 503 }))
  await using gateway = await startGateway(nats.url, cloud.env)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  for (let i = 0; i < 40; i++) await annotate(client, annotation({ custom_meta_1: 'x'.repeat(2_000) }))
  await until(async () => (await gateway.metric('chrysalis_annotations_queued')) === 40, { what: 'a count of all' })
  t.is(await gateway.metric('chrysalis_annotations_lost'), 0)
  const door = async () => {
    await cameras.report(DOOR)
    return (await client.list()).at(0)
  }
  await until(async () => (await door())?.health_status === 'healthy', { what: 'a healthy camera' })

  await nats.kill()
  const files = (await readdir(nats.storeDir, { recursive: true })).filter(
    name => name.includes(ANNOTATION_STREAM) && /\.(blk|db)$/.test(name),
  )
  for (const name of files) {
    const path = `${nats.storeDir}/${name}`
    if (name.endsWith('.db')) await rm(path)
    else await truncate(path, Math.floor((await stat(path)).size / 2))
  }
  await nats.restart()
  const lost = await until(async () => (await gateway.metric('chrysalis_annotations_lost')) || undefined, {
    what: 'a count of what was lost',
  })
  const left = (await stored(nats, ANNOTATION_STREAM)).length
  t.is(lost, 40 - left)
  const isReported = async () => {
    const { health_status, error = '' } = (await door()) ?? {}
    return health_status === 'unhealthy' && error.startsWith(`StoreDamaged: NATS has lost ${lost} acknowledged annotations`)
  }
  await until(isReported, { what: 'a camera that tells of it' })
  t.pass()
})

test('while annotations are not stored no camera is healthy, and the operator hears of it', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [DOOR])
  let changes = 0
  const problems = new GatewayProblems(
    () => changes++,
    bad => t.fail(bad.message),
  )
  using _listening = problems.listen(cameras.nc)
  await using cloud = await startCloud()
  cloud.answer(() => ({ status: 503 }))
  await using gateway = await startGateway(nats.url, { ...cloud.env, CHRYS_ANNOTATION_QUEUE_MAX: '1' })
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  await annotate(client, annotation())
  const door = async () => {
    await cameras.report(DOOR)
    return (await client.list()).at(0)
  }
  await until(async () => (await door())?.health_status === 'healthy', { what: 'a healthy camera' })
  await failure(annotate(client, annotation()))
  const { health_status, error = '' } = (await door()) ?? {}
  t.is(health_status, 'unhealthy')
  t.regex(error, /^AnnotationsUnavailable: Annotation queue full\./)
  await until(() => problems.annotations?.reason === 'AnnotationsUnavailable', { what: 'what the gateway reports' })
  t.is(changes, 1)
})
