// Groups: several calls of Watch, at several gateways, share cameras out among themselves.
import anyTest, { type TestFn } from 'ava'
import { addStreaming, film, reportStreaming, startWorld, type World } from './fixtures/frames-world.ts'
import { framesClient, type WatchCall } from './fixtures/frames-client.ts'
import { startGateway } from './fixtures/gateway.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest.serial as TestFn<World>

test.before(async t => void (t.context = await startWorld()))
test.after.always(t => t.context.stack.disposeAsync())

const RENDITION = { width: 16, height: 16, format: 'PIXEL_FORMAT_GRAY8' } as const

/** The cameras that a call had frames of since its frame number `from`. */
const camerasOf = (call: WatchCall, from = 0): Set<string> => new Set(call.frames.slice(from).map(({ camera }) => camera))

/** Every camera's frames come at one of the calls, and at one only, `each` of them at every call. */
async function shared(calls: readonly WatchCall[], names: readonly string[], each: number): Promise<void> {
  const marks = () => calls.map(({ frames }) => frames.length)
  let from = marks()
  let [sinceMs, found] = [performance.now(), '']
  await until(
    () => {
      const counts = calls.map((call, i) => camerasOf(call, from[i]).size)
      found = counts.join(' ')
      if (counts.every(count => count === each) && names.every(name => calls.some((call, i) => camerasOf(call, from[i]).has(name))))
        return true
      // Looked at anew, as cameras that have moved count at both.
      if (performance.now() - sinceMs > 600) [from, sinceMs] = [marks(), performance.now()]
      return false
    },
    { what: `${each} cameras at each of ${calls.length} calls; found ${found}`, everyMs: 50 },
  )
}

test('cameras are shared out over two gateways: none to two, all to someone, again when a member comes, dies or is slow', async t => {
  const { nats, gateway } = t.context
  await using second = await startGateway(nats.url)
  const shown = await Promise.all(Array.from({ length: 6 }, () => addStreaming(t, { labels: { site: 'shop' } })))
  const names = shown.map(({ name }) => name)
  const report = () => Promise.all(shown.map(camera => reportStreaming(t, camera, { fps: 10 })))
  await report()
  using _film = film(shown, 100)
  const reporting = setInterval(() => void report(), 2_000)
  await using clients = new AsyncDisposableStack()
  const join = (port: number) => {
    const client = clients.use(framesClient(port))
    const call = client.watch({ wish: { selector: 'site=shop', rendition: RENDITION, group: 'detector', mode: 'MODE_EVERY' }, credit: 20 })
    call.onFrame = () => call.send({ credit: 1 })
    return call
  }
  try {
    using one = join(gateway.port)
    await shared([one], names, 6)
    using two = join(second.port)
    await shared([one, two], names, 3)
    using three = join(gateway.port)
    await shared([one, two, three], names, 2)
    t.is(await gateway.metric('chrysalis_group_members', 'group="detector"'), 2)
    await until(async () => Math.abs((await gateway.metric('chrysalis_group_wanted_fps', 'group="detector"')) - 40) < 8, {
      what: 'wanted fps',
    })
    await until(async () => (await gateway.metric('chrysalis_group_taken_fps', 'group="detector"')) > 25, { what: 'taken fps' })
    t.true((await gateway.metric('chrysalis_group_age_seconds', 'group="detector"')) < 1)

    const diedMs = performance.now()
    const atDeath = [one, three].map(({ frames }) => frames.length)
    await second.stop('SIGKILL')
    await until(() => names.every(name => [one, three].some((call, i) => camerasOf(call, (atDeath[i] ?? 0) + 5).has(name))), {
      what: 'all cameras at the other gateway',
      everyMs: 20,
    })
    t.true(performance.now() - diedMs < 5_000, `${Math.round(performance.now() - diedMs)} ms`)
    await shared([one, three], names, 3)

    // Each frame came to one of them.
    const ids = [one, two, three].flatMap(call => call.frames.map(({ camera, id }) => `${camera} ${id}`))
    t.is(ids.length, new Set(ids).size)
    t.true(one.statuses.some(({ state }) => state === 'STATE_GONE'))

    three.halfClose()
    await three.ended
    await shared([one], names, 6)
    await until(async () => (await gateway.metric('chrysalis_group_members', 'group="detector"')) === 1, { what: 'one member' })
  } finally {
    clearInterval(reporting)
  }
})

test('a member that cannot keep up gets fewer cameras', async t => {
  const shown = await Promise.all(Array.from({ length: 4 }, () => addStreaming(t, { labels: { site: 'yard' } })))
  const report = () => Promise.all(shown.map(camera => reportStreaming(t, camera, { fps: 10 })))
  await report()
  using _film = film(shown, 100)
  const reporting = setInterval(() => void report(), 2_000)
  await using clients = new AsyncDisposableStack()
  const join = (delayMs: number) => {
    const call = clients
      .use(framesClient(t.context.gateway.port))
      .watch({ wish: { selector: 'site=yard', rendition: RENDITION, group: 'slow' }, credit: 1 })
    call.onFrame = () => setTimeout(() => call.send({ credit: 1 }), delayMs)
    return call
  }
  try {
    using fast = join(0)
    using slow = join(250)
    const latest = (call: WatchCall) => new Set(call.frames.slice(-12).map(({ camera }) => camera)).size
    const isTold = () => slow.frames.length > 12 && latest(slow) === 1 && latest(fast) === 3
    t.true(await until(isTold, { what: 'three cameras at the fast one, one at the slow one' }))
  } finally {
    clearInterval(reporting)
  }
})

test('groups of other names, and calls without a group, get all of their cameras', async t => {
  const shown = await Promise.all(Array.from({ length: 2 }, () => addStreaming(t, { labels: { site: 'attic' } })))
  using _film = film(shown, 100)
  await using client = framesClient(t.context.gateway.port)
  const calls = ['one', 'two', ''].map(group =>
    client.watch({ wish: { selector: 'site=attic', rendition: RENDITION, group }, credit: 1_000 }),
  )
  await until(() => calls.every(call => camerasOf(call).size === 2), { what: 'both cameras at each call' })
  for (const call of calls) call[Symbol.dispose]()
  t.deepEqual(
    calls.map(call => [...camerasOf(call)].sort()),
    calls.map(() => shown.map(({ name }) => name).sort()),
  )
})
