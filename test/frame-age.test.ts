// How old the frames are that clients get who are slower than their camera, and that the others miss none. Wherever frames are decoded.
import { status } from '@grpc/grpc-js'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import type { VideoFrame__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import { failure, grpcClient } from './fixtures/gateway.ts'
import { addCamera, decodedIn, startWorld, WHERE, type Shown, type Where, type World } from './fixtures/shown.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest.serial as TestFn<World>

test.before(async t => void (t.context = await startWorld()))
test.after.always(t => t.context.stack.disposeAsync())

/** Shows frames in time, captured when they are shown, until it is disposed of. */
function film({ encoded, send }: Filmed, where: Where, fps: number): Disposable {
  const epoch = Date.now()
  let seq = 0
  const next = () => {
    const timestamp = Date.now()
    if (where === 'Gateway') encoded.send(seq, { epoch, timestamp })
    else send({ seq, key: seq % 10 === 0, epoch, timestamp })
    timer = setTimeout(next, Math.max(0, epoch + (++seq * 1000) / fps - Date.now()))
  }
  let timer = setTimeout(next)
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}
type Filmed = Shown & { send: (frame: { seq: number; key: boolean; epoch: number; timestamp: number }) => void }

async function filmed(t: ExecutionContext<World>, where: Where): Promise<Filmed> {
  const camera = await addCamera(t, decodedIn(where))
  return { ...camera, send: frame => t.context.cameras.send(camera, frame) }
}

/** `behind`: how many frames after it another client had when it was asked for. */
type Got = { pts: number; ageMs: number; behind: number }

/** Asks so many times a second, or as fast as it is answered, until `forMs` are over. `all`: what the client that takes every frame got. */
async function take(
  ask: () => Promise<VideoFrame__Output>,
  perSecond: number,
  forMs: number,
  all: readonly Got[],
  got: Got[] = [],
): Promise<Got[]> {
  const startMs = Date.now()
  for (let turn = 0; Date.now() < startMs + forMs; turn++) {
    const newest = all.at(-1)?.pts
    const { data, pts, timestamp } = await ask()
    if (data.length > 0) got.push({ pts, ageMs: Date.now() - timestamp, behind: ((newest ?? pts) - pts) / 3000 })
    const restMs = startMs + ((turn + 1) * 1000) / perSecond - Date.now()
    if (restMs > 0) await new Promise(resolve => setTimeout(resolve, restMs))
  }
  return got
}

/** Counted in frames that another client had, which come late too on a machine that is full: test/client-pace.test.ts has the bounds in time. */
function isNewest(t: ExecutionContext<World>, got: readonly Got[]): void {
  const sorted = (of: (one: Got) => number) => got.map(of).toSorted((a, b) => a - b)
  const ages = sorted(({ ageMs }) => ageMs)
  const behind = sorted(one => one.behind)
  const place = Math.floor(got.length * 0.95)
  t.log(
    `${got.length} frames: p50 ${ages[got.length >> 1]}, p95 ${ages[place]}, max ${ages.at(-1)} ms; p95 ${behind[place]}, max ${behind.at(-1)} behind`,
  )
  t.true((behind[place] ?? NaN) <= 1)
}

for (const where of WHERE) {
  for (const [fps, perSecond] of [
    [15, 5],
    [5, 4],
  ] as const) {
    test(`${where}: who takes ${perSecond} of ${fps} frames a second gets new ones, by a stream and by calls, beside one who takes all`, async t => {
      const camera = await filmed(t, where)
      const request = { device_id: camera.name }
      await using one = grpcClient(t.context.gateway.port)
      await using other = grpcClient(t.context.gateway.port)
      await using third = grpcClient(t.context.gateway.port)
      using slow = one.stream()
      using fast = third.stream()
      using _filming = film(camera, where, fps)
      const all: Got[] = []
      const [streamed, called] = await Promise.all([
        take(() => slow.ask(request), perSecond, 10_000, all),
        take(() => other.latest(request), perSecond, 10_000, all),
        take(() => fast.ask(request), Infinity, 10_000, all, all),
      ])
      for (const got of [streamed, called]) {
        t.true(got.length > 6 * perSecond, `${got.length}`)
        isNewest(t, got)
      }
      const seqs = all.map(({ pts }) => pts / 3000)
      t.deepEqual(
        seqs,
        seqs.map((_, i) => (seqs[0] ?? 0) + i),
      )
      t.true(seqs.length > 7 * fps)
    })
  }
}

test('a client may say that it wants the newest frame each time, or none that is older', async t => {
  const camera = await addCamera(t, decodedIn('Sidecar'))
  const request = { device_id: camera.name }
  await using client = grpcClient(t.context.gateway.port)
  using newest = client.stream({ frames: 'newest' })
  using young = client.stream({ frames: 'every', 'max-age-ms': '400' })
  const streams = [newest, young]
  for (const stream of streams) t.is((await stream.ask(request)).data.length, 0)
  const show = (seqs: readonly number[], ageMs: number) => {
    for (const seq of seqs) t.context.cameras.send(camera, { seq, epoch: 1, timestamp: Date.now() - ageMs + seq })
  }
  const received = async (count: number) => {
    await t.context.cameras.nc.flush()
    await until(async () => (await t.context.gateway.metric('chrysalis_frames_received_total', camera.name)) === count, { what: 'frames' })
  }
  show([1, 2, 3], 5_000)
  await received(3)
  t.is((await newest.ask(request)).packet, 3)
  t.is((await young.ask(request)).data.length, 0)
  show([4, 5], 100)
  await received(5)
  t.is((await young.ask(request)).packet, 4)
  t.is((await young.ask(request)).packet, 5)
  t.is((await newest.ask(request)).packet, 5)
})

for (const [fields, message] of [
  [{ frames: 'all' }, 'metadata frames must be "every" or "newest"'],
  [{ frames: '' }, 'metadata frames must be "every" or "newest"'],
  ...['0', '-1', '1.5', '', '1e3', 'soon', '9999999999'].map(
    bad => [{ 'max-age-ms': bad }, 'metadata max-age-ms must be a number of milliseconds from 1 to 999999999'] as const,
  ),
] as const) {
  test(`the metadata ${JSON.stringify(fields)} is refused`, async t => {
    const camera = await addCamera(t, decodedIn('Sidecar'))
    await using client = grpcClient(t.context.gateway.port)
    const { code, details } = await failure(client.latest({ device_id: camera.name }, { ...fields }))
    t.is(code, status.INVALID_ARGUMENT)
    t.is(details, message)
  })
}
