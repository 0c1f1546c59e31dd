// The whole data path with a user for each process, on a real nats-server that knows no others.
import test from 'ava'
import { writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { VideoProbeResponse__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoProbeResponse.ts'
import { bufferSubject, packetStream, packetSubject } from '../proto/subjects.ts'
import { annotate, annotation } from './fixtures/annotations.ts'
import { cameraRecord, type FakeCamera } from './fixtures/cameras.ts'
import { startCloud } from './fixtures/cloud.ts'
import { collect, grpcClient, startGateway, type Client } from './fixtures/gateway.ts'
import { startIdentity } from './fixtures/identity.ts'
import { descendants } from './fixtures/processes.ts'
import { startRtmpServer } from './fixtures/rtmp.ts'
import { startShared } from './fixtures/shared-state.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const CAMERA: FakeCamera = { namespace: 'default', name: 'cam', uid: '11111111-1111-4111-8111-111111111111' }
const LIMITS = { durationMs: 60_000, maxBytes: 16 * 2 ** 20, storage: 'Memory', replicas: 1 } as const

test('the user of a deleted camera is cut off and stays out, also of a restarted server, and others are not disturbed', async t => {
  await using identity = await startIdentity()
  await using operator = await startShared(identity, {})
  const [door, gate] = ['door', 'gate'].map(name => ({ namespace: 'yard', name, uid: `uid-${name}` })) as [FakeCamera, FakeCamera]
  const once = { reconnect: false, inboxPrefix: '_INBOX.camera.yard.door' }
  const deleted = await identity.connect(await identity.camera(door), once)
  const files = [await identity.camera(gate), await identity.role('gateway')]
  const others = await Promise.all(files.map(file => identity.connect(file, { reconnect: false })))
  await operator.shared.remove(door, door.uid)
  t.regex(String(await deleted.closed()), /revoked/i)
  const isRefused = async () =>
    await identity.connect(await identity.camera(door), once).then(
      nc => nc.close().then(() => false),
      (error: unknown) => /authorization violation/i.test(String(error)),
    )
  t.true(await isRefused())
  await operator.shared.remove(door, door.uid) // as when the operator was interrupted
  for (const nc of others) {
    await nc.flush()
    await nc.close()
  }
  const again = await identity.connect(await identity.camera({ ...door, uid: 'uid-new' }), once)
  await again.close()

  await identity.nats.restart()
  await until(isRefused, { what: 'a server that knows who is revoked', timeoutMs: 60_000, everyMs: 500 })
})

test('what a NATS user may not do is reported with its subject, and everything else goes on', async t => {
  await using identity = await startIdentity()
  await using _operator = await startShared(identity, { 'default/cam': { uid: CAMERA.uid, limits: LIMITS } })
  for (const subject of [packetSubject(CAMERA), bufferSubject(CAMERA)]) {
    await using sidecar = await startSidecar(identity.nats, {
      spec: { source: { url: 'testsrc:?size=320x180&rate=10' }, buffer: { duration: '60s', maxBytes: '16Mi', storage: 'Memory' } },
      env: { CHRYS_NATS_CREDS_FILE: await identity.cameraWithout(CAMERA, subject) },
      authenticator: identity.admin(),
    })
    const isSaid = (message = '') => message.endsWith(`: the NATS user may not publish to ${subject}`)
    const { buffer, connection } = await sidecar.stateWith('what is forbidden', ({ buffer: { message } }) => isSaid(message))
    t.is(buffer.reason, 'NatsForbidden')
    t.is(connection, 'streaming')
    await sidecar.nc.jetstreamManager().then(jsm => jsm.streams.delete(packetStream(CAMERA)).catch(() => false))
  }
})

const frame = (client: Client, after = 0) =>
  until(
    async () => {
      const answer = await client.latest({ device_id: 'cam' })
      return answer.data.length > 0 && answer.timestamp > after && answer
    },
    { what: 'a frame', timeoutMs: 60_000 },
  )

const call = <T>(run: (done: (error: Error | null, value?: T) => void) => void): Promise<T> =>
  new Promise((resolve, reject) => run((error, value) => (value === undefined ? reject(error ?? new Error('no answer')) : resolve(value))))

test('all that clients may ask for works, and no process does what its user may not', async t => {
  await using identity = await startIdentity()
  await using operator = await startShared(identity, { 'default/cam': { uid: CAMERA.uid, limits: LIMITS } })
  const { shared } = operator
  await using cloud = await startCloud()
  await using rtmp = await startRtmpServer()
  await using folder = await temporaryFolder()
  const urlFile = folder.file('url')
  await writeFile(urlFile, rtmp.url)
  await using gateway = await startGateway(identity.nats.url, { ...cloud.env, CHRYS_NATS_CREDS_FILE: await identity.role('gateway') })
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  const proxy = { urlSecretRef: { name: 'cloud', key: 'url' }, enabled: false }
  await using sidecar = await startSidecar(identity.nats, {
    spec: {
      source: { url: 'testsrc:?size=320x180&rate=10' },
      buffer: { duration: '60s', maxBytes: '16Mi', storage: 'Memory' },
      proxy,
      archive: {},
    },
    env: { CHRYS_NATS_CREDS_FILE: await identity.camera(CAMERA), CHRYS_PROXY_URL_FILE: urlFile, CHRYS_ARCHIVE_DIR: folder.path },
    authenticator: identity.admin(),
  })
  await shared.put(cameraRecord(CAMERA, { proxy: { hasTarget: true, enabled: false }, archive: true }))
  await sidecar.stateWith('packets, stored', state => state.connection === 'streaming' && state.buffer.ok, 60_000)
  await using client = grpcClient(gateway.port)
  const told = await fetch(`http://127.0.0.1:${gateway.httpPort}/cameras/cam/past`)
  t.is(((await told.json()) as { archive: string }).archive, 'read')

  const first = await frame(client)
  t.deepEqual([first.width, first.height], [320, 180])
  const { stub } = client
  const probe = await until(
    async () => {
      const found = await call<VideoProbeResponse__Output>(done => stub.VideoProbe({ device_id: 'cam' }, done))
      return found.buffer !== null && found.buffer.end_time - found.buffer.start_time > 2_000 && found
    },
    { what: 'two seconds in the buffer', everyMs: 250 },
  )
  t.is(probe.video_codec?.name, 'h264')
  const from = probe.buffer?.start_time ?? 0
  const past = await collect(stub.VideoBufferedImage({ device_id: 'cam', timestamp_from: from, timestamp_to: from + 1_000 }))
  t.true(past.length >= 5, `${past.length} frames of the past`)

  await annotate(client, annotation({ device_name: 'cam' }), 'one')
  await annotate(client, annotation({ device_name: 'nobody/knows' }), 'two')
  await until(() => cloud.accepted().length === 2, { what: 'two annotations in the cloud', timeoutMs: 60_000 })
  t.deepEqual(cloud.accepted(), ['one', 'two'])

  const seen = async () => (await fetch(`http://127.0.0.1:${gateway.httpPort}/cameras/cam/annotations`)).text()
  await until(async () => (await seen()).includes('"id":"one"'), { what: 'the annotation by URL' })

  await call(done => stub.Proxy({ device_id: 'cam', passthrough: true }, done))
  await until(() => rtmp.received.packets.length > 5, { what: 'the stream at the RTMP server', timeoutMs: 60_000 })
  await call(done => stub.Storage({ device_id: 'cam', start: true }, done))
  t.regex(cloud.requests.at(-1)?.path ?? '', /^\/api\/v1\/edge\/storage\//)
  t.like((await client.list())[0], { name: 'cam', status: 'running' })

  // Decoded in the gateway, from the packets.
  const inGateway = { keyFramesOnly: false, placement: 'Gateway' } as const
  await shared.put(cameraRecord(CAMERA, { proxy: { hasTarget: true, enabled: false }, decoding: inGateway }))
  const decodes = async () => {
    await client.latest({ device_id: 'cam' })
    return descendants(gateway.pid).some(({ command }) => command.includes('ffmpeg'))
  }
  await until(decodes, { what: 'a decoder in the gateway' })
  await frame(client, first.timestamp)

  // What NATS kept in memory is lost with it.
  await identity.nats.restart()
  await frame(client, first.timestamp)
  await sidecar.stateWith('packets stored again', state => state.at > Date.now() - 2_000 && state.buffer.ok, 60_000)
  t.true((await sidecar.packets()).length > 0)

  sidecar.child.kill('SIGTERM')
  await until(() => sidecar.child.exitCode !== null, { what: 'the end of the sidecar' })
  t.deepEqual(await shared.present(), [{ namespace: 'default', name: 'cam' }])
  await shared.remove(CAMERA)
  t.deepEqual(await shared.present(), [])
  await delay(500) // what is refused is told later than done
  t.deepEqual(identity.violations(), [])
})

test('credentials that are replaced take effect when NATS is reached again', async t => {
  await using identity = await startIdentity()
  await using operator = await startShared(identity, { 'default/cam': { uid: CAMERA.uid, limits: LIMITS } })
  await using gateway = await startGateway(identity.nats.url, { CHRYS_NATS_CREDS_FILE: await identity.role('gateway') })
  await using sidecar = await startSidecar(identity.nats, {
    spec: { source: { url: 'testsrc:?size=160x120&rate=5' } },
    env: { CHRYS_NATS_CREDS_FILE: await identity.camera(CAMERA) },
    authenticator: identity.admin(),
  })
  await operator.shared.put(cameraRecord(CAMERA))
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const { timestamp } = await frame(client)
  const pid = sidecar.pid
  await identity.rotate()
  await frame(client, timestamp)
  t.is(sidecar.pid, pid)
  await sidecar.stateWith('packets stored again', state => state.at > Date.now() - 2_000 && state.buffer.ok, 60_000)
  await delay(500)
  t.deepEqual(identity.violations(), [])
})
