// What clients of FramesService get that ask for what cannot be: the exact code and sentence for each, and nothing else disturbed.
import { status } from '@grpc/grpc-js'
import anyTest, { type TestFn } from 'ava'
import type { PixelFormat } from '../proto/generated/chrys/cloud/frames/v1/PixelFormat.ts'
import type { Rendition } from '../proto/generated/chrys/cloud/frames/v1/Rendition.ts'
import type { WatchRequest } from '../proto/generated/chrys/cloud/frames/v1/WatchRequest.ts'
import type { Wish } from '../proto/generated/chrys/cloud/frames/v1/Wish.ts'
import { framesClient, type FramesClient, type WatchCall } from './fixtures/frames-client.ts'
import { addStreaming, film, startWorld, type World } from './fixtures/frames-world.ts'
import { collect, failure } from './fixtures/gateway.ts'
import { testVideo } from './fixtures/media.ts'
import { addCamera, type Shown } from './fixtures/shown.ts'
import { storeVideo } from './fixtures/stored-video.ts'

type Context = World & { client: FramesClient; camera: Shown; steady: WatchCall }
const test = anyTest.serial as TestFn<Context>

test.before(async t => {
  const world = await startWorld()
  t.context = world as Context
  const camera = await addStreaming(t)
  const client = world.stack.use(framesClient(world.gateway.port))
  world.stack.use(film([camera], 100))
  const steady = world.stack.use(client.watch({ wish: { cameras: [camera.name], mode: 'MODE_EVERY' }, credit: 1_000 }))
  await steady.frameCount(1)
  t.context = { ...world, client, camera, steady }
})
test.after.always(t => t.context.stack.disposeAsync())

/** The frames of another client go on. */
test.afterEach(async t => {
  const { steady } = t.context
  await steady.frameCount(steady.frames.length + 1)
})

const wished = (wish: Wish): WatchRequest => ({ wish, credit: 1 })
const sized = (camera: string, rendition: Rendition) => wished({ cameras: [camera], rendition })
const INVALID = status.INVALID_ARGUMENT
const RULE = 'must be a camera name or namespace/name'
const FORMATS = 'BGR24, RGB24, GRAY8, I420, NV12, JPEG'

const WATCHES: [string, (camera: string) => WatchRequest, status, string][] = [
  ['an unknown camera', () => wished({ cameras: ['nowhere'] }), status.NOT_FOUND, 'camera "nowhere" not found'],
  ['a camera without a name', () => wished({ cameras: [''] }), INVALID, 'wish.cameras is required'],
  ['a wildcard', () => wished({ cameras: ['a.>'] }), INVALID, `wish.cameras ${RULE}`],
  ['no wish', () => ({ credit: 1 }), INVALID, 'wish is required in the first request'],
  ['neither names nor a selector', () => wished({}), INVALID, 'one of wish.cameras and wish.selector must be set'],
  [
    'both names and a selector',
    camera => wished({ cameras: [camera], selector: 'a=b' }),
    INVALID,
    'only one of wish.cameras and wish.selector may be set',
  ],
  [
    'a group that is no DNS label',
    camera => wished({ cameras: [camera], group: 'My Group' }),
    INVALID,
    'wish.group must be a DNS label of at most 63 characters',
  ],
  [
    'a last frame that is no frame id',
    camera => wished({ cameras: [camera], after: { [camera]: 'yesterday' } }),
    INVALID,
    'wish.after must have the id of a frame for each camera',
  ],
  ['a selector that does not parse', () => wished({ selector: 'a in b' }), INVALID, 'wish.selector needs "(" at 6, where "b" stands'],
  [
    'too many names',
    camera => wished({ cameras: Array.from({ length: 1_001 }, () => camera) }),
    INVALID,
    'wish.cameras may name at most 1000 cameras',
  ],
  ['an unknown mode', camera => wished({ cameras: [camera], mode: 9 as never }), INVALID, 'wish.mode must be MODE_NEWEST or MODE_EVERY'],
  [
    'an unknown format',
    camera => sized(camera, { format: 99 as unknown as PixelFormat }),
    INVALID,
    `rendition.format must be one of ${FORMATS}`,
  ],
  ['an unknown fit', camera => sized(camera, { fit: 9 as never }), INVALID, 'rendition.fit must be stretch, letterbox or crop'],
  ['a width of a million', camera => sized(camera, { width: 1_000_000 }), INVALID, 'rendition.width must be a whole number from 0 to 8192'],
  [
    'an odd width of NV12',
    camera => sized(camera, { width: 33, height: 32, format: 'PIXEL_FORMAT_NV12' }),
    INVALID,
    'rendition.width must be even for NV12',
  ],
  [
    'a region outside of the frame',
    camera => sized(camera, { region: { x: 100, width: 100, height: 10 } }),
    INVALID,
    'rendition.region must lie within the source frame of 160x96',
  ],
  [
    'a region of no size',
    camera => sized(camera, { region: { x: 1, width: 0, height: 10 } }),
    INVALID,
    'rendition.region width and height must be at least 1',
  ],
  [
    'a quality of 101',
    camera => sized(camera, { jpeg_quality: 101 }),
    INVALID,
    'rendition.jpeg_quality must be a whole number from 1 to 100',
  ],
  ['a rate of NaN', camera => wished({ cameras: [camera], max_fps: NaN }), INVALID, 'max_fps must be a number from 0 to 1000'],
  ['a negative rate', camera => wished({ cameras: [camera], max_fps: -1 }), INVALID, 'max_fps must be a number from 0 to 1000'],
  [
    'too much credit',
    camera => ({ wish: { cameras: [camera] }, credit: 4_294_967_295 }),
    INVALID,
    'credit must leave at most 1024 frames outstanding, this makes 4294967295',
  ],
]

