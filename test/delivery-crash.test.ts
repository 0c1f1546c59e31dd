// Acknowledged is delivered, whoever dies in between.
import { status } from '@grpc/grpc-js'
import test from 'ava'
import { setTimeout as delay } from 'node:timers/promises'
import { annotate, annotation, emptyQueue, stored } from './fixtures/annotations.ts'
import { startCameras } from './fixtures/cameras.ts'
import { startCloud } from './fixtures/cloud.ts'
import { failure, grpcClient, startGateway, type Gateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { end } from './fixtures/processes.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { DEAD_LETTER_STREAM } from '../proto/subjects.ts'
import { until } from './fixtures/wait.ts'

const COUNT = 1_000
const CLIENTS = 4

test('1,000 annotations survive kill -9 of gateway, sidecar and nats-server: each acknowledged one is delivered, once by its key', async t => {
  await using nats = await startNats()
  await using sidecar = await startSidecar(nats, { name: 'door', spec: { source: { url: 'testsrc:?size=160x120&rate=5' } } })
  await using _cameras = await startCameras(nats.url, [sidecar.camera])
  await using cloud = await startCloud()
  // A cloud with a bad day: every third call fails after it was taken, or before.
  let calls = 0
  cloud.answer(() => (++calls % 3 === 0 ? (calls % 2 === 0 ? { status: 500 } : 'drop') : { status: 200 }))
  let gateway: Gateway = await startGateway(nats.url, cloud.env)
  const acknowledged = new Set<string>()
  const failures = new Set<string | undefined>()
  let next = 0
  const over = new AbortController()

  /** As a client does that must not lose anything: the same annotation with the same key until it is acknowledged. */
  const annotateUntilAcknowledged = async (id: string) => {
    while (!over.signal.aborted) {
      await using client = grpcClient(gateway.port)
      try {
        await annotate(client, annotation({ object_id: id }), id, 20_000)
        acknowledged.add(id)
        return
      } catch (error) {
        const { code } = await failure(Promise.reject(error))
        failures.add(status[code])
        await delay(100)
      }
    }
  }
  const work = async () => {
    while (next < COUNT && !over.signal.aborted) await annotateUntilAcknowledged(`id-${next++}`)
  }
  const after = (count: number) =>
    until(() => acknowledged.size >= count, { what: `${count} acknowledged annotations (${acknowledged.size})`, timeoutMs: 120_000 })
  const newGateway = async () => {
    await gateway.stop('SIGKILL')
    gateway = await startGateway(nats.url, cloud.env)
  }
  const newSidecar = async () => {
    await end(sidecar.child, 'SIGKILL')
    await sidecar.restart()
  }
  const newNats = async () => {
    await nats.kill('SIGKILL')
    await delay(500)
    await nats.restart()
  }
  try {
    const working = Array.from({ length: CLIENTS }, work)
    await after(200)
    await newGateway()
    await after(300)
    await newSidecar()
    await after(400)
    await newNats()
    await after(600)
    await Promise.all([newGateway(), newSidecar(), newNats()])
    await after(800)
    await newNats()
    await Promise.all(working)
    t.is(acknowledged.size, COUNT)
    const overMs = Date.now()
    await sidecar.stateWith('packets after it all', ({ connection, at }) => connection === 'streaming' && at > overMs, 60_000)
    await emptyQueue(nats)
    const delivered = new Set(cloud.accepted())
    t.deepEqual(
      [...acknowledged].filter(id => !delivered.has(id)),
      [],
      'acknowledged and not delivered',
    )
    t.deepEqual(
      [...delivered].filter(id => !acknowledged.has(id)),
      [],
      'delivered and not acknowledged',
    )
    t.is((await stored(nats, DEAD_LETTER_STREAM)).length, 0)
    // One that came twice is the same each time.
    for (const { body } of cloud.requests) for (const item of body.data ?? []) t.is(item['object_id'], item.idempotency_key)
    failures.delete('DEADLINE_EXCEEDED')
    t.deepEqual([...failures], ['UNAVAILABLE'])
  } finally {
    over.abort()
    await gateway.stop('SIGKILL')
  }
})

test('annotations that a killed gateway had in flight come from the next one, and a client’s repetition is stored once', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url)
  await using cloud = await startCloud()
  cloud.answer(() => 'hang')
  const all = Array.from({ length: 50 }, (_, i) => `id-${i}`)
  {
    await using gateway = await startGateway(nats.url, cloud.env)
    await until(() => gateway.ready(), { what: 'the gateway to be ready' })
    await using client = grpcClient(gateway.port)
    for (const id of all) await annotate(client, annotation(), id)
    await until(() => cloud.requests.length > 0, { what: 'a call of the cloud' })
    await gateway.stop('SIGKILL')
  }
  cloud.answer(() => ({ status: 200 }))
  await using gateway = await startGateway(nats.url, cloud.env)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  for (const id of all) await annotate(client, annotation(), id)
  await emptyQueue(nats)
  t.deepEqual(cloud.accepted(), all)
  t.is(await gateway.metric('chrysalis_annotations_repeated_total'), all.length)
})
