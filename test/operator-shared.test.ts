import test from 'ava'
import { copyFile, rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'nats'
import pino from 'pino'
import { Registry } from 'prom-client'
import { openBucket } from '../common/nats/buckets.ts'
import { connectNats } from '../common/nats/connect.ts'
import { cameraRecord } from '../common/camera-record.ts'
import { Cameras } from '../gateway/cameras.ts'
import { createMetrics } from '../gateway/metrics.ts'
import { CameraState, encodeState } from '../proto/state.ts'
import { BUCKET, bufferSubject, cameraKey, packetStream, packetSubject } from '../proto/subjects.ts'
import { operatorMetrics } from '../operator/metrics.ts'
import { SharedState } from '../operator/camera/shared-state.ts'
import { cameraState, UID, watchedCamera } from './fixtures/camera-objects.ts'
import { startIdentity } from './fixtures/identity.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { until, within } from './fixtures/wait.ts'

const POD = { running: true, dead: false, exitCode: 0, oomKilled: false, restarts: 0 }
const ref = { namespace: 'shop', name: 'front' }
const record = (restarts = 0) => cameraRecord(watchedCamera(), { ...POD, restarts })

type More = { credsFile?: string; onBack?: (shared: SharedState) => void }

async function start(server: NatsServer, { credsFile, onBack }: More = {}) {
  const registry = new Registry()
  const metrics = operatorMetrics(registry)
  const changes: string[] = []
  let backs = 0
  let log = ''
  const shared: SharedState = new SharedState({
    nats: { url: server.url, credsFile },
    metrics,
    log: pino({ level: 'warn' }, { write: line => void (log += line) }),
    onChange: key => changes.push(key),
    bufferOf: () => undefined,
    onBack: () => {
      backs++
      onBack?.(shared)
    },
  })
  const stop = new AbortController()
  const running = shared.run(stop.signal)
  return {
    shared,
    changes,
    backs: () => backs,
    log: () => log,
    metrics: () => registry.metrics(),
    count: async (name: string) => Number(new RegExp(`^${name}[^ ]* (\\d+)`, 'm').exec(await registry.metrics())?.[1] ?? 0),
    async end() {
      stop.abort()
      await running
    },
    [Symbol.asyncDispose]() {
      return this.end()
    },
  }
}

test('a record is written when it differs from what is there, by whomever that was written', async t => {
  await using server = await startNats()
  {
    await using run = await start(server)
    await until(() => run.backs() > 0, { what: 'the bucket' })
    for (const each of [record(), record(), record(1), record(1)]) await run.shared.put(each)
    t.is(await run.count('chrysalis_operator_records_written_total'), 2)
  }
  await using next = await start(server)
  await until(() => next.backs() > 0, { what: 'what the bucket holds' })
  await next.shared.put(record(1))
  t.is(await next.count('chrysalis_operator_records_written_total'), 0)
})

test('a sidecar’s report is kept, and news when something changes', async t => {
  await using server = await startNats()
  await using run = await start(server)
  const nc = await connect({ servers: server.url })
  const states = await openBucket(nc, 'states')
  const tell = (state: CameraState) => states.put(cameraKey(ref), encodeState(state))
  await tell(cameraState())
  await until(() => run.shared.report('shop/front') !== undefined, { what: 'the state' })
  const before = run.changes.length
  await tell(cameraState({ at: 9_000, lastPacketAt: 8_000, bitsPerSecond: 1, fps: 30.2, pid: 8, failingStreak: 2 }))
  await until(() => run.shared.report('shop/front')?.state.at === 9_000, { what: 'the heartbeat' })
  t.is(run.changes.length, before)
  await tell(cameraState({ connection: 'waiting', reason: 'AuthFailed' }))
  await until(() => run.changes.length > before, { what: 'the change' })
  const later = run.changes.length
  await tell(cameraState({ connection: 'waiting', reason: 'AuthFailed', archive: { active: false, ok: true } }))
  await until(() => run.changes.length > later, { what: 'the change of one part' })
  await nc.close()
})

test('what is no state is counted, and changes nothing', async t => {
  await using server = await startNats()
  await using run = await start(server)
  const nc = await connect({ servers: server.url })
  const states = await openBucket(nc, 'states')
  await states.put(cameraKey(ref), '{"v":1')
  await states.put('not a key'.replaceAll(' ', '_'), encodeState(cameraState()))
  await until(async () => (await run.count('chrysalis_operator_bad_messages_total')) === 1, { what: 'the count' })
  t.is(run.shared.report('shop/front'), undefined)
  await nc.close()
})

test('what a camera left is found and removed, and removing it twice is fine', async t => {
  await using server = await startNats()
  await using run = await start(server)
  await until(() => run.backs() > 0, { what: 'the bucket' })
  const nc = await connect({ servers: server.url })
  const jsm = await nc.jetstreamManager()
  const other = { namespace: 'shop', name: 'back' }
  await jsm.streams.add({ name: packetStream(ref), subjects: [packetSubject(ref)] })
  await jsm.streams.add({ name: 'somebody_elses', subjects: ['chrys.packets.x.y'] })
  await run.shared.put({ ...record(), name: other.name })
  // As a sidecar on a lost node writes on, after the Camera was removed.
  const written = (['states', 'switches', 'leases'] as const).map(bucket => ({ bucket, key: `shop.of-${bucket}` }))
  for (const { bucket, key } of written) await (await openBucket(nc, bucket)).put(key, '{}')
  t.deepEqual((await run.shared.present()).map(({ name }) => name).toSorted(), ['back', 'front', 'of-leases', 'of-states', 'of-switches'])
  for (const each of [ref, other, ref, ...written.map(({ bucket }) => ({ ...ref, name: `of-${bucket}` }))]) await run.shared.remove(each)
  t.deepEqual(await run.shared.present(), [])
  for (const { bucket, key } of written) t.is(await (await openBucket(nc, bucket)).get(key), null)
  await jsm.streams.info('somebody_elses')
  await nc.close()
})

test('without NATS it says so at once, and comes back with it, to an emptied one too', async t => {
  await using server = await startNats()
  await using run = await start(server)
  await until(() => run.backs() > 0 && run.shared.awayMs === 0, { what: 'the bucket' })
  await run.shared.put(record())
  await server.kill()
  await until(() => run.shared.awayMs > 0, { what: 'to notice' })
  await t.throwsAsync(run.shared.put(record(1)), { message: /NATS is unreachable/ })
  await t.throwsAsync(run.shared.remove(ref), { message: /NATS is unreachable/ })
  await t.throwsAsync(run.shared.present(), { message: /NATS is unreachable/ })
  const before = run.backs()
  await server.restart()
  await until(() => run.backs() > before && run.shared.awayMs === 0, { what: 'the return' })

  const nc = await connect({ servers: server.url })
  const jsm = await nc.jetstreamManager()
  const again = run.backs()
  await jsm.streams.delete(`KV_${BUCKET.cameras}`)
  await until(() => run.backs() > again, { what: 'the new bucket', timeoutMs: 60_000 })
  await run.shared.put(record())
  const kv = await nc.jetstream().views.kv(BUCKET.cameras, { bindOnly: true })
  t.is((await kv.get(cameraKey(ref)))?.operation, 'PUT')
  await nc.close()
})

test('NATS loses the list of cameras: the operator puts it again before a gateway takes the new one for the truth', async t => {
  await using server = await startNats()
  const put = (shared: SharedState) => void shared.put(record()).catch(() => {})
  await using run = await start(server, { onBack: put })
  await until(() => run.backs() > 0, { what: 'the bucket' })

  const stop = new AbortController()
  const log = pino({ level: 'silent' })
  await using nats = await connectNats('a gateway', { url: server.url, credsFile: undefined }, log, stop.signal)
  const gone: string[] = []
  const cameras = new Cameras('shop', createMetrics(new Registry()), log, uid => gone.push(uid))
  const following = cameras.follow(nats, log, stop.signal)
  await until(() => cameras.isListed && cameras.list().length === 1, { what: 'the list' })

  await server.kill()
  await rm(server.storeDir, { recursive: true })
  const before = run.backs()
  await server.restart()
  await until(() => run.backs() > before, { what: 'the new bucket' })
  const nc = await connect({ servers: server.url })
  const kv = await nc.jetstream().views.kv(BUCKET.cameras, { bindOnly: true })
  const found = await until(() => kv.get(cameraKey(ref)), { what: 'the record' })
  const { streamInfo } = await kv.status()
  const afterMs = found.created.getTime() - Date.parse(streamInfo.created)
  t.log(`put ${Math.round(afterMs)} ms after the bucket was made`)
  t.true(afterMs < 4_000)
  const until7s = Date.parse(streamInfo.created) + 7_000
  await until(
    () => {
      t.is(cameras.resolve('front').uid, UID)
      return Date.now() > until7s
    },
    { what: 'the gateway to believe the new list' },
  )
  t.deepEqual(gone, [])
  stop.abort()
  await following
  await nc.close()
})

test('NATS that has stopped answering does not keep the operator from ending', async t => {
  await using server = await startNats()
  await using run = await start(server)
  await until(() => run.backs() > 0, { what: 'the bucket' })
  server.stop()
  await delay(16_000) // by then all that is checked now and then is being checked
  const calls = Promise.allSettled([run.shared.put(record()), run.shared.remove(ref), run.shared.present()])
  const begun = performance.now()
  await run.end()
  const results = await within(calls, { what: 'the end of what was asked' })
  t.log(`ended after ${Math.round(performance.now() - begun)} ms`)
  t.true(performance.now() - begun < 2_000)
  t.true(results.every(({ status }) => status === 'rejected'))
})

test('credentials that can’t be read are said, and tried again', async t => {
  await using identity = await startIdentity()
  const file = await identity.role('operator')
  const missing = `${file}.later`
  await using run = await start(identity.nats, { credsFile: missing })
  await until(() => /cannot connect to NATS/.test(run.log()), { what: 'the complaint' })
  t.regex(run.log(), /ENOENT/)
  await copyFile(file, missing)
  await until(() => run.backs() > 0, { what: 'the bucket' })
  await run.shared.put(record())
  t.deepEqual(await run.shared.present(), [ref])
  await run.shared.remove(ref)
  t.deepEqual(identity.violations(), [])
})

test('requests for packet streams that no sidecar sends are counted by what is wrong with them', async t => {
  await using server = await startNats()
  await using run = await start(server)
  await until(() => run.backs() > 0, { what: 'the bucket' })
  const nc = await connect({ servers: server.url })
  const subject = bufferSubject(ref)
  const request = encodeState({ v: 1, uid: 'another' })
  nc.publish(subject, request, { reply: '$JS.API.STREAM.DELETE.x' })
  nc.publish(subject, request)
  nc.publish(subject, request, { reply: '_INBOX.x' })
  nc.publish('chrys.buffer.No.camera', request, { reply: '_INBOX.x' })
  nc.publish(subject, '', { reply: '_INBOX.x' })
  const count = async (reason: string) =>
    Number(new RegExp(`bad_messages_total\\{reason="${reason}"\\} (\\d+)`).exec(await run.metrics())?.[1] ?? 0)
  for (const [reason, times] of [
    ['reply', 2],
    ['camera', 2],
    ['empty', 1],
  ] as const) {
    await until(async () => (await count(reason)) === times, { what: `${times} of ${reason}` })
  }
  await nc.close()
  t.pass()
})
