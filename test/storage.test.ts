// Storage. Its sidecar is a stand-in that answers for the stream key; the cloud is one that checks signatures.
import { status } from '@grpc/grpc-js'
import test from 'ava'
import { writeFile } from 'node:fs/promises'
import { openBucket } from '../common/nats/buckets.ts'
import type { StorageResponse__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/StorageResponse.ts'
import { parseJson } from '../proto/messages.ts'
import { CameraSwitches, encodeState, type StreamKey } from '../proto/state.ts'
import { cameraKey, streamKeySubject } from '../proto/subjects.ts'
import { startCameras, type Cameras, type FakeCamera } from './fixtures/cameras.ts'
import { startCloud } from './fixtures/cloud.ts'
import { failure, grpcClient, startGateway, type Client } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const DOOR: FakeCamera = { namespace: 'default', name: 'door', uid: 'uid-door' }
const PLAIN: FakeCamera = { namespace: 'default', name: 'plain', uid: 'uid-plain' }
const PROXY = { proxy: { hasTarget: true, enabled: false } }

function store({ stub }: Client, device_id: string, start: boolean): Promise<StorageResponse__Output> {
  const { promise, resolve, reject } = Promise.withResolvers<StorageResponse__Output>()
  stub.Storage({ device_id, start }, (error, response) =>
    response === undefined ? reject(error ?? new Error('no answer')) : resolve(response),
  )
  return promise
}

async function switches({ nc }: Cameras, camera: FakeCamera): Promise<CameraSwitches | undefined> {
  const entry = await (await openBucket(nc, 'switches')).get(cameraKey(camera))
  return entry === null ? undefined : parseJson(CameraSwitches, entry.value)
}

/** Answers as the camera's sidecar. */
function answerKey({ nc }: Cameras, camera: FakeCamera, answer: Partial<StreamKey>): Disposable {
  const subscription = nc.subscribe(streamKeySubject(camera), {
    callback: (_, message) => void message.respond(encodeState({ v: 1, uid: camera.uid, ...answer })),
  })
  return { [Symbol.dispose]: () => subscription.unsubscribe() }
}

test('storage is switched on and off at the cloud, again and again, and remembered beside the other switches', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url)
  await cameras.put(DOOR, PROXY)
  await cameras.put(PLAIN)
  await using cloud = await startCloud()
  await using gateway = await startGateway(nats.url, {
    ...cloud.env,
    CHRYS_CLOUD_API_URL: `${cloud.url}/base/`,
    CHRYS_CLOUD_TIMEOUT_MS: '1500',
  })
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const proxy = { on: true, base: false }
  await (await openBucket(cameras.nc, 'switches')).put(cameraKey(DOOR), encodeState({ v: 1, uid: DOOR.uid, proxy }))
  {
    using _ = answerKey(cameras, DOOR, { streamKey: 'key/with spaces?' })
    for (const start of [true, true, false, true, false, false]) {
      t.deepEqual(await store(client, 'door', start), { device_id: 'door', start })
      t.deepEqual(await switches(cameras, DOOR), { v: 1, uid: DOOR.uid, proxy, storage: start })
    }
    t.deepEqual(
      cloud.requests.map(({ method, path, body }) => ({ method, path, body })),
      [true, true, false, true, false, false].map(enable => ({
        ...{ method: 'PUT', path: '/base/api/v1/edge/storage/key%2Fwith%20spaces%3F', body: { enable } },
      })),
    )
    const answers: [number, number][] = [
      [401, status.PERMISSION_DENIED],
      [403, status.PERMISSION_DENIED],
      [404, status.UNAVAILABLE],
      [500, status.UNAVAILABLE],
      [302, status.UNAVAILABLE],
    ]
    for (const [httpStatus, code] of answers) {
      cloud.answer(() => ({ status: httpStatus, body: 'because' }))
      t.deepEqual(await failure(store(client, 'door', true)), { code, details: `the cloud answered ${httpStatus}: because` })
    }
    cloud.answer(() => 'hang')
    t.deepEqual(await failure(store(client, 'door', true)), {
      ...{ code: status.UNAVAILABLE, details: 'the cloud did not answer within 1500 ms' },
    })
    await cloud.refuse()
    const refused = await failure(store(client, 'door', true))
    t.is(refused.code, status.UNAVAILABLE)
    t.regex(refused.details, /ECONNREFUSED/)
    t.is((await switches(cameras, DOOR))?.storage, false)
    t.is(await gateway.metric('chrysalis_cloud_calls_total', 'purpose="storage",outcome="200"'), 6)
  }
  const plain = await failure(store(client, 'plain', true))
  t.is(plain.code, status.FAILED_PRECONDITION)
  t.regex(plain.details, /spec\.proxy\.urlSecretRef/)
  t.is((await failure(store(client, '', true))).code, status.INVALID_ARGUMENT)
  t.is((await failure(store(client, 'nobody', true))).code, status.NOT_FOUND)
  const silent = await failure(store(client, 'door', true))
  t.is(silent.code, status.UNAVAILABLE)
  t.regex(silent.details, /no answer from the camera’s sidecar/)
})

