// The Python client as a program uses it, from its folder, in front of a real gateway and camera.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import ava, { type ExecutionContext, type TestFn } from 'ava'
import type { Gateway } from './fixtures/gateway.ts'
import { startPythonClient, startWorld, type Facts } from './fixtures/python-client.ts'
import { until, within } from './fixtures/wait.ts'

type Shared = { address: string; gateway: Gateway; stack: AsyncDisposableStack }
const test = ava as TestFn<Shared>

test.before(async t => {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await startWorld())
  t.context = { address: world.address, gateway: stack.use(await world.startGateway()), stack }
})
test.after.always(t => t.context.stack?.disposeAsync())

test('a loop over frames, snapshots, the past, annotations and mistakes, as the documents show them', async t => {
  const { one } = await run(t, 'everything')
  t.like(one('frame'), { shape: [160, 160, 3], shared: true })
  t.true(Number(one('frame')['age']) < 5)
  // 320x180 fits into 160x160 as 160x90, with 35 rows above and below.
  t.deepEqual(one('frame')['box'], [0, 0, 320, 180])
  t.like(one('ids'), { distinct: 10 })
  t.like(one('snapshot'), { shape: [180, 320, 3] })
  t.like(one('then'), { id: one('snapshot')['id'], same: true })
  t.is(one('past')['last'], one('snapshot')['id'])
  t.true(Number(one('past')['count']) >= 8)
  t.deepEqual(one('cameras')['names'], ['demo', 'yard/dead'])
  t.deepEqual(one('cameras')['why'], [null, 'AuthFailed'])
  t.like(one('batch'), { frames: 1 })
  t.like(one('batches closed'), { threads: [] })
  t.like(one('capture'), { opened: true, ok: true, shape: [180, 320, 3], width: 320 })
  t.like(one('released'), { opened: false })
})

/** Runs a part of the program to its end. */
async function run(t: ExecutionContext<Shared>, what: string) {
  await using program = startPythonClient(t.context.address, what)
  t.is(await within(program.ended, { what: 'the program', timeoutMs: 90_000 }), 0, program.errors())
  const said = (event: string) => program.said.filter(facts => facts.event === event)
  return { said, one: (event: string): Facts => said(event)[0] ?? { event: 'nothing' }, errors: program.errors() }
}

test('the program of the documents runs as it stands there', async t => {
  const { one } = await run(t, 'issue')
  t.deepEqual(one('annotated')['box'], [0, 0, 320, 180])
  t.true((await t.context.gateway.metric('chrysalis_annotations_accepted_total')) >= 1)
  t.deepEqual(one('selected'), { event: 'selected', names: ['demo', 'yard/dead'], why: 'AuthFailed' })
})

test('each mistake has a class of exceptions, and the message says what to do', async t => {
  const { said, one } = await run(t, 'mistakes')
  t.is(said('mistake').length, 15)
  for (const { expected, got, message } of said('mistake')) {
    t.is(got, String(expected).split(' ')[0], `${String(expected)}: ${String(message)}`)
    t.true(String(message).length > 10)
  }
  t.regex(String(one('closed')['message']), /closed/)
})

test('a slow loop gets the newest frames, or each one in order, or keyframes alone, or none too old', async t => {
  const { one, said } = await run(t, 'pace')
  t.true(Number(one('slow')['skipped']) >= 3)
  // It sleeps for 1.2 s meanwhile: four frames in order would span 0.3 s.
  t.true(Number(one('slow')['seconds']) > 0.7)
  t.is(one('every')['skipped'], 0)
  t.deepEqual(one('keyframes')['keys'], [true, true])
  // The loop sleeps for 0.5 s: without a limit it would fall behind by a second and more.
  for (const { decode, age, skipped } of said('young')) {
    t.true(Number(age) < 0.6, `${String(decode)}: ${String(age)} s old`)
    t.true(Number(skipped) >= 3, String(decode))
  }
  t.is(said('young').length, 2)
})

test('packets begin with a keyframe, and have the ids of the frames that they decode to', async t => {
  const { one } = await run(t, 'packets')
  t.like(one('packets'), { codec: 'h264', key: true })
  t.is(one('same id')['same'], true)
})

test('frames that are decoded in the program are the gateway’s, with the same ids, sizes and places', async t => {
  const { said, one, errors } = await run(t, 'local')
  t.is(said('local').length, 6, errors)
  for (const { look, pairs, difference, shape, box, time, key, age } of said('local')) {
    const what = String(look)
    t.is(pairs, 4, what)
    t.true(Number(difference) <= 2, `${what}: ${String(difference)}`)
    for (const both of [box, time, key, ...(what.includes('jpeg') ? [] : [shape])] as unknown[][]) t.deepEqual(both[0], both[1], what)
    t.true(Number(age) < 5, what)
  }
  t.is(said('local').at(-1)?.['jpeg'], 'ffd8')
  t.true(Number(one('slow')['skipped']) >= 3)
  t.true(Number(one('slow')['seconds']) > 0.7)
  t.true(Number(one('rate')['seconds']) >= 0.8)
  t.deepEqual(one('local closed')['threads'], [])
})