for (const [title, request, code, details] of WATCHES) {
  test(`Watch with ${title}: ${details.slice(0, 60)}`, async t => {
    const { client, camera } = t.context
    using call = client.watch(request(camera.name))
    t.deepEqual(await failure(call.ended), { code, details })
  })
}

test('Watch with credit without end is refused as soon as too much is outstanding, also by a later request', async t => {
  const { client } = t.context
  const silent = await addCamera(t, {})
  using call = client.watch({ wish: { cameras: [silent.name] }, credit: 1_000 })
  call.send({ credit: 25 })
  const details = 'credit must leave at most 1024 frames outstanding, this makes 1025'
  t.deepEqual(await failure(call.ended), { code: INVALID, details })
})

test('Watch whose credit is never given gets its statuses and no frame, and is told after 20 s', async t => {
  const { client, camera } = t.context
  using call = client.watch({ wish: { cameras: [camera.name] } })
  await call.statusWith(camera.name, 'STATE_STREAMING')
  const details = 'credit was never given: no frame is sent without it'
  t.deepEqual(await failure(call.ended), { code: status.FAILED_PRECONDITION, details })
  t.is(call.frames.length, 0)
})

test('a later wish that is bad ends the call in the same way', async t => {
  const { client, camera } = t.context
  using call = client.watch(wished({ cameras: [camera.name] }))
  await call.frameCount(1)
  call.send({ wish: { cameras: ['nowhere'] } })
  t.deepEqual(await failure(call.ended), { code: status.NOT_FOUND, details: 'camera "nowhere" not found' })
})

test('the rendition after the eighth is refused, and a call of many cameras only says so', async t => {
  const { client } = t.context
  const [full, other] = [await addStreaming(t), await addStreaming(t)]
  for (let i = 1; i <= 8; i++) {
    using call = client.watch(sized(full.name, { width: 16 + 2 * i }))
    await call.statusWith(full.name, 'STATE_STREAMING')
  }
  using ninth = client.watch(sized(full.name, { width: 64 }))
  const details = `camera "default/${full.name}" is given in 8 renditions, at most 8 are made at once`
  t.deepEqual(await failure(ninth.ended), { code: status.RESOURCE_EXHAUSTED, details })
  using both = client.watch(wished({ cameras: [full.name, other.name], rendition: { width: 64 } }))
  await both.statusWith(other.name, 'STATE_STREAMING')
  const { reason, message, severity } = await both.statusWith(full.name, 'STATE_NO_FRAMES')
  t.is(reason, 'RenditionUnavailable')
  t.true(message.includes('at most 8 are made at once'))
  t.is(severity, 'SEVERITY_NEEDS_A_PERSON')
})

