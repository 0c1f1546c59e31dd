import test from 'ava'
import pino from 'pino'
import { ApiAway, ApiError } from '../common/kube/client.ts'
import { Elector, LeadershipLost, leadWith, type Lease, type LeaseSpec, type LeaseStore } from '../operator/kube/leader.ts'
import { until } from './fixtures/wait.ts'

const log = pino({ level: 'silent' })
const TIMES = { duration: 10_000, renewDeadline: 7_000, retry: 2_000 }

/** A Lease as an API server keeps it: a write of an old version is a conflict. */
class Store implements LeaseStore {
  lease: Lease | undefined
  away = false
  writes = 0
  #version = 0

  async get() {
    this.#reach()
    return this.lease === undefined ? undefined : structuredClone(this.lease)
  }
  async create(spec: LeaseSpec) {
    this.#reach()
    if (this.lease !== undefined) throw new ApiError(409, 'AlreadyExists', 'exists')
    return this.#set({ name: 'l', namespace: 'n' }, spec)
  }
  async update(lease: Lease) {
    this.#reach()
    if (lease.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) throw new ApiError(409, 'Conflict', 'changed')
    return this.#set(lease.metadata, lease.spec ?? {})
  }
  #set(metadata: Lease['metadata'], spec: LeaseSpec) {
    this.writes++
    this.lease = { metadata: { ...metadata, resourceVersion: String(++this.#version) }, spec: structuredClone(spec) }
    return structuredClone(this.lease)
  }
  #reach() {
    if (this.away) throw new ApiAway('away')
  }
}

function electors(...names: string[]) {
  const store = new Store()
  const clock = { ms: 0 }
  const make = (name: string) =>
    new Elector(
      store,
      name,
      TIMES,
      () => clock.ms,
      () => 1_700_000_000_000 + clock.ms,
    )
  return { store, clock, electors: names.map(make) as [Elector, Elector] }
}

test('the first takes the lease and renews it, the second waits', async t => {
  const {
    store,
    clock,
    electors: [a, b],
  } = electors('a', 'b')
  t.true(await a.tryHold())
  t.false(await b.tryHold())
  for (let i = 0; i < 20; i++) {
    clock.ms += 2_000
    t.true(await a.tryHold())
    t.false(await b.tryHold())
    t.true(b.isTaken)
  }
  t.like(store.lease?.spec, { holderIdentity: 'a', leaseDurationSeconds: 10, leaseTransitions: 0 })
  t.regex(store.lease?.spec?.renewTime ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
})

test('a lease that has not changed for its duration may be taken, counted from when that was first seen', async t => {
  const {
    store,
    clock,
    electors: [a, b],
  } = electors('a', 'b')
  await a.tryHold()
  clock.ms = 60_000 // b was not there; it has seen nothing yet, however old the lease says it is
  t.false(await b.tryHold())
  t.is(b.waitMs(), 1_000)
  clock.ms += 9_999
  t.false(await b.tryHold())
  t.is(b.waitMs(), 50)
  clock.ms += 1
  t.true(await b.tryHold())
  t.like(store.lease?.spec, { holderIdentity: 'b', leaseTransitions: 1 })
  t.false(await a.tryHold())
  t.false(await a.tryHold())
  t.true(a.isTaken)
})

test('a released lease is free at once', async t => {
  const {
    electors: [a, b],
  } = electors('a', 'b')
  await a.tryHold()
  t.false(await b.tryHold())
  await a.release()
  t.true(await b.tryHold())
})

test('of two who take a free lease at once only one gets it', async t => {
  const {
    electors: [a, b],
  } = electors('a', 'b')
  const first = await Promise.all([a.tryHold(), b.tryHold()])
  t.is(first.filter(held => held).length, 1)
})

test('the holder counts its own duration, not ours', async t => {
  const {
    store,
    clock,
    electors: [a, b],
  } = electors('a', 'b')
  await a.tryHold()
  if (store.lease?.spec) store.lease.spec.leaseDurationSeconds = 60
  t.false(await b.tryHold())
  clock.ms += 59_000
  t.false(await b.tryHold())
  clock.ms += 1_000
  t.true(await b.tryHold())
})

const QUICK = { duration: 1_000, renewDeadline: 150, retry: 20 }

test('the leader renews, ends when it is stopped, and leaves the lease free', async t => {
  const store = new Store()
  const stop = new AbortController()
  const changes: boolean[] = []
  const ended = leadWith(
    new Elector(store, 'a', QUICK),
    QUICK,
    async signal => {
      await until(() => store.writes > 3, { what: 'renewals' })
      stop.abort()
      t.true(signal.aborted)
    },
    leads => changes.push(leads),
    log,
    stop.signal,
  )
  await ended
  t.deepEqual(changes, [true, false])
  t.is(store.lease?.spec?.holderIdentity, '')
})

test('a leader that cannot renew its lease in time is told to stop, and ends with an error', async t => {
  const store = new Store()
  let told = false
  const ended = leadWith(
    new Elector(store, 'a', QUICK),
    QUICK,
    signal => {
      store.away = true
      return new Promise(() => signal.addEventListener('abort', () => (told = true)))
    },
    () => {},
    log,
    new AbortController().signal,
  )
  await t.throwsAsync(ended, { instanceOf: LeadershipLost })
  t.true(told)
})

test('a leader whose lease another holds is told at once', async t => {
  const store = new Store()
  const times = { ...QUICK, renewDeadline: 60_000 }
  const ended = leadWith(
    new Elector(store, 'a', times),
    times,
    async () => {
      const lease = (await store.get()) as Lease
      await store.update({ ...lease, spec: { ...lease.spec, holderIdentity: 'b' } })
      await new Promise(() => {})
    },
    () => {},
    log,
    new AbortController().signal,
  )
  await t.throwsAsync(ended, { instanceOf: LeadershipLost })
})

test('who waits for the lease while the API server is unreachable takes it when it is back', async t => {
  const store = new Store()
  store.away = true
  const stop = new AbortController()
  const ended = leadWith(
    new Elector(store, 'a', QUICK),
    QUICK,
    async () => stop.abort(),
    () => {},
    log,
    stop.signal,
  )
  setTimeout(() => (store.away = false), 50)
  await ended
  t.is(store.lease?.spec?.holderIdentity, '')
})
