// The Proxy call: what it answers, what it remembers, and what comes of it at a real RTMP server.
import { status } from '@grpc/grpc-js'
import test from 'ava'
import { writeFile } from 'node:fs/promises'
import { openBucket } from '../common/nats/buckets.ts'
import type { ProxyResponse__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/ProxyResponse.ts'
import { parseJson } from '../proto/messages.ts'
import { CameraSwitches, encodeState } from '../proto/state.ts'
import { cameraKey } from '../proto/subjects.ts'
import { startCameras, type Cameras, type FakeCamera } from './fixtures/cameras.ts'
import { failure, grpcClient, startGateway, type Client } from './fixtures/gateway.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { startRtmpServer } from './fixtures/rtmp.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const DOOR: FakeCamera = { namespace: 'default', name: 'door', uid: 'uid-door' }
const PLAIN: FakeCamera = { namespace: 'default', name: 'plain', uid: 'uid-plain' }
const OFF = { proxy: { hasTarget: true, enabled: false } }
const ON = { proxy: { hasTarget: true, enabled: true } }

function forward({ stub }: Client, device_id: string, passthrough: boolean): Promise<ProxyResponse__Output> {
  const { promise, resolve, reject } = Promise.withResolvers<ProxyResponse__Output>()
  stub.Proxy({ device_id, passthrough }, (error, response) =>
    response === undefined ? reject(error ?? new Error('no answer')) : resolve(response),
  )
  return promise
}

async function stored({ nc }: Cameras, camera: FakeCamera) {
  const entry = await (await openBucket(nc, 'switches')).get(cameraKey(camera))
  return entry === null ? undefined : { revision: entry.revision, switches: parseJson(CameraSwitches, entry.value) }
}

test('the switch is remembered beside the storage switch, and forgotten where the spec says the same', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url)
  await cameras.put(DOOR, OFF)
  await cameras.put(PLAIN)
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const switches = async () => (await stored(cameras, DOOR))?.switches

  t.deepEqual(await forward(client, 'door', false), { device_id: 'door', passthrough: false })
  t.is(await stored(cameras, DOOR), undefined) // as the spec says: nothing to remember
  t.deepEqual(await forward(client, 'default/door', true), { device_id: 'default/door', passthrough: true })
  t.deepEqual(await switches(), { v: 1, uid: DOOR.uid, proxy: { on: true, base: false } })
  const { revision } = (await stored(cameras, DOOR)) ?? {}
  t.deepEqual(await forward(client, 'door', true), { device_id: 'door', passthrough: true })
  t.is((await stored(cameras, DOOR))?.revision, revision)

  const bucket = await openBucket(cameras.nc, 'switches')
  await bucket.put(cameraKey(DOOR), encodeState({ v: 1, uid: DOOR.uid, proxy: { on: true, base: false }, storage: true }))
  await forward(client, 'door', false)
  t.deepEqual(await switches(), { v: 1, uid: DOOR.uid, storage: true })
  await Promise.all([true, true, true, true, true].map(on => forward(client, 'door', on)))
  t.deepEqual(await switches(), { v: 1, uid: DOOR.uid, proxy: { on: true, base: false }, storage: true })

  // Another camera's of the same name, and what is no switch at all.
  await bucket.put(cameraKey(DOOR), encodeState({ v: 1, uid: 'before', proxy: { on: false, base: false }, storage: true }))
  await forward(client, 'door', true)
  t.deepEqual(await switches(), { v: 1, uid: DOOR.uid, proxy: { on: true, base: false } })
  await bucket.put(cameraKey(DOOR), '{"v":7}')
  await forward(client, 'door', true)
  t.deepEqual(await switches(), { v: 1, uid: DOOR.uid, proxy: { on: true, base: false } })

  t.deepEqual(await failure(forward(client, 'plain', true)), {
    code: status.FAILED_PRECONDITION,
    details: `camera "plain" has nowhere to forward to: set spec.proxy.urlSecretRef to a Secret with the RTMP server's URL`,
  })
  t.deepEqual(await forward(client, 'plain', false), { device_id: 'plain', passthrough: false })
  t.deepEqual(await failure(forward(client, '', true)), { code: status.INVALID_ARGUMENT, details: 'device_id is required' })
  t.is((await failure(forward(client, 'a.>', true))).code, status.INVALID_ARGUMENT)
  t.deepEqual(await failure(forward(client, 'nobody', true)), { code: status.NOT_FOUND, details: 'camera "nobody" not found' })

  await nats.kill()
  await until(async () => (await failure(forward(client, 'door', false))).code === status.UNAVAILABLE, { what: 'the gateway to notice' })
})

test('editing the spec resets the switch for good, with two gateways and across a restart of both', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url)
  await cameras.put(DOOR, OFF)
  const start = async () => {
    const gateway = await startGateway(nats.url)
    await until(() => gateway.ready(), { what: 'the gateway to be ready' })
    return gateway
  }
  {
    await using one = await start()
    await using _other = await start()
    await using client = grpcClient(one.port)
    await forward(client, 'door', true)
    const bucket = await openBucket(cameras.nc, 'switches')
    await bucket.put(cameraKey(DOOR), encodeState({ v: 1, uid: DOOR.uid, proxy: { on: true, base: false }, storage: false }))
    await cameras.put(DOOR, ON)
    await until(async () => (await stored(cameras, DOOR))?.switches.proxy === undefined, { what: 'the void switch to go' })
    t.deepEqual((await stored(cameras, DOOR))?.switches, { v: 1, uid: DOOR.uid, storage: false })
    await forward(client, 'door', false)
    t.deepEqual((await stored(cameras, DOOR))?.switches.proxy, { on: false, base: true })
  }
  await cameras.put(DOOR, OFF) // while no gateway runs
  await using _later = await start()
  await until(async () => (await stored(cameras, DOOR))?.switches.proxy === undefined, { what: 'the void switch to go' })
  t.deepEqual((await stored(cameras, DOOR))?.switches, { v: 1, uid: DOOR.uid, storage: false })
})

test('the call makes the camera’s stream arrive at the RTMP server, and stop arriving', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url)
  await cameras.put(DOOR, OFF)
  await using rtmp = await startRtmpServer()
  await using camera = await startCamera({ file: await testVideo({ fps: 15, gop: 15 }) })
  await using folder = await temporaryFolder()
  await writeFile(folder.file('url'), rtmp.url)
  await using sidecar = await startSidecar(nats, {
    ...{ name: DOOR.name, uid: DOOR.uid, env: { CHRYS_PROXY_URL_FILE: folder.file('url') } },
    spec: { source: { url: camera.url }, proxy: { enabled: false } },
  })
  await sidecar.stateWith('streaming', state => state.connection === 'streaming')
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  await forward(client, 'door', true)
  await until(() => rtmp.received.packets.length > 20, { what: 'packets at the RTMP server' })
  await sidecar.stateWith('forwarding', ({ proxy }) => proxy?.active === true)
  await forward(client, 'door', false)
  await rtmp.ended
  await sidecar.stateWith('the end', ({ proxy }) => proxy?.active === false && proxy.ok)
  t.true(rtmp.received.packets[0]?.key)
})
