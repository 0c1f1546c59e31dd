// Snapshot, Replay and Cameras: single frames, the past, and how cameras are.
import { status } from '@grpc/grpc-js'
import anyTest, { type TestFn } from 'ava'
import type { CamerasResponse__Output } from '../proto/generated/chrys/cloud/frames/v1/CamerasResponse.ts'
import type { ReplayRequest } from '../proto/generated/chrys/cloud/frames/v1/ReplayRequest.ts'
import { frameId } from '../proto/frame-id.ts'
import { packetStream } from '../proto/subjects.ts'
import { framesClient, type FramesClient } from './fixtures/frames-client.ts'
import { addStreaming, film, reportStreaming, seqOfId, startWorld, type World } from './fixtures/frames-world.ts'
import { RUN } from './fixtures/cameras.ts'
import { collect, failure, grpcClient } from './fixtures/gateway.ts'
import { testVideo } from './fixtures/media.ts'
import { addCamera } from './fixtures/shown.ts'
import { storeVideo } from './fixtures/stored-video.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest.serial as TestFn<World>
const SMALL = { maxBytes: 8 * 2 ** 20 }
const GRAY = { width: 80, format: 'PIXEL_FORMAT_GRAY8' } as const
const VIDEO = { width: 160, height: 96, fps: 30, seconds: 4, gop: 30, bFrames: 2 } as const

test.before(async t => void (t.context = await startWorld()))
test.after.always(t => t.context.stack.disposeAsync())

const replayed = async (client: FramesClient, request: ReplayRequest) => {
  const all = await collect(client.stub.Replay(request))
  return {
    frames: all.flatMap(({ frame }) => (frame ? [frame] : [])),
    lost: all.flatMap(({ lost }) => (lost ? [lost] : [])),
  }
}

test('Replay gives every frame of a range once and in order, with its id, in any rendition', async t => {
  const camera = await addCamera(t, {})
  const packets = await storeVideo(t.context.cameras.nc, camera, await testVideo(VIDEO), SMALL)
  await using client = framesClient(t.context.gateway.port)
  const inOrder = packets.toSorted((a, b) => a.timestamp - b.timestamp)
  const [from, to] = [inOrder[25]?.timestamp ?? 0, inOrder[70]?.timestamp ?? 0]
  const request = { camera: camera.name, from_ms: from, to_ms: to, rendition: GRAY }
  const { frames, lost } = await replayed(client, request)
  t.deepEqual(
    frames.map(({ id }) => id),
    inOrder.slice(25, 71).map(frameId),
  )
  t.deepEqual(lost, [])
  t.true(frames.every(({ data, width, height, gap }) => data.length === 80 * 48 && width === 80 && height === 48 && !gap))
  const keyframes = await replayed(client, { ...request, from_ms: 0, to_ms: 0, keyframes_only: true })
  t.deepEqual(
    keyframes.frames.map(({ id }) => id),
    packets.filter(({ key }) => key).map(frameId),
  )
  const slow = await replayed(client, { ...request, max_fps: 5 })
  t.true(slow.frames.length >= 7 && slow.frames.length <= 9)
})

test('after the clock of the camera’s node went back by an hour, all of the past is there, and each time is read where it was captured', async t => {
  const camera = await addCamera(t, {})
  const { nc } = t.context.cameras
  const { gateway } = t.context
  const file = await testVideo(VIDEO)
  const startMs = Date.now() - 60_000
  const before = await storeVideo(nc, camera, file, { ...SMALL, startMs })
  const after = await storeVideo(nc, camera, file, { ...SMALL, startMs: startMs - 3_600_000, epoch: RUN + 1 })
  const later = await storeVideo(nc, camera, file, { ...SMALL, startMs: startMs - 3_590_000, epoch: RUN + 2 })
  await using client = framesClient(gateway.port)
  const ids = (packets: typeof before) => packets.toSorted((a, b) => a.timestamp - b.timestamp).map(frameId)
  const read = async (request: Partial<ReplayRequest>) => {
    const { frames, lost } = await replayed(client, { camera: camera.name, rendition: GRAY, ...request })
    return { ids: frames.map(({ id }) => id), lost: lost.map(({ reason }) => reason) }
  }
  t.deepEqual(await read({}), { ids: [...ids(before), ...ids(after), ...ids(later)], lost: ['PacketsLost'] })
  const [first, last] = [startMs - 3_600_000, startMs - 3_580_000]
  t.deepEqual(await read({ from_ms: first, to_ms: last }), { ids: [...ids(after), ...ids(later)], lost: ['PacketsLost'] })
  t.deepEqual((await read({ from_ms: startMs })).ids, ids(before))

  for (const packets of [before, after, later]) {
    const { timestamp } = packets.toSorted((a, b) => a.timestamp - b.timestamp)[50] ?? { timestamp: 0 }
    t.is((await client.snapshot({ camera: camera.name, at_ms: timestamp, rendition: GRAY })).id, ids(packets)[50] ?? '')
    const clip = await fetch(`http://127.0.0.1:${gateway.httpPort}/cameras/${camera.name}/frame.jpg?at=${timestamp}`)
    t.is(clip.headers.get('x-frame-id'), ids(packets)[50] ?? '')
  }
  await using image = grpcClient(gateway.port)
  const legacy = image.stub.VideoBufferedImage({ device_id: camera.name, timestamp_from: first, timestamp_to: Date.now() })
  t.is((await collect(legacy)).length, 3 * before.length)
  const { stretches } = (await (await fetch(`http://127.0.0.1:${gateway.httpPort}/cameras/${camera.name}/past`)).json()) as {
    stretches: { from: number; to: number }[]
  }
  t.deepEqual(
    stretches.map(({ from }) => from),
    [first, first + 10_000, startMs],
  )
})

