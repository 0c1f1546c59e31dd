// Watch: frames of many cameras in one call, pushed against credit.
import anyTest, { type TestFn } from 'ava'
import { setTimeout as delay } from 'node:timers/promises'
import { framesClient } from './fixtures/frames-client.ts'
import { addStreaming, film, reportStreaming, seqOfId, startWorld, type World } from './fixtures/frames-world.ts'
import { refText } from '../proto/subjects.ts'
import { startGateway } from './fixtures/gateway.ts'
import { frameId, placeOfFrame } from '../proto/frame-id.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest.serial as TestFn<World>

test.before(async t => void (t.context = await startWorld()))
test.after.always(t => t.context.stack.disposeAsync())

const NV12 = { width: 80, format: 'PIXEL_FORMAT_NV12' } as const

test('a frame is pushed for each credit and none without, each with what a model needs to know', async t => {
  const camera = await addStreaming(t)
  await using client = framesClient(t.context.gateway.port)
  using call = client.watch({ wish: { cameras: [camera.name], rendition: NV12, mode: 'MODE_EVERY' }, credit: 5 })
  t.like(await call.statusWith(camera.name, 'STATE_STREAMING'), { reason: '', severity: 'SEVERITY_OK' })
  using _ = film([camera])
  await call.frameCount(5)
  await delay(300)
  t.is(call.frames.length, 5)
  const [first] = call.frames
  t.like(first, { camera: camera.name, width: 80, height: 48, format: 'PIXEL_FORMAT_NV12', strides: [80, 80], wish: 1, corrupt: false })
  t.deepEqual(first?.geometry, {
    ...{ source_width: 160, source_height: 96, region: { x: 0, y: 0, width: 160, height: 96 } },
    ...{ scale_x: 0.5, scale_y: 0.5, pad_left: 0, pad_top: 0 },
  })
  t.true(call.frames.every(({ data, age_ms, capture_time_ms }) => data.length === 80 * 72 && age_ms < 5_000 && capture_time_ms > 1e12))
  const seqs = call.frames.map(({ id }) => seqOfId(id))
  t.deepEqual(
    seqs,
    seqs.map((_, i) => (seqs[0] ?? 0) + i),
  )
  t.deepEqual(
    call.frames.map(({ keyframe }) => keyframe),
    seqs.map(seq => seq % 10 === 0),
  )
  call.send({ credit: 1 })
  await call.frameCount(6)
  const last = call.frames[5]
  t.is(last?.skipped, seqOfId(last?.id ?? '') - (seqs.at(-1) ?? 0) - 1)
  call.halfClose()
  await call.ended
  const label = `camera="${refText(camera)}"`
  t.is(await t.context.gateway.metric('chrysalis_frame_age_seconds_count', label), 6)
  t.is(await t.context.gateway.metric('chrysalis_unsent_bytes'), 0)
})

test('a slow consumer gets the newest frame each time, and how many it skipped', async t => {
  const camera = await addStreaming(t)
  await using client = framesClient(t.context.gateway.port)
  using call = client.watch({ wish: { cameras: [camera.name], rendition: NV12 }, credit: 1 })
  using _ = film([camera], 40)
  call.onFrame = () => setTimeout(() => call.send({ credit: 1 }), 300)
  await call.frameCount(6)
  const rest = call.frames.slice(2)
  t.true(
    rest.every(({ age_ms }) => age_ms < 300),
    JSON.stringify(rest.map(({ age_ms }) => age_ms)),
  )
  const ids = call.frames.map(({ id }) => seqOfId(id))
  for (const [i, { skipped }] of call.frames.entries()) if (i > 0) t.is(skipped, (ids[i] ?? 0) - (ids[i - 1] ?? 0) - 1)
})

