// The Python client as a program uses it, from its folder, in front of a real gateway and camera.
import test from 'ava'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { testPython } from '../deploy/setup/test-tools.mjs'
import { startCameras, type FakeCamera } from './fixtures/cameras.ts'
import { startGateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { freePort } from './fixtures/ports.ts'
import { end, spawnMortal } from './fixtures/processes.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { until, within } from './fixtures/wait.ts'

const DEAD: FakeCamera = { namespace: 'yard', name: 'dead', uid: 'uid-dead' }
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

type Facts = Record<string, unknown> & { event: string }

/** The program, with what it has said so far. */
function startProgram(address: string, what: 'everything' | 'loop') {
  const env = { ...process.env, PYTHONPATH: path('../clients/python/src'), PYTHONDONTWRITEBYTECODE: '1' }
  const child = spawnMortal(testPython(process.env), [path('fixtures/python_client.py'), address, what], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  })
  const said: Facts[] = []
  let errors = ''
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', line => said.push(JSON.parse(line) as Facts))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const ended = new Promise<number | null>(resolve => child.once('close', code => resolve(code)))
  return { said, ended, errors: () => errors, [Symbol.asyncDispose]: () => end(child) }
}

async function startWorld() {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const sidecar = stack.use(await startSidecar(nats, { name: 'demo', spec: { source: { url: 'testsrc:?size=320x180&rate=10' } } }))
  const cameras = stack.use(await startCameras(nats.url, [sidecar.camera, DEAD]))
  await cameras.report(DEAD, { connection: 'waiting', reason: 'AuthFailed', message: 'the camera says 401', failingStreak: 3 })
  const port = await freePort()
  const startIt = async () => {
    const gateway = await startGateway(nats.url, { CHRYS_GRPC_PORT: String(port) })
    await until(() => gateway.ready(), { what: 'the gateway to be ready' })
    return gateway
  }
  await sidecar.stateWith('packets', ({ connection }) => connection === 'streaming')
  const owned = stack.move()
  return { address: `127.0.0.1:${port}`, cameras, startGateway: startIt, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test('a loop over frames, snapshots, the past, annotations and mistakes, as the documents show them', async t => {
  await using world = await startWorld()
  await using gateway = await world.startGateway()
  await using program = startProgram(world.address, 'everything')
  t.is(await within(program.ended, { what: 'the program', timeoutMs: 90_000 }), 0, program.errors())
  const said = (event: string) => program.said.filter(facts => facts.event === event)
  const one = (event: string): Facts => said(event)[0] ?? { event: 'nothing' }
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
  for (const { expected, got } of said('mistake')) t.is(got, expected)
  t.like(one('batch'), { frames: 1 })
  t.like(one('batches closed'), { threads: [] })
  t.like(one('capture'), { opened: true, ok: true, shape: [180, 320, 3], width: 320 })
  t.like(one('released'), { opened: false })
  t.is(await gateway.metric('chrysalis_annotations_accepted_total'), 1)
})

test('a loop goes on by itself when its gateway was killed, and says that frames are missing', async t => {
  await using world = await startWorld()
  const gateway = await world.startGateway()
  await using program = startProgram(world.address, 'loop')
  await until(() => program.said.length >= 5, { what: 'frames', timeoutMs: 60_000 })
  await gateway.stop('SIGKILL')
  const before = program.said.length
  await using _again = await world.startGateway()
  await until(() => program.said.length >= before + 5, { what: 'frames of the next gateway', timeoutMs: 60_000 })
  t.true(program.said.slice(before).some(({ gap }) => gap === true))
  t.is(program.errors().includes('Traceback'), false, program.errors())
})
