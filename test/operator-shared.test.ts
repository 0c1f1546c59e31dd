import test from 'ava'
import { connect } from 'nats'
import pino from 'pino'
import { Registry } from 'prom-client'
import { openBucket } from '../common/buckets.ts'
import { cameraRecord } from '../common/record.ts'
import { CameraState, encodeState } from '../proto/state.ts'
import { BUCKET, cameraKey, packetStream, packetSubject } from '../proto/subjects.ts'
import { operatorMetrics } from '../operator/metrics.ts'
import { SharedState } from '../operator/shared.ts'
import { cameraState, UID, watchedCamera } from './fixtures/camera-objects.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { until } from './fixtures/wait.ts'

const POD = { running: true, dead: false, exitCode: 0, oomKilled: false, restarts: 0 }
const ref = { namespace: 'shop', name: 'front' }
const record = (restarts = 0) => cameraRecord(watchedCamera(), { ...POD, restarts })

async function start(server: NatsServer) {
  const registry = new Registry()
  const metrics = operatorMetrics(registry)
  const changes: string[] = []
  let backs = 0
  const shared = new SharedState({
    nats: { url: server.url, credsFile: undefined },
    metrics,
    log: pino({ level: 'silent' }),
    onChange: key => changes.push(key),
    bufferOf: () => undefined,
    onBack: () => backs++,
  })
  const stop = new AbortController()
  const running = shared.run(stop.signal)
  return {
    shared,
    changes,
    backs: () => backs,
    count: async (name: string) => Number(new RegExp(`^${name}[^ ]* (\\d+)`, 'm').exec(await registry.metrics())?.[1] ?? 0),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
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

test('a sidecar’s state counts for its own camera only, and tells when something changes', async t => {
  await using server = await startNats()
  await using run = await start(server)
  const nc = await connect({ servers: server.url })
  const states = await openBucket(nc, 'states')
  const tell = (state: CameraState) => states.put(cameraKey(ref), encodeState(state))
  await tell(cameraState())
  await until(() => run.shared.state('shop/front', UID) !== undefined, { what: 'the state' })
  t.is(run.shared.state('shop/front', 'another'), undefined)
  const before = run.changes.length
  await tell(cameraState({ at: 9_000, lastPacketAt: 8_000, bitsPerSecond: 1, fps: 30.2 }))
  await until(() => run.shared.state('shop/front', UID)?.at === 9_000, { what: 'the heartbeat' })
  t.is(run.changes.length, before)
  await tell(cameraState({ connection: 'waiting', reason: 'AuthFailed' }))
  await until(() => run.changes.length > before, { what: 'the change' })
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
  t.is(run.shared.state('shop/front', UID), undefined)
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
  t.deepEqual(
    (await run.shared.present()).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    [other, ref],
  )
  for (const each of [ref, other, ref]) await run.shared.remove(each)
  t.deepEqual(await run.shared.present(), [])
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
  await t.throwsAsync(run.shared.put(record(1)), { message: /NATS is away/ })
  await t.throwsAsync(run.shared.remove(ref), { message: /NATS is away/ })
  await t.throwsAsync(run.shared.present(), { message: /NATS is away/ })
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