test('max_fps, keyframes_only and max_age_ms hold', async t => {
  const camera = await addStreaming(t)
  await using client = framesClient(t.context.gateway.port)
  const wish = { cameras: [camera.name], rendition: NV12 }
  using slow = client.watch({ wish: { ...wish, max_fps: 4 }, credit: 100 })
  using keys = client.watch({ wish: { ...wish, keyframes_only: true, mode: 'MODE_EVERY' }, credit: 100 })
  using fresh = client.watch({ wish: { ...wish, max_age_ms: 1 }, credit: 100 })
  using film_ = film([camera], 50)
  await keys.frameCount(4)
  t.true(keys.frames.every(({ keyframe }) => keyframe))
  const seqs = keys.frames.map(({ id }) => seqOfId(id))
  t.deepEqual(
    seqs,
    seqs.map((_, i) => (seqs[0] ?? 0) + 10 * i),
  )
  const times = slow.frames.map(frame => frame.capture_time_ms)
  t.true(
    times.every((time, i) => i === 0 || time - (times[i - 1] ?? 0) >= 150),
    JSON.stringify(times),
  )
  t.true(slow.frames.length >= 4 && slow.frames.length <= film_.sent / 3)
  // A frame takes longer than that to be decoded, but for a few.
  t.true(fresh.frames.every(({ age_ms }) => age_ms <= 20) && fresh.frames.length < film_.sent / 2)
})

test('a wish changes on the running call within 300 ms, and what was credited stays', async t => {
  const [one, other] = [await addStreaming(t), await addStreaming(t)]
  await using client = framesClient(t.context.gateway.port)
  using warm = client.watch({ wish: { cameras: [one.name, other.name], rendition: { width: 40 } }, credit: 1_000 })
  using call = client.watch({ wish: { cameras: [one.name], rendition: NV12 }, credit: 1_000 })
  using _ = film([one, other])
  await call.frameCount(3)
  await warm.frameCount(6)
  const sentMs = performance.now()
  call.send({ wish: { cameras: [other.name], rendition: { width: 40 } } })
  await until(() => call.frames.some(({ wish }) => wish === 2), { what: 'a frame of the second wish', everyMs: 5 })
  const i = call.frames.findIndex(({ wish }) => wish === 2)
  t.true((call.frameMs[i] ?? 0) - sentMs < 300, `${(call.frameMs[i] ?? 0) - sentMs} ms`)
  t.true(call.frames.slice(i).every(({ camera, width, wish }) => camera === other.name && width === 40 && wish === 2))
  await call.statusWith(one.name, 'STATE_GONE')
})

test('a wish that is changed 1,000 times a second harms nothing', async t => {
  const camera = await addStreaming(t)
  await using client = framesClient(t.context.gateway.port)
  await using other = framesClient(t.context.gateway.port)
  using call = client.watch({ wish: { cameras: [camera.name], rendition: { width: 16 } }, credit: 1_000 })
  using steady = other.watch({ wish: { cameras: [camera.name], rendition: NV12, mode: 'MODE_EVERY' }, credit: 1_000 })
  using filmed = film([camera])
  await steady.frameCount(5)
  let sent = 0
  const timer = setInterval(() => {
    for (let i = 0; i < 5; i++) call.send({ wish: { cameras: [camera.name], rendition: { width: 16 + 2 * (sent++ % 500) } } })
  }, 5)
  const from = filmed.sent
  await until(() => filmed.sent - from > 60, { what: 'three seconds of wishes' })
  clearInterval(timer)
  t.true(sent > 1_000)
  const seqs = steady.frames.map(({ id }) => seqOfId(id))
  t.deepEqual(
    seqs,
    seqs.map((_, i) => (seqs[0] ?? 0) + i),
  )
  t.true(steady.frames.length > 40)
  // Another rendition is to be had at once.
  using third = other.watch({ wish: { cameras: [camera.name], rendition: { width: 64 } }, credit: 1 })
  await third.frameCount(1)
})

test('cameras join and leave by label, and those that are deleted say so and may come again', async t => {
  const { cameras } = t.context
  const [one, other] = [await addStreaming(t, { labels: { site: 'a' } }), await addStreaming(t)]
  await using client = framesClient(t.context.gateway.port)
  using call = client.watch({ wish: { selector: 'site in (a),!test', rendition: NV12 }, credit: 1_000 })
  await call.statusWith(one.name, 'STATE_STREAMING')
  using _ = film([one, other])
  await call.frameCount(2)
  t.true(call.frames.every(({ camera }) => camera === one.name))
  await cameras.put(other, { labels: { site: 'a' } })
  await call.statusWith(other.name, 'STATE_STREAMING')
  await until(() => call.frames.some(({ camera }) => camera === other.name), { what: 'frames of the camera that joined' })
  await cameras.put(one, { labels: { site: 'a', test: '' } })
  await call.statusWith(one.name, 'STATE_GONE')
  await cameras.remove(other)
  await call.statusWith(other.name, 'STATE_GONE')
  const before = call.statuses.length
  await cameras.put(one, { labels: { site: 'a' } })
  await until(() => call.statuses.slice(before).some(({ camera, state }) => camera === one.name && state === 'STATE_STREAMING'), {
    what: 'the camera to join again',
  })
})