test('a call that breaks is made again where it was, and a gap is said only where frames are missing', async t => {
  const { said, one } = await run(t, 'scripted')
  const watched = Object.fromEntries(said('watch').map(({ name, got, after }) => [name, { got, after }]))
  t.deepEqual(watched, {
    'nothing missed': { got: frames('a b c d'), after: ['b', 'd'] },
    'missed, as the gateway says': { got: frames('a b c! d'), after: ['b', 'd'] },
    'missed by its place': { got: frames('a b f! g'), after: ['b', 'b', 'b', 'g'] },
    'thinned as before': { got: frames('a c e'), after: ['c', 'e'] },
    'a renewed token': { got: frames('a b c'), after: ['b', 'c'] },
  })
  t.deepEqual(Object.fromEntries(said('packets').map(({ name, got }) => [name, got])), {
    'the GOP again': frames('a b c'),
    'the next GOP': frames('a b d! e'),
  })
  t.like(one('past'), { got: ['a', 'b', 'c'], starts: [0, 1100] })
  t.deepEqual(
    said('mistake').map(({ got }) => got),
    ['NotAuthenticated', 'NotAuthenticated'],
  )
})

/** Ids, `!` behind those with a gap before them. */
const frames = (text: string) => text.split(' ').map(id => [id.replace('!', ''), id.endsWith('!')])

test('pixels are not copied between the message and the array, nor by DLPack', async t => {
  const { one } = await run(t, 'addresses')
  t.like(one('addresses'), { inside: true, dlpack: true, writeable: false })
})

test('Ctrl-C ends a loop that waits for a frame at once, and no thread is left', async t => {
  await using program = startPythonClient(t.context.address, 'interrupted')
  await until(() => program.said.length >= 1, { what: 'a frame', timeoutMs: 60_000 })
  program.interrupt()
  // The next frame would come after twenty seconds.
  t.is(await within(program.ended, { what: 'the end of the program', timeoutMs: 10_000 }), 0, program.errors())
  t.deepEqual(program.said.at(-1), { event: 'interrupted', threads: [] })
})

test('after a fork an Edge says that it cannot be used in the child, and goes on in the parent', async t => {
  const { one } = await run(t, 'forked')
  t.regex(String(one('child')['got']), /fork/)
  t.regex(String(one('new')['got']), /fork/)
  t.is(one('parent')['ok'], true)
})

test('asyncio has the same: frames, snapshots, the past, batches, packets, annotations, mistakes', async t => {
  const { said, one, errors } = await run(t, 'asynchronous')
  t.like(one('frame'), { shape: [160, 160, 3], box: [0, 0, 320, 180] })
  t.like(one('ids'), { distinct: 10 })
  t.is(one('then')['same'], true)
  t.is(one('past')['last'], true)
  t.like(one('cameras'), { names: ['demo', 'yard/dead'], why: 'AuthFailed' })
  t.like(one('batch'), { frames: 1 })
  t.like(one('packet'), { key: true })
  t.like(one('local'), { shape: [36, 64, 3] })
  t.is(said('mistake').length, 2)
  for (const { expected, got } of said('mistake')) t.is(got, expected)
  t.like(one('cancelled'), { ok: true })
  t.like(one('closed'), { got: 'ended' })
  t.is(errors.includes('Traceback'), false, errors)
})

test('a loop whose connection breaks misses no frame that the gateway still holds, and says of no gap', async t => {
  const [, port] = t.context.address.split(':')
  await using relay = await startRelay(Number(port))
  await using program = startPythonClient(`127.0.0.1:${relay.port}`, 'all_frames')
  await until(() => program.said.length >= 3, { what: 'frames', timeoutMs: 60_000 })
  relay.cut()
  const before = program.said.length
  await until(() => program.said.length >= before + 4, { what: 'frames of the next connection', timeoutMs: 60_000 })
  t.true(relay.connections > 1)
  const times = program.said.map(({ time }) => Number(time))
  for (const [i, time] of times.slice(1).entries()) t.true(time - (times[i] ?? 0) < 0.75, times.join(' '))
  // Later ones may have a gap of their own: a busy machine leaves frames out.
  t.deepEqual(
    program.said.slice(before, before + 2).map(({ gap }) => gap),
    [false, false],
  )
})

/** A port of its own in front of another one. */
async function startRelay(to: number) {
  const pairs = new Set<Socket>()
  let connections = 0
  const server = createServer(near => {
    connections++
    const far = connect(to, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      pairs.add(one)
      one.on('error', () => {}).on('close', () => other.destroy())
      one.pipe(other)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of pairs) socket.destroy()
    pairs.clear()
  }
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections
    },
    cut,
    async [Symbol.asyncDispose]() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}

test('a loop goes on by itself when its gateway was killed, and says that frames are missing', async t => {
  await using world = await startWorld()
  const gateway = await world.startGateway()
  await using program = startPythonClient(world.address, 'loop')
  await until(() => program.said.length >= 5, { what: 'frames', timeoutMs: 60_000 })
  await gateway.stop('SIGKILL')
  const before = program.said.length
  await using _again = await world.startGateway()
  await until(() => program.said.length >= before + 5, { what: 'frames of the next gateway', timeoutMs: 60_000 })
  t.true(program.said.slice(before).some(({ gap }) => gap === true))
  t.is(program.errors().includes('Traceback'), false, program.errors())
})
