// Renditions of a live camera in the gateway: they join and leave, and disturb none of those that stay.
import anyTest, { type TestFn } from 'ava'
import { Registry } from 'prom-client'
import { CameraFrames } from '../gateway/frames/camera-frames.ts'
import { checkedRendition } from '../gateway/frames/rendition.ts'
import { createMetrics } from '../gateway/metrics.ts'
import { Refusal } from '../gateway/refusal.ts'
import { IMAGE_KEY, renditionKey, type LiveFrame, type RenditionDemand } from '../proto/rendition.ts'
import { cameraRecord, startCameras, type Cameras } from './fixtures/cameras.ts'
import { encodedCamera } from './fixtures/encoded-camera.ts'
import { decodeHere, type WatchedHere } from './fixtures/gateway-decoder.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { until } from './fixtures/wait.ts'

type World = { nats: NatsServer; cameras: Cameras; stack: AsyncDisposableStack }
const test = anyTest.serial as TestFn<World>

test.before(async t => {
  const stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  t.context = { nats, cameras: stack.use(await startCameras(nats.url)), stack }
})
test.after.always(t => t.context.stack.disposeAsync())

const SMALL = checkedRendition({ width: 80, format: 'RGB24' })
const GRAY = checkedRendition({ format: 'GRAY8' })
const demand = (rendition: typeof SMALL, change: Partial<RenditionDemand> = {}): RenditionDemand => ({
  ...{ key: renditionKey(rendition), rendition, wants: 'all', maxFps: undefined },
  ...change,
})

let made = 0
/** A camera that shows a frame each `intervalMs`, until it is disposed of. */
async function filmed({ cameras }: World, intervalMs: number) {
  const camera = { namespace: 'default', name: `film-${++made}`, uid: `uid-${made}` }
  const encoded = await encodedCamera(cameras.nc, camera)
  const epoch = Date.now()
  let seq = 0
  const timer = setInterval(() => encoded.send(seq, { epoch, timestamp: epoch + intervalMs * seq++ }), intervalMs)
  return Object.assign(camera, { [Symbol.dispose]: () => clearInterval(timer) })
}

const framesOf = ({ renditions }: WatchedHere, key: string): LiveFrame[] => renditions.flatMap(one => (one.key === key ? one.frame : []))
/** Counts the camera's frames. */
const placeOf = ({ keyframe, index }: LiveFrame): number => (keyframe - 1) * 10 + index
const isEvery = (frames: readonly LiveFrame[]) =>
  frames.every((frame, i) => i === 0 || placeOf(frame) === placeOf(frames[i - 1] as LiveFrame) + 1)

test('renditions join and leave a running camera, and those that stay get every frame once', async t => {
  const { nats } = t.context
  using camera = await filmed(t.context, 40)
  await using watched = await decodeHere(nats.url, camera, 'all')
  const image = () => framesOf(watched, IMAGE_KEY)
  const small = () => framesOf(watched, renditionKey(SMALL))
  const gray = () => framesOf(watched, renditionKey(GRAY))
  await until(() => image().length > 10, { what: 'frames of the Image service' })
  watched.want('all', [demand(SMALL)])
  await until(() => small().length > 25, { what: 'frames of a second rendition' })
  watched.want('all', [demand(SMALL), demand(GRAY)])
  await until(() => gray().length > 25, { what: 'frames of a third rendition' })
  watched.want('none', [demand(SMALL)])
  const [before, grayBefore] = [image().length, gray().length]
  const smallBefore = small().length
  await until(() => small().length > smallBefore + 25, { what: 'more frames of the second one' })
  t.true(image().length - before <= 5 && gray().length - grayBefore <= 5)
  for (const frames of [image(), small(), gray()]) t.true(isEvery(frames), frames.map(placeOf).join(' '))
  t.true(small().every(({ width, height, data, format }) => format === 'RGB24' && width === 80 && data.length === 80 * height * 3))
  t.true(gray().every(({ width, height, data }) => data.length === width * height))
  t.true(image().every(({ message }) => message !== undefined))
  const [first] = small()
  t.like(first?.geometry, { source: { width: 160, height: 96 }, scaleX: 0.5, scaleY: 0.5 })
})