test('of 20 cameras one is dead and one stalls: both say so within 2 s, and the others get their frames in turn', async t => {
  const all = []
  for (let i = 0; i < 20; i++) all.push(await addStreaming(t, { labels: { set: 'twenty' } }))
  const [dead, stalled, ...alive] = all
  if (dead === undefined || stalled === undefined) throw new Error('no cameras')
  await reportStreaming(t, dead, { connection: 'waiting', reason: 'ConnectionRefused', pid: 0, failingStreak: 1 })
  await using client = framesClient(t.context.gateway.port)
  const startMs = performance.now()
  using call = client.watch({ wish: { selector: 'set=twenty', rendition: { width: 40, format: 'PIXEL_FORMAT_GRAY8' } }, credit: 20 })
  call.onFrame = () => call.send({ credit: 1 })
  t.like(await call.statusWith(dead.name, 'STATE_NO_FRAMES'), { reason: 'ConnectionRefused', severity: 'SEVERITY_TRANSIENT' })
  t.true(performance.now() - startMs < 2_000)
  using _ = film(alive, 200)
  const counts = () => alive.map(({ name }) => call.frames.filter(({ camera }) => camera === name).length)
  await until(() => Math.min(...counts()) >= 5, { what: 'five frames of each camera that works', timeoutMs: 60_000 })
  const stalledMs = performance.now()
  await reportStreaming(t, stalled, { connection: 'waiting', reason: 'StreamStalled', pid: 0, failingStreak: 1 })
  const { message } = await call.statusWith(stalled.name, 'STATE_NO_FRAMES')
  t.true(performance.now() - stalledMs < 2_000)
  t.regex(message, /\w+ .*\./)
  const from = counts()
  await until(() => counts().every((count, i) => count >= (from[i] ?? 0) + 5), { what: 'five more frames of each' })
})

test('a client that calls again, at another gateway, says what it has and gets no frame twice', async t => {
  const camera = await addStreaming(t)
  await using second = await startGateway(t.context.nats.url)
  await until(() => second.ready(), { what: 'the second gateway' })
  await using one = framesClient(t.context.gateway.port)
  await using other = framesClient(second.port)
  const wish = { cameras: [camera.name], rendition: NV12, mode: 'MODE_EVERY' as const }
  using _ = film([camera])
  using warm = other.watch({ wish, credit: 1_000 })
  await warm.frameCount(3)
  using before = one.watch({ wish, credit: 1_000 })
  await before.frameCount(12)
  before[Symbol.dispose]()
  const last = before.frames.at(-1)?.id ?? ''
  // What it missed meanwhile is still held there.
  using after = other.watch({ wish: { ...wish, after: { [camera.name]: last } }, credit: 1_000 })
  await after.frameCount(10)
  const seqs = after.frames.map(({ id }) => seqOfId(id))
  t.deepEqual(
    seqs,
    seqs.map((_seq, i) => seqOfId(last) + 1 + i),
  )
  t.false(after.frames.some(({ gap }) => gap))
  // What follows the first is not all held any more.
  using lapped = other.watch({ wish: { ...wish, after: { [camera.name]: before.frames[0]?.id ?? '' } }, credit: 1_000 })
  await lapped.frameCount(2)
  t.deepEqual(
    lapped.frames.slice(0, 2).map(({ gap }) => gap),
    [true, false],
  )
  // A frame that is still to come there: nothing up to it.
  const place = placeOfFrame(last)
  if (place === undefined) throw new Error(`no frame id: ${last}`)
  const ahead = frameId({ ...place, keyframe: 1_000_000 })
  using none = other.watch({ wish: { ...wish, after: { [camera.name]: ahead } }, credit: 1_000 })
  await after.frameCount(20)
  t.is(none.frames.length, 0)
})