type Ask = (client: FramesClient, camera: string) => Promise<unknown>
const OTHERS: [string, Ask, status, string][] = [
  ['Snapshot without a camera', client => client.snapshot({}), INVALID, 'camera is required'],
  ['Snapshot of an unknown camera', client => client.snapshot({ camera: 'nowhere' }), status.NOT_FOUND, 'camera "nowhere" not found'],
  [
    'Snapshot at a negative time',
    (client, camera) => client.snapshot({ camera, at_ms: -1 }),
    INVALID,
    'at_ms must be a time in ms since the epoch, not negative',
  ],
  [
    'Snapshot of a region outside',
    (client, camera) => client.snapshot({ camera, rendition: { region: { x: 160, width: 1, height: 1 } } }),
    INVALID,
    'rendition.region must lie within the source frame of 160x96',
  ],
  ['Replay of *', client => collect(client.stub.Replay({ camera: '*' })), INVALID, `camera ${RULE}`],
  [
    'Replay from before the epoch',
    (client, camera) => collect(client.stub.Replay({ camera, from_ms: -5 })),
    INVALID,
    'from_ms must be a time in ms since the epoch, not negative',
  ],
  [
    'Replay backwards',
    (client, camera) => collect(client.stub.Replay({ camera, from_ms: 5, to_ms: 4 })),
    INVALID,
    'from_ms must be <= to_ms',
  ],
  [
    'Replay at NaN a second',
    (client, camera) => collect(client.stub.Replay({ camera, max_fps: NaN })),
    INVALID,
    'max_fps must be a number from 0 to 1000',
  ],
  ['Packets of an unknown camera', client => collect(client.stub.Packets({ camera: 'a/b' })), status.NOT_FOUND, 'camera "a/b" not found'],
  [
    'Packets from before the epoch',
    (client, camera) => collect(client.stub.Packets({ camera, from_ms: -1 })),
    INVALID,
    'from_ms must be a time in ms since the epoch, not negative',
  ],
  [
    'Cameras by both',
    client => collect(client.stub.Cameras({ cameras: ['a'], selector: '' })),
    INVALID,
    'only one of cameras and selector may be set',
  ],
  [
    'Cameras by a selector that does not parse',
    client => collect(client.stub.Cameras({ selector: ',' })),
    INVALID,
    'selector needs a label key at 1, where "," stands',
  ],
]

for (const [title, ask, code, details] of OTHERS) {
  test(`${title}: ${details.slice(0, 60)}`, async t => {
    const { client, camera } = t.context
    t.deepEqual(await failure(ask(client, camera.name)), { code, details })
  })
}

test('a past that is not there: no buffer, or wholly before it', async t => {
  const { client, cameras } = t.context
  const camera = await addCamera(t, {})
  const none = { code: status.FAILED_PRECONDITION, details: `camera "default/${camera.name}" has no buffered pictures` }
  for (const ask of [
    () => collect(client.stub.Replay({ camera: camera.name })),
    () => client.snapshot({ camera: camera.name, at_ms: 5 }),
    () => collect(client.stub.Packets({ camera: camera.name, from_ms: 5 })),
  ]) {
    t.deepEqual(await failure(ask()), none)
  }
  const file = await testVideo({ width: 160, height: 96, seconds: 4, gop: 10 })
  const [first] = await storeVideo(cameras.nc, camera, file, { maxBytes: 8 * 2 ** 20 })
  const before = { code: status.OUT_OF_RANGE, details: `buffer starts at ${first?.timestamp}` }
  t.deepEqual(await failure(collect(client.stub.Replay({ camera: camera.name, to_ms: 5 }))), before)
  const future = Date.now() + 3_600_000
  t.deepEqual(await collect(client.stub.Replay({ camera: camera.name, from_ms: future, to_ms: future + 1 })), [])
})
