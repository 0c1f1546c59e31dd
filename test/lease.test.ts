import test from 'ava'
import pino from 'pino'
import { openBucket } from '../common/nats/buckets.ts'
import { connectNats, type Nats } from '../common/nats/connect.ts'
import { aborted } from '../common/abort.ts'
import { cameraKey } from '../proto/subjects.ts'
import { acquireLease, whileHolding, type Lease } from '../sidecar/lease.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { until, within } from './fixtures/wait.ts'

const log = pino({ level: 'silent' })
const never = new AbortController().signal
const TIMES = { ttlMs: 1_500, renewMs: 100 }
const camera = { namespace: 'default', name: 'front', uid: 'u1' }

const link = (server: NatsServer): Promise<Nats> => connectNats('test', { url: server.url, credsFile: undefined }, log, never)

type Asking = { uid?: string; onWaiting?: (holder: string) => void; signal?: AbortSignal; times?: typeof TIMES }

const ask = (nats: Nats, holder: string, { uid = 'u1', onWaiting = () => {}, signal = never, times = TIMES }: Asking = {}) =>
  acquireLease({ nats, camera: { ...camera, uid }, holder, log, onWaiting, times }, signal)

async function acquired(nats: Nats, holder: string, asking?: Asking): Promise<Lease> {
  const lease = await within(ask(nats, holder, asking), { what: `the lease of ${holder}` })
  if (lease === undefined) throw new Error('no lease')
  return lease
}

test('the second waits, is told for whom, and gets the lease as soon as the first lets go', async t => {
  await using server = await startNats()
  await using nats = await link(server)
  const first = await acquired(nats, 'a')
  const holders: string[] = []
  const second = ask(nats, 'b', { onWaiting: holder => holders.push(holder), times: { ...TIMES, ttlMs: 600_000 } })
  await until(() => holders.length > 0, { what: 'the second to wait' })
  t.deepEqual(holders, ['a'])
  t.false(first.lost.aborted)
  await first[Symbol.asyncDispose]()
  await using lease = (await within(second, { what: 'the second' })) as Lease
  t.false(lease.lost.aborted)
})

test('of ten who ask at once one holds the lease at any time', async t => {
  await using server = await startNats()
  await using nats = await link(server)
  let holding = 0
  let most = 0
  await Promise.all(
    Array.from({ length: 10 }, async (_, i) => {
      await using lease = await acquired(nats, `h${i}`, { times: { ttlMs: 600_000, renewMs: 20 } })
      most = Math.max(most, ++holding)
      await new Promise(resolve => setTimeout(resolve, 30))
      t.false(lease.lost.aborted)
      holding--
    }),
  )
  t.is(most, 1)
})

test('the lease of one who is dead is taken after its ttl, and one who was only believed to be dead must stop', async t => {
  await using server = await startNats()
  await using other = await link(server)
  const nats = await link(server)
  let reachable = true
  const partitioned: Nats = { ...nats, nc: nats.nc, connected: () => reachable && nats.connected() }
  const first = await acquired(partitioned, 'a')
  reachable = false
  const begun = performance.now()
  await using second = await acquired(other, 'b')
  t.true(performance.now() - begun >= TIMES.ttlMs)
  t.false(first.lost.aborted) // it can't know
  reachable = true
  await until(() => first.lost.aborted, { what: 'the first to learn of it' })
  t.false(second.lost.aborted)
  await first[Symbol.asyncDispose]()
  await nats[Symbol.asyncDispose]()
  await until(async () => (await (await openBucket(other.nc, 'leases')).get(cameraKey(camera)))?.string().includes('"b"'), {
    what: 'the lease of b',
  })
})

test('the next process of the same pod need not wait, and the one before must stop', async t => {
  await using server = await startNats()
  await using nats = await link(server)
  const times = { ...TIMES, ttlMs: 600_000 }
  await using first = await acquired(nats, 'pod', { times })
  await using second = await acquired(nats, 'pod', { times })
  await until(() => first.lost.aborted, { what: 'the first to learn of it' })
  t.false(second.lost.aborted)
})

test('of two of one name the one that has lost the lease waits, and does not take it back', async t => {
  await using server = await startNats()
  await using nats = await link(server)
  const times = { ...TIMES, ttlMs: 600_000 }
  const over = new AbortController()
  const turns: string[] = []
  const hold = (name: string) =>
    whileHolding(
      { nats, camera, holder: 'pod', log, times, onWaiting: () => void turns.push(`${name} waits`) },
      async (_, signal) => {
        turns.push(name)
        await aborted(signal)
      },
      over.signal,
    )
  const first = hold('first')
  await until(() => turns.length === 1, { what: 'the first' })
  const second = hold('second')
  await until(() => turns.includes('first waits'), { what: 'the first to wait' })
  await new Promise(resolve => setTimeout(resolve, 1_500))
  t.deepEqual(turns, ['first', 'second', 'first waits'])
  over.abort()
  await Promise.all([first, second])
})

test('the epochs of earlier holders are told, those of one who died and of a namesake too', async t => {
  await using server = await startNats()
  await using nats = await link(server)
  const first = await acquired(nats, 'a')
  t.is(first.lastEpoch, 0)
  first.setEpoch(1_000)
  first.setEpoch(500) // an epoch never goes back
  await first[Symbol.asyncDispose]()
  const crashing = await link(server)
  const second = await acquired(crashing, 'b', { uid: 'u2' })
  t.is(second.lastEpoch, 1_000)
  second.setEpoch(2_000)
  await until(async () => (await (await openBucket(nats.nc, 'leases')).get(cameraKey(camera)))?.string().includes('2000'), {
    what: 'the epoch',
  })
  await crashing.nc.close()
  await using third = await acquired(nats, 'c')
  t.is(third.lastEpoch, 2_000)
  await second[Symbol.asyncDispose]()
})

test('NATS may go away and come back, emptied, without the lease being lost', async t => {
  await using server = await startNats()
  await using nats = await link(server)
  await using lease = await acquired(nats, 'a')
  await server.kill()
  await new Promise(resolve => setTimeout(resolve, TIMES.ttlMs))
  t.false(lease.lost.aborted)
  await server.restart() // the bucket is in memory
  await until(async () => (await (await openBucket(nats.nc, 'leases')).get(cameraKey(camera)))?.operation === 'PUT', { what: 'the lease' })
  t.false(lease.lost.aborted)
})

test('a lease that nobody can read is free', async t => {
  await using server = await startNats()
  await using nats = await link(server)
  await (await openBucket(nats.nc, 'leases')).put(cameraKey(camera), 'garbage')
  await using lease = await acquired(nats, 'a')
  t.is(lease.lastEpoch, 0)
})

test('who waits can be told to give up', async t => {
  await using server = await startNats()
  await using nats = await link(server)
  await using _first = await acquired(nats, 'a')
  const stop = new AbortController()
  const waiting = ask(nats, 'b', { signal: stop.signal, onWaiting: () => stop.abort() })
  t.is(await within(waiting, { what: 'the end' }), undefined)
})