test('without the camera’s own stream key nothing is asked of the cloud', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url)
  await cameras.put(DOOR, PROXY)
  await using cloud = await startCloud()
  await using gateway = await startGateway(nats.url, cloud.env)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const cases: [Partial<StreamKey>, RegExp][] = [
    [{ reason: 'the Secret "rtmp" has no key "url"' }, /the Secret "rtmp" has no key "url"/],
    [{ streamKey: '..' }, /the camera’s sidecar has none/],
    [{ streamKey: '%2E%2e' }, /the camera’s sidecar has none/],
    [{ streamKey: '' }, /the camera’s sidecar has none/],
    [{ uid: 'another', streamKey: 'key' }, /another camera’s/],
  ]
  for (const [answer, cause] of cases) {
    using _ = answerKey(cameras, DOOR, answer)
    await cameras.nc.flush()
    const { code, details } = await failure(store(client, 'door', true))
    t.is(code, status.UNAVAILABLE)
    t.regex(details, cause)
  }
  t.is(cloud.requests.length, 0)
})

test('a real sidecar tells the stream key in the URL that only it can read, and nobody else does', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url)
  await using cloud = await startCloud()
  await using folder = await temporaryFolder()
  const urlFile = folder.file('url')
  const proxy = { urlSecretRef: { name: 'cloud', key: 'url' }, enabled: false }
  await using sidecar = await startSidecar(nats, {
    spec: { source: { url: 'testsrc:?size=160x120&rate=5' }, proxy },
    env: { CHRYS_PROXY_URL_FILE: urlFile },
  })
  await cameras.put(sidecar.camera, PROXY)
  await using gateway = await startGateway(nats.url, cloud.env)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await sidecar.stateWith('packets', state => state.connection === 'streaming')
  await using client = grpcClient(gateway.port)

  const missing = await failure(store(client, 'cam', true))
  t.is(missing.code, status.UNAVAILABLE)
  t.regex(missing.details, /the stream key is not known: \w+: .*Secret/)
  await writeFile(urlFile, 'rtmp://user:pa55@cloud.example:1935/live/k3y-of%20mine?sign=s1gned\n')
  t.deepEqual(await store(client, 'cam', true), { device_id: 'cam', start: true })
  t.is(cloud.requests.at(-1)?.path, '/api/v1/edge/storage/k3y-of%20mine')
  cloud.answer(({ path }) => ({ status: 404, body: `no ${path}` }))
  const echoed = await failure(store(client, 'cam', true))
  t.is(echoed.details, 'the cloud answered 404: no /api/v1/edge/storage/***')
  for (const text of [gateway.log(), sidecar.log(), await gateway.metrics()]) t.notRegex(text, /k3y|pa55|s1gned/)
})

test('without a cloud storage says what to set', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url)
  await cameras.put(DOOR, PROXY)
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const { code, details } = await failure(store(client, 'door', true))
  t.is(code, status.FAILED_PRECONDITION)
  t.regex(details, /CHRYS_CLOUD_API_URL, CHRYS_CLOUD_KEY_FILE and CHRYS_CLOUD_SECRET_FILE/)
})