test('what the buffer no longer holds, or never held, is said where it is missing', async t => {
  const camera = await addCamera(t, {})
  const { nc } = t.context.cameras
  const packets = await storeVideo(nc, camera, await testVideo({ ...VIDEO, bFrames: 0 }), SMALL)
  const jsm = await nc.jetstreamManager()
  await jsm.streams.deleteMessage(packetStream(camera), packets[40]?.seq ?? 0)
  await jsm.streams.purge(packetStream(camera), { seq: packets[3]?.seq ?? 0 })
  await using client = framesClient(t.context.gateway.port)
  const from = packets[0]?.timestamp ?? 0
  const { frames, lost } = await replayed(client, { camera: camera.name, from_ms: from, rendition: GRAY })
  const time = (i: number) => packets[i]?.timestamp ?? 0
  t.deepEqual(
    lost.map(({ from_ms, to_ms, reason }) => [from_ms, to_ms, reason]),
    [
      [from, time(30), 'BufferOverrun'],
      [time(39), time(60), 'BufferOverrun'],
    ],
  )
  t.deepEqual(
    frames.filter(({ gap }) => gap).map(({ id }) => id),
    packets.slice(60, 61).map(frameId),
  )
  t.is(frames.length, 10 + 60)
})

test('a Snapshot at a time is exactly the frame that Replay gives for that time', async t => {
  const camera = await addCamera(t, {})
  const packets = await storeVideo(t.context.cameras.nc, camera, await testVideo(VIDEO), SMALL)
  await using client = framesClient(t.context.gateway.port)
  const times = packets.map(({ timestamp }) => timestamp).toSorted((a, b) => a - b)
  const rendition = { width: 64, height: 64, fit: 'FIT_LETTERBOX' } as const
  for (const i of [0, 1, 29, 44, 45, 119]) {
    const at = (times[i] ?? 0) + (i % 2 === 0 ? 0 : 20)
    const frame = await client.snapshot({ camera: camera.name, at_ms: at, rendition })
    const { frames } = await replayed(client, { camera: camera.name, from_ms: at - 34, to_ms: at, rendition })
    t.is(frame.capture_time_ms, times[i] ?? 0)
    t.is(frame.id, frames.at(-1)?.id ?? '')
    t.true(frame.data.equals(frames.at(-1)?.data ?? Buffer.alloc(0)))
  }
  const early = await failure(client.snapshot({ camera: camera.name, at_ms: 1_000 }))
  t.deepEqual(early, { code: status.OUT_OF_RANGE, details: `buffer starts at ${times[0]}` })
})

test('a Snapshot of now is a frame of now, as JPEG too; a camera without frames says why', async t => {
  const camera = await addStreaming(t)
  await using client = framesClient(t.context.gateway.port)
  using filmed = film([camera])
  const frame = await client.snapshot({ camera: camera.name, rendition: { width: 64, format: 'PIXEL_FORMAT_JPEG' } })
  t.like(frame, { width: 64, format: 'PIXEL_FORMAT_JPEG', strides: [] })
  t.deepEqual([...frame.data.subarray(0, 2)], [0xff, 0xd8])
  t.true(filmed.sent - seqOfId(frame.id) < 10 && frame.age_ms < 3_000)
  await reportStreaming(t, camera, { connection: 'waiting', reason: 'AuthFailed', pid: 0, failingStreak: 1 })
  const dead = await addStreaming(t)
  await reportStreaming(t, dead, { connection: 'waiting', reason: 'AuthFailed', pid: 0, failingStreak: 1 })
  const why = await until(
    async () => {
      const { code, details } = await failure(client.snapshot({ camera: dead.name }))
      return code === status.UNAVAILABLE && details.includes('AuthFailed') && details
    },
    { what: 'the reason' },
  )
  t.regex(why, /^camera "cam-\d+" gives no frame: AuthFailed: .+\.$/)
})

test('Cameras lists all that match, says when that was all, and then every change', async t => {
  const { cameras } = t.context
  const one = await addStreaming(t, { labels: { list: 'x', floor: '1' } })
  await storeVideo(cameras.nc, one, await testVideo(VIDEO), SMALL)
  await using client = framesClient(t.context.gateway.port)
  const call = client.stub.Cameras({ selector: 'list=x' })
  const got: CamerasResponse__Output[] = []
  call.on('data', (event: CamerasResponse__Output) => got.push(event)).on('error', () => {})
  await until(() => got.some(({ synced }) => synced), { what: 'the end of the list' })
  t.is(got.length, 2)
  t.like(got[0]?.camera, {
    ...{ name: one.name, namespace: 'default', labels: { list: 'x', floor: '1' }, status: 'running', health: 'healthy', reason: '' },
    ...{ severity: 'SEVERITY_OK', codec: 'h264', width: 160, height: 96, fps: 30, bits_per_second: 4_000_000 },
  })
  t.like(got[0]?.camera?.buffer, { packets: 120 })
  t.true((got[0]?.camera?.buffer?.bytes ?? 0) > 1_000)
  await reportStreaming(t, one, { connection: 'waiting', reason: 'HostNotFound', pid: 0, failingStreak: 1 })
  await until(() => got.at(-1)?.camera?.reason === 'HostNotFound', { what: 'the change' })
  t.like(got.at(-1)?.camera, { status: 'restarting', health: 'unhealthy', severity: 'SEVERITY_TRANSIENT' })
  await cameras.put(one, { labels: { list: 'y' } })
  await until(() => got.at(-1)?.gone === one.name, { what: 'the camera to leave' })
  call.cancel()
})