test('a rendition that is wanted no faster than keyframes come is made of keyframes alone', async t => {
  const { nats } = t.context
  using camera = await filmed(t.context, 80) // keyframes each 800 ms
  const slow = demand(SMALL, { maxFps: 1 })
  await using watched = await decodeHere(nats.url, camera, 'none')
  watched.want('none', [slow])
  await until(() => framesOf(watched, slow.key).length > 6, { what: 'frames' })
  t.true(framesOf(watched, slow.key).every(({ key, index }) => key && index === 0))
  // Also before it is known how far keyframes are apart, so that many cameras can be joined at once.
  t.notRegex(await watched.metrics(), /^chrysalis_frames_unwanted_total{/m)
})

test('until it is known how far keyframes are apart, a keyframe is given, and then what is wanted', async t => {
  const { nats } = t.context
  using camera = await filmed(t.context, 400) // keyframes each 4 s
  const some = demand(SMALL, { maxFps: 1 })
  await using watched = await decodeHere(nats.url, camera, 'none')
  watched.want('none', [some])
  const frames = () => framesOf(watched, some.key)
  await until(() => frames().length > 3, { what: 'frames' })
  t.true(frames()[0]?.key)
  t.true(
    frames()
      .slice(1, 4)
      .some(({ key }) => !key),
  )
})

test('a rendition’s rate is limited, evenly', async t => {
  const { nats } = t.context
  using camera = await filmed(t.context, 40)
  const some = demand(SMALL, { maxFps: 5 })
  await using watched = await decodeHere(nats.url, camera, 'none')
  watched.want('none', [some])
  await until(() => framesOf(watched, some.key).length > 12, { what: 'frames' })
  const places = framesOf(watched, some.key).map(placeOf)
  const steps = places.slice(1).map((place, i) => place - (places[i] ?? 0))
  // Each is one of every five, or its neighbour. A decoder that is behind on a full machine leaves out some.
  t.true(
    places.every((place, i) => [0, 1, 4].includes((place - (places[0] ?? 0)) % 5) && (i === 0 || (steps[i - 1] ?? 0) >= 4)),
    steps.join(' '),
  )
})

test('at most eight renditions of a camera are made, and the Image service’s is not one of them', t => {
  const record = cameraRecord({ namespace: 'default', name: 'door', uid: 'uid-door' })
  const known = { ref: record, uid: record.uid, deviceId: 'door', record, report: undefined, runningSince: undefined }
  const camera = new CameraFrames(known, { ringBytesMax: 2 ** 20, metrics: createMetrics(new Registry()) })
  const wish = (width: number, consumer?: object) => {
    const frames = camera.of(checkedRendition({ width }), consumer, 0)
    frames.wishes.ask(consumer, { keyframesOnly: false, maxFps: undefined }, 0)
    return frames
  }
  for (let i = 1; i <= 8; i++) t.is(wish(10 * i), wish(10 * i))
  const refusal = t.throws(() => wish(90), { instanceOf: Refusal })
  t.is(refusal?.kind, 'exhausted')
  t.regex(refusal?.message ?? '', /at most 8 are made at once/)
  camera.of(undefined, undefined, 0).wishes.ask(undefined, { keyframesOnly: false, maxFps: undefined }, 0)
  t.is(camera.demand(0).length, 9)
  t.is(camera.demand(10_001).length, 0) // no consumer asked for them for ten seconds
  t.notThrows(() => wish(90))
})

test('a consumer that changes its wish a thousand times takes one place at a time', t => {
  const record = cameraRecord({ namespace: 'default', name: 'door', uid: 'uid-door' })
  const known = { ref: record, uid: record.uid, deviceId: 'door', record, report: undefined, runningSince: undefined }
  const camera = new CameraFrames(known, { ringBytesMax: 2 ** 20, metrics: createMetrics(new Registry()) })
  const consumer = {}
  for (let i = 0; i < 1_000; i++) {
    const frames = camera.of(checkedRendition({ width: 1 + i }), consumer, i)
    frames.wishes.ask(consumer, { keyframesOnly: false, maxFps: undefined }, i)
    t.is(camera.demand(i).length, 1)
  }
})
