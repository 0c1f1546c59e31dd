// The gateway as a process, between a real nats-server and stock gRPC clients. Cameras are stand-ins that send real messages.
import { status } from '@grpc/grpc-js'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import type { VideoFrame__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import { refText } from '../proto/subjects.ts'
import { RUN, startCameras, type Cameras, type FakeCamera } from './fixtures/cameras.ts'
import { failure, grpcClient, startGateway, type Gateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { until, within } from './fixtures/wait.ts'

type World = { cameras: Cameras; gateway: Gateway; stack: AsyncDisposableStack }
const test = anyTest as TestFn<World>
type T = ExecutionContext<World>

test.before(async t => {
  const stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const cameras = stack.use(await startCameras(nats.url))
  const gateway = stack.use(await startGateway(nats.url))
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  t.context = { cameras, gateway, stack }
})
test.after.always(t => t.context.stack.disposeAsync())

let made = 0
/** A camera of the test's own, which the gateway knows. */
async function addCamera({ context: { cameras, gateway } }: T, change: Partial<FakeCamera> = {}): Promise<FakeCamera> {
  const number = ++made
  const camera = { namespace: 'default', name: `cam-${number}`, uid: `uid-${number}`, ...change }
  await cameras.put(camera)
  await known(gateway, camera)
  return camera
}

async function known(gateway: Gateway, { namespace, name }: FakeCamera): Promise<void> {
  await using client = grpcClient(gateway.port)
  const id = namespace === 'default' ? name : `${namespace}/${name}`
  await until(async () => (await client.list()).some(stream => stream.name === id), { what: `the gateway to know ${id}` })
}

/** Returns once the gateway listens for the camera's frames, which a request makes it do. */
async function watched({ context: { cameras } }: T, camera: FakeCamera): Promise<void> {
  await until(() => cameras.demands.some(demand => demand.camera === refText(camera)), { what: `demand for ${refText(camera)}` })
}

/** Asks until `count` frames have come; nothing but frames and empty answers may come. */
async function take(count: number, ask: () => Promise<VideoFrame__Output>): Promise<VideoFrame__Output[]> {
  const frames: VideoFrame__Output[] = []
  await until(
    async () => {
      const frame = await ask()
      if (frame.data.length > 0) frames.push(frame)
      return frames.length >= count
    },
    { what: `${count} frames`, everyMs: 0 },
  )
  return frames
}

/** For clients that find several frames at once, which are not to count as slow. */
const EVERY = { frames: 'every' }

const seqs = (frames: readonly VideoFrame__Output[]): number[] => frames.map(frame => frame.packet)
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

type Player = { ask: () => Promise<VideoFrame__Output>; keyframesOnly?: boolean }

/**
 * Sends frames from … to while the clients ask, as fast as they keep up, and returns what each got. How busy the machine is thus
 * doesn't matter: each frame comes when all clients have the one before.
 */
async function play(t: T, camera: FakeCamera, [from, to]: [number, number], players: readonly Player[], options: Play = {}) {
  const { gop = Infinity, ...size } = options
  const got = players.map(() => [] as VideoFrame__Output[])
  const last = (i: number) => got[i]?.at(-1)?.packet ?? from - 1
  const keepsUp = (seq: number) =>
    players.every(({ keyframesOnly }, i) => seq - last(i) <= (keyframesOnly === true ? gop + (gop - 1 - (seq % gop)) : 1))
  const send = async () => {
    for (const seq of range(from, to)) {
      await until(() => keepsUp(seq), { what: `all clients to come near frame ${seq}`, everyMs: 2 })
      t.context.cameras.send(camera, { seq, key: seq % gop === 0, ...size })
    }
  }
  const collect = async ({ ask, keyframesOnly }: Player, i: number) => {
    for (const end = keyframesOnly === true ? to - (to % gop) : to; last(i) < end;) {
      const frame = await ask()
      if (frame.data.length > 0) got[i]?.push(frame)
    }
  }
  await within(Promise.all([send(), ...players.map(collect)]), { what: `frames ${from} to ${to}`, timeoutMs: 60_000 })
  return got
}
type Play = { gop?: number; width?: number; height?: number }

test('two clients each get every frame, in order, with every byte', async t => {
  const camera = await addCamera(t)
  await using one = grpcClient(t.context.gateway.port)
  await using other = grpcClient(t.context.gateway.port)
  using a = one.stream()
  using b = other.stream()
  t.is((await a.ask({ device_id: camera.name })).data.length, 0)
  t.is((await b.ask({ device_id: camera.name })).data.length, 0)
  const players = [a, b].map(stream => ({ ask: () => stream.ask({ device_id: camera.name }) }))
  const [ofA = [], ofB = []] = await play(t, camera, [1, 40], players)
  t.deepEqual(seqs(ofA), range(1, 40))
  t.deepEqual(seqs(ofB), range(1, 40))
  for (const frame of ofA) {
    t.is(frame.device_id, camera.name)
    t.deepEqual(
      frame.shape?.dim?.map(({ size }) => size),
      [frame.height, frame.width, 3],
    )
    t.true(frame.data.equals(Buffer.alloc(16 * 8 * 3, frame.packet)))
  }
})

test('a client that makes a call for each frame gets every frame once', async t => {
  const camera = await addCamera(t)
  await using client = grpcClient(t.context.gateway.port)
  t.is((await client.latest({ device_id: camera.name })).data.length, 0)
  const [frames = []] = await play(t, camera, [1, 40], [{ ask: () => client.latest({ device_id: camera.name }) }])
  t.deepEqual(seqs(frames), range(1, 40))
})

test('clients of one connection that give ids have a cursor each', async t => {
  const camera = await addCamera(t)
  await using client = grpcClient(t.context.gateway.port)
  const as = (id: string) => () => client.latest({ device_id: camera.name }, { 'client-id': id })
  await Promise.all([as('a')(), as('b')()])
  const [ofA = [], ofB = []] = await play(t, camera, [1, 30], [{ ask: as('a') }, { ask: as('b') }])
  t.deepEqual(seqs(ofA), range(1, 30))
  t.deepEqual(seqs(ofB), range(1, 30))
})

test('clients whose id is empty are known by their connections', async t => {
  const camera = await addCamera(t)
  await using first = grpcClient(t.context.gateway.port)
  await using second = grpcClient(t.context.gateway.port)
  const players = [first, second].map(client => ({ ask: () => client.latest({ device_id: camera.name }, { 'client-id': '' }) }))
  await Promise.all(players.map(({ ask }) => ask()))
  for (const got of await play(t, camera, [1, 30], players)) t.deepEqual(seqs(got), range(1, 30))
})

test('a stream takes no frames from the calls beside it on the same connection', async t => {
  const camera = await addCamera(t)
  await using client = grpcClient(t.context.gateway.port)
  const request = { device_id: camera.name }
  await client.latest(request)
  t.context.cameras.send(camera, { seq: 1 })
  using stream = client.stream()
  const [first] = await take(1, () => stream.ask(request)) // with the connection's cursor
  await stream.ask(request) // and now it is known to be a stream
  t.deepEqual(seqs([...(first ? [first] : [])]), [1])
  t.deepEqual(seqs(await take(1, () => client.latest(request))), [1])
  const players = [{ ask: () => stream.ask(request) }, { ask: () => client.latest(request) }]
  const [ofStream = [], ofCalls = []] = await play(t, camera, [2, 21], players)
  t.deepEqual(seqs(ofStream), range(2, 21))
  t.deepEqual(seqs(ofCalls), range(2, 21))
})

test('a picture that the sidecar sends again is not served again', async t => {
  const { cameras, gateway } = t.context
  const camera = await addCamera(t)
  await using client = grpcClient(gateway.port)
  await client.latest({ device_id: camera.name }, EVERY)
  cameras.send(camera, { seq: 1, key: true })
  cameras.send(camera, { seq: 2 })
  cameras.send(camera, { seq: 3, key: true, timestamp: RUN + 1 }) // the keyframe once more, as its decoder begins anew
  cameras.send(camera, { seq: 4 })
  t.deepEqual(seqs(await take(3, () => client.latest({ device_id: camera.name }, EVERY))), [1, 2, 4])
  t.is(await gateway.metric('chrysalis_frames_repeated_total', refText(camera)), 1)
})

test('two cameras share one stream', async t => {
  const [left, right] = [await addCamera(t), await addCamera(t)]
  await using client = grpcClient(t.context.gateway.port)
  using stream = client.stream(EVERY)
  const got = new Map<string, number[]>([left, right].map(({ name }) => [name, []]))
  let turn = 0
  const next = async () => {
    const { name } = turn++ % 2 === 0 ? left : right
    const frame = await stream.ask({ device_id: name })
    t.is(frame.device_id, name)
    if (frame.data.length > 0) got.get(name)?.push(frame.packet)
    return frame
  }
  await next()
  await next()
  for (const seq of range(1, 5)) for (const camera of [left, right]) t.context.cameras.send(camera, { seq })
  await take(10, next)
  t.deepEqual(got.get(left.name), range(1, 5))
  t.deepEqual(got.get(right.name), range(1, 5))
})

test('one client’s key_frame_only leaves the other’s frames alone', async t => {
  const camera = await addCamera(t)
  await using one = grpcClient(t.context.gateway.port)
  await using other = grpcClient(t.context.gateway.port)
  using all = one.stream()
  using keys = other.stream()
  await all.ask({ device_id: camera.name })
  await keys.ask({ device_id: camera.name, key_frame_only: true })
  const players = [
    { ask: () => all.ask({ device_id: camera.name }) },
    { ask: () => keys.ask({ device_id: camera.name, key_frame_only: true }), keyframesOnly: true },
  ]
  const [ofAll = [], ofKeys = []] = await play(t, camera, [1, 45], players, { gop: 10 })
  t.deepEqual(seqs(ofAll), range(1, 45))
  t.deepEqual(seqs(ofKeys), [10, 20, 30, 40])
  t.true(ofKeys.every(frame => frame.is_keyframe))
})

test('keyframes alone are demanded until somebody wants all frames', async t => {
  const camera = await addCamera(t)
  await using client = grpcClient(t.context.gateway.port)
  const wants = () => t.context.cameras.demands.filter(demand => demand.camera === refText(camera)).map(demand => demand.wants)
  await client.latest({ device_id: camera.name, key_frame_only: true })
  await until(() => wants().length >= 2, { what: 'the demand to be repeated' })
  t.deepEqual([...new Set(wants())], ['keyframes'])
  await client.latest({ device_id: camera.name })
  await until(() => wants().at(-1) === 'all', { what: 'demand for all frames' })
  t.pass()
})

test('without a new frame the answer comes after 48 ms, with the device_id and nothing else', async t => {
  const camera = await addCamera(t)
  await using client = grpcClient(t.context.gateway.port)
  using stream = client.stream()
  await stream.ask({ device_id: camera.name })
  const took: number[] = []
  for (let i = 0; i < 20; i++) {
    const startMs = performance.now()
    const frame = await stream.ask({ device_id: camera.name })
    took.push(performance.now() - startMs)
    t.like(frame, { device_id: camera.name, width: 0, height: 0, timestamp: 0, is_keyframe: false, shape: null, codec_name: '' })
    t.is(frame.data.length, 0)
  }
  took.sort((a, b) => a - b)
  t.true((took[0] ?? 0) >= 46, took.join(' '))
  t.true((took[0] ?? 0) < 150, took.join(' ')) // the fastest: how long the others take is the machine's
})

for (const [title, change, report] of [
  ['that is suspended', { suspended: true }, undefined],
  ['whose pod is dead', { pod: { running: false, dead: true, exitCode: 1, oomKilled: true, restarts: 3, reason: 'OOMKilled' } }, undefined],
  ['that refuses', {}, { connection: 'waiting', reason: 'ConnectionRefused', failingStreak: 99 }],
] as const) {
  test(`requests for a camera ${title} are answered without an error`, async t => {
    const camera = await addCamera(t)
    await t.context.cameras.put(camera, change)
    if (report !== undefined) await t.context.cameras.report(camera, report)
    await using client = grpcClient(t.context.gateway.port)
    t.is((await client.latest({ device_id: camera.name })).device_id, camera.name)
  })
}

test('pipelined requests get one answer each, in order, and then the call ends', async t => {
  const camera = await addCamera(t)
  await using client = grpcClient(t.context.gateway.port)
  using stream = client.stream(EVERY)
  await stream.ask({ device_id: camera.name })
  for (const seq of range(1, 5)) t.context.cameras.send(camera, { seq })
  for (let i = 0; i < 40; i++) stream.send({ device_id: camera.name })
  const answers = await stream.end()
  t.is(answers.length, 40)
  t.deepEqual(seqs(answers.filter(({ data }) => data.length > 0)), range(1, 5))
})

test('a client that reads nothing delays nobody and holds one frame', async t => {
  const { gateway } = t.context
  const camera = await addCamera(t)
  const big = { width: 1280, height: 720 } // more than sockets and windows take in
  await using slow = grpcClient(gateway.port)
  await using fast = grpcClient(gateway.port)
  using stuck = slow.stream()
  using other = fast.stream()
  await stuck.ask({ device_id: camera.name })
  await other.ask({ device_id: camera.name })
  stuck.call.pause()
  for (let i = 0; i < 50; i++) stuck.send({ device_id: camera.name })
  let unsentMax = 0
  const watch = setInterval(
    () => void gateway.metric('chrysalis_unsent_bytes').then(bytes => (unsentMax = Math.max(unsentMax, bytes))),
    100,
  )
  const [ofOther = []] = await play(t, camera, [1, 60], [{ ask: () => other.ask({ device_id: camera.name }) }], big)
  clearInterval(watch)
  t.deepEqual(seqs(ofOther), range(1, 60))
  const frame = 1280 * 720 * 3
  t.true(unsentMax < 5 * frame, `${unsentMax / frame} frames unsent`)
  // Once it reads again it goes on in order, without what it slept through.
  const late = seqs((await stuck.end()).filter(({ data }) => data.length > 0))
  t.deepEqual(
    late,
    [...new Set(late)].sort((a, b) => a - b),
  )
  t.true(late.length < 40, late.join(' '))
  t.true((await gateway.metric('chrysalis_frames_missed_total', refText(camera))) > 0)
})

test('frames that came in parts are served whole', async t => {
  const camera = await addCamera(t)
  await using client = grpcClient(t.context.gateway.port)
  await client.latest({ device_id: camera.name })
  t.context.cameras.send(camera, { seq: 9, width: 640, height: 360, partBytes: 100_000 })
  const [frame] = await take(1, () => client.latest({ device_id: camera.name }))
  t.true(frame?.data.equals(Buffer.alloc(640 * 360 * 3, 9)))
})

test('a client may have hundreds of streams on one connection', async t => {
  const { name } = await addCamera(t)
  await using client = grpcClient(t.context.gateway.port)
  using stack = new DisposableStack()
  const streams = Array.from({ length: 200 }, () => stack.use(client.stream()))
  const answers = await Promise.all(streams.map(stream => stream.ask({ device_id: name })))
  t.true(answers.every(({ device_id }) => device_id === name))
})

test('who joins a watched camera gets its newest frame at once, and its newest keyframe if it wants those', async t => {
  const camera = await addCamera(t)
  await using first = grpcClient(t.context.gateway.port)
  await using second = grpcClient(t.context.gateway.port)
  await second.list() // is connected: what it asks for next must still be fresh
  await first.latest({ device_id: camera.name })
  for (const seq of range(1, 30)) t.context.cameras.send(camera, { seq, key: seq === 3 })
  await t.context.cameras.nc.flush()
  await until(async () => (await t.context.gateway.metric('chrysalis_frames_received_total', refText(camera))) === 30, {
    what: 'the frames',
  })
  t.is((await second.latest({ device_id: camera.name })).packet, 30)
  t.is((await second.latest({ device_id: camera.name, key_frame_only: true })).packet, 3)
})

test('a camera nobody asked for in ten seconds is not watched, and what it last showed is not served later', async t => {
  const { cameras, gateway } = t.context
  const camera = await addCamera(t)
  await using client = grpcClient(gateway.port)
  await client.latest({ device_id: camera.name })
  cameras.send(camera, { seq: 1, key: true })
  await take(1, () => client.latest({ device_id: camera.name }))
  cameras.send(camera, { seq: 2, key: true })
  const last = () => cameras.demands.findLast(demand => demand.camera === refText(camera))
  await until(() => last()?.wants === 'none', { what: 'the end of demand' })
  t.is((await client.latest({ device_id: camera.name })).data.length, 0)
  t.is((await client.latest({ device_id: camera.name, key_frame_only: true })).data.length, 0)
})

test('a deleted camera is unknown, and its namesake never shows the old one’s frames', async t => {
  const { cameras, gateway } = t.context
  const old = await addCamera(t)
  const other = { ...old, uid: `${old.uid}-again` }
  await using client = grpcClient(gateway.port)
  const request = { device_id: old.name }
  await client.latest(request)
  cameras.send(old, { seq: 1, key: true })
  t.deepEqual(seqs(await take(1, () => client.latest(request))), [1])
  cameras.send(old, { seq: 2, key: true })
  await cameras.remove(old)
  await until(async () => (await failure(client.latest(request))).code === status.NOT_FOUND, { what: 'the camera to be unknown' })

  await cameras.put(other)
  await known(gateway, other)
  t.is((await client.latest(request)).data.length, 0)
  cameras.send(old, { seq: 3, key: true })
  cameras.send(other, { seq: 1, key: true, epoch: Date.now() })
  t.deepEqual(seqs(await take(1, () => client.latest(request))), [1])
  t.is((await client.latest(request)).data.length, 0)
  t.true((await gateway.metric('chrysalis_bad_messages_total', 'reason="camera"')) > 0)
})

test('a camera replaced by a namesake without a pause changes under a running stream', async t => {
  const { cameras, gateway } = t.context
  const old = await addCamera(t)
  const other = { ...old, uid: `${old.uid}-again` }
  await using client = grpcClient(gateway.port)
  using stream = client.stream()
  await stream.ask({ device_id: old.name })
  cameras.send(old, { seq: 1 })
  t.deepEqual(seqs(await take(1, () => stream.ask({ device_id: old.name }))), [1])
  cameras.demands.length = 0
  await cameras.put(other)
  await until(() => cameras.demands.some(({ camera, wants }) => camera === refText(old) && wants === 'none'), {
    what: 'the old watch to end',
  })
  await stream.ask({ device_id: old.name })
  await watched(t, other)
  cameras.send(other, { seq: 7, epoch: Date.now() })
  t.deepEqual(seqs(await take(1, () => stream.ask({ device_id: old.name }))), [7])
})

test('probe, time and list answer', async t => {
  const camera = await addCamera(t)
  const { cameras, gateway } = t.context
  await using client = grpcClient(gateway.port)
  const probe = () =>
    new Promise<unknown>((resolve, reject) => {
      client.stub.VideoProbe({ device_id: camera.name }, (error, answer) => (error === null ? resolve(answer) : reject(error)))
    })
  t.like(await probe(), { video_codec: null, buffer: null })
  const codec = {
    name: 'h264',
    longName: 'H.264',
    width: 1280,
    height: 720,
    pixFmt: 'yuv420p',
    extradata: 'AQID',
    timeBase: [1, 90_000],
    reorder: 2,
  }
  await cameras.report(camera, { codec: { ...codec, timeBase: [1, 90_000] } })
  const answer = await until(
    async () => {
      const got = await probe()
      return (got as { video_codec: unknown }).video_codec !== null && got
    },
    { what: 'the codec' },
  )
  t.deepEqual(answer, {
    video_codec: {
      ...{ name: 'h264', width: 1280, height: 720, pix_fmt: 'yuv420p' },
      ...{ extradata: Buffer.from([1, 2, 3]), extradata_size: 3, long_name: 'H.264' },
    },
    buffer: null,
  })
  const time = await new Promise<number>((resolve, reject) => {
    client.stub.SystemTime({}, (error, response) => (response ? resolve(response.current_time) : reject(error)))
  })
  t.true(Math.abs(time - Date.now()) < 5_000)
  const list = await client.list()
  t.deepEqual(
    list.map(({ name }) => name),
    list.map(({ name }) => name).sort(),
  )
  t.like(
    list.find(({ name }) => name === camera.name),
    { status: 'running', running: true, failing_streak: 0, health_status: 'healthy', pid: 4711, error: '' },
  )
})
