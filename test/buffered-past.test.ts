// Reads of what is stored, when it is stored in unusual ways, and when something is lost in the middle of a read.
import { status } from '@grpc/grpc-js'
import test from 'ava'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, type ConsumerInfo, type JetStreamManager, type NatsConnection } from 'nats'
import { PacketStream } from '../gateway/past/packet-reader.ts'
import type { VideoFrame__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import type { VideoProbeResponse__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoProbeResponse.ts'
import { packetStream } from '../proto/subjects.ts'
import { startCameras, type Cameras, type FakeCamera } from './fixtures/cameras.ts'
import { collect, failure, grpcClient, startGateway, type Client, type Gateway } from './fixtures/gateway.ts'
import { decodeBgr24, testVideo, type VideoOptions } from './fixtures/media.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { descendants } from './fixtures/processes.ts'
import { storeVideo, type StoreOptions, type VideoPacket } from './fixtures/stored-video.ts'
import { until } from './fixtures/wait.ts'

const CAMERA: FakeCamera = { namespace: 'default', name: 'cam', uid: '11111111-1111-4111-8111-111111111111' }
const STREAM = packetStream(CAMERA)
const SMALL = { width: 160, height: 96, fps: 30, seconds: 4, gop: 30 } as const
/** 48 s, of which a client that takes nothing is sent less than 20. */
const LONG = { video: { width: 640, height: 360, fps: 30, seconds: 4, gop: 30 }, store: { repeat: 12 } } as const

type Past = AsyncDisposable & {
  nats: NatsServer
  cameras: Cameras
  gateway: Gateway
  client: Client
  nc: NatsConnection
  jsm: JetStreamManager
  file: string
  packets: VideoPacket[]
}

async function startPast(video: VideoOptions, store: StoreOptions = {}): Promise<Past> {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const cameras = stack.use(await startCameras(nats.url, [CAMERA]))
  const nc = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
  stack.defer(() => nc.close())
  const file = await testVideo(video)
  const packets = await storeVideo(nc, CAMERA, file, store)
  const gateway = stack.use(await startGateway(nats.url))
  const client = stack.use(grpcClient(gateway.port))
  await until(() => gateway.ready(), { what: 'the gateway’s list of cameras' })
  const jsm = await nc.jetstreamManager({ checkAPI: false })
  const owned = stack.move()
  return { nats, cameras, gateway, client, nc, jsm, file, packets, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const buffered = ({ client }: Past, from: number, to: number) =>
  client.stub.VideoBufferedImage({ device_id: 'cam', timestamp_from: from, timestamp_to: to })
const read = (past: Past, from: number, to: number): Promise<VideoFrame__Output[]> => collect(buffered(past, from, to))

const probe = ({ client }: Past): Promise<VideoProbeResponse__Output> => {
  const { promise, resolve, reject } = Promise.withResolvers<VideoProbeResponse__Output>()
  client.stub.VideoProbe({ device_id: 'cam' }, (error, response) => (response === undefined ? reject(error) : resolve(response)))
  return promise
}

/** A client that has taken a frame of a long read, and no more. */
async function stalled(past: Past) {
  const frames = buffered(past, 0, Date.now())[Symbol.asyncIterator]() as AsyncIterator<VideoFrame__Output>
  const { value } = await frames.next()
  return { first: value as VideoFrame__Output, rest: () => collect({ [Symbol.asyncIterator]: () => frames }) }
}

/** Returns once it answers nothing: the signal reaches its threads one by one. */
async function silence({ nats }: Past): Promise<void> {
  nats.stop()
  await until(() => /^State:\s+T/m.test(readFileSync(`/proc/${nats.pid}/status`, 'utf8')), { what: 'a stopped nats-server' })
}

const consumers = ({ jsm }: Past): Promise<ConsumerInfo[]> => jsm.consumers.list(STREAM).next()
const inOrder = (packets: readonly VideoPacket[]) => packets.map(({ timestamp }) => timestamp).sort((a, b) => a - b)
const times = (frames: readonly VideoFrame__Output[]) => frames.map(({ timestamp }) => timestamp)
const digest = (data: Uint8Array) => createHash('md5').update(data).digest('hex')

test('what a client that stalls has not taken stays in NATS, and comes when it goes on', async t => {
  await using past = await startPast(LONG.video, LONG.store)
  const { first, rest } = await stalled(past)
  let sent = 0
  const isQuiet = async () => {
    const before = sent
    sent = (await consumers(past))[0]?.delivered.stream_seq ?? 0
    return sent > 0 && sent === before
  }
  await until(isQuiet, { what: 'a reader that has what it can hold', everyMs: 1_000 })
  t.true(sent < 600, `${sent} of ${past.packets.length} packets were sent`)
  const frames = [first, ...(await rest())]
  t.deepEqual(times(frames), inOrder(past.packets))
  await until(async () => (await consumers(past)).length === 0, { what: 'the end of the consumer' })
})

test('a keyframe that is stored in parts begins its GOP, and is the buffer’s start only when all of it is there', async t => {
  await using past = await startPast(SMALL, { partBytes: 1_000 })
  const { packets, jsm } = past
  const keyframes = packets.filter(({ key }) => key)
  t.true(keyframes.every(({ data }) => data.length > 2_000))
  const all = inOrder(packets)
  for (const { timestamp } of keyframes)
    t.deepEqual(
      times(await read(past, timestamp, timestamp + 100)),
      all.filter(at => at >= timestamp && at <= timestamp + 100),
    )
  const { buffer } = await probe(past)
  const frames = buffer?.frames ?? 0
  t.true(Math.abs(frames - packets.length) <= packets.length / 10, `${frames} frames of ${packets.length}`)

  await jsm.streams.purge(STREAM, { seq: 2 })
  const second = keyframes[1] as VideoPacket
  t.deepEqual(
    times(await read(past, 0, Date.now())),
    all.filter(at => at >= second.timestamp),
  )
  t.is((await probe(past)).buffer?.start_time, second.timestamp)
  t.is(await past.gateway.metric('chrysalis_bad_messages_total'), 0)
})

test('a frame that is presented before its GOP’s keyframe is decoded with the GOP before', async t => {
  await using past = await startPast({ ...SMALL, bFrames: 2, openGop: true })
  const { packets, jsm } = past
  const reference = new Map<number, string>()
  const all = inOrder(packets)
  for await (const { data } of decodeBgr24(past.file)) reference.set(all[reference.size] as number, digest(data))
  const keyframes = packets.filter(({ key }) => key)
  const leading = packets.filter(({ timestamp, keyframe }) => timestamp < (keyframes[keyframe - 1]?.timestamp ?? 0))
  t.true(leading.length >= 2 * (keyframes.length - 1) && keyframes.length > 3, `${leading.length} in ${keyframes.length} GOPs`)
  for (const { timestamp: from } of leading) {
    const frames = await read(past, from, from + 150)
    t.deepEqual(
      frames.map(({ timestamp, data }) => [timestamp, digest(data)]),
      all.filter(at => at >= from && at <= from + 150).map(at => [at, reference.get(at)]),
    )
  }
  // Where that is no longer stored there is no such frame.
  const second = keyframes[1] as VideoPacket
  await jsm.streams.purge(STREAM, { seq: second.seq })
  const frames = await read(past, 0, second.timestamp + 100)
  t.deepEqual(
    times(frames),
    all.filter(at => at >= second.timestamp && at <= second.timestamp + 100),
  )
})

test('frames of a node whose clock is ahead of the gateway’s are read like any others', async t => {
  await using past = await startPast(SMALL, { startMs: Date.now() + 600_000 })
  const all = inOrder(past.packets)
  t.deepEqual(times(await read(past, 0, Date.now() + 3_600_000)), all)
  t.deepEqual(await read(past, Date.now() + 1_800_000, Date.now() + 3_600_000), [])
})

test('a read whose decoder dies ends with UNAVAILABLE and says so', async t => {
  await using past = await startPast(LONG.video, LONG.store)
  const { rest } = await stalled(past)
  const [decoder] = descendants(past.gateway.pid).filter(({ command }) => command.includes('ffmpeg'))
  process.kill(decoder?.pid ?? 0, 'SIGKILL')
  const { code, details } = await failure(rest())
  t.is(code, status.UNAVAILABLE)
  t.regex(details, /decoder ended before its time \(SIGKILL\)/)
  await until(async () => (await consumers(past)).length === 0, { what: 'the end of the consumer' })
})

test('a read of which most packets make no picture gives those of the others, and ends well', async t => {
  await using past = await startPast({ ...SMALL, codec: 'mjpeg' }, { damage: (data, i) => (i % 4 === 0 ? data : data.subarray(0, 100)) })
  const frames = await read(past, 0, Date.now())
  t.deepEqual(
    frames.map(({ pts }) => pts),
    past.packets.filter((_, i) => i % 4 === 0).map(({ pts }) => pts),
  )
})

test('a scale that makes pictures too large is told to the client', async t => {
  await using past = await startPast(SMALL)
  await past.cameras.put(CAMERA, { bufferScale: '8000:6000' })
  const refused = () => failure(read(past, 0, Date.now()))
  const { code, details } = await until(refused, { what: 'a refusal' })
  t.is(code, status.UNAVAILABLE)
  t.regex(details, /8000×6000 \(48 megapixels\) are larger than 40 megapixels/)
})

test('a read ends with UNAVAILABLE when NATS stops answering in its middle, and so does one that begins then', async t => {
  await using past = await startPast(LONG.video, LONG.store)
  const { rest } = await stalled(past)
  await silence(past)
  const startedMs = performance.now()
  const [middle, begin, { buffer }] = await Promise.all([failure(rest()), failure(read(past, 0, Date.now())), probe(past)])
  t.deepEqual([middle.code, begin.code], [status.UNAVAILABLE, status.UNAVAILABLE])
  t.regex(middle.details, /the buffer cannot be reached/)
  t.is(buffer, null)
  t.true(performance.now() - startedMs < 20_000, `${performance.now() - startedMs} ms`)
  past.nats.cont()
})

test('a read whose buffer is lost with nats-server’s memory ends with UNAVAILABLE', async t => {
  await using past = await startPast(LONG.video, LONG.store)
  const { rest } = await stalled(past)
  await past.nats.restart()
  const { code, details } = await failure(rest())
  t.is(code, status.UNAVAILABLE)
  t.regex(details, /the buffer cannot be reached/)
  await until(() => past.gateway.metric('chrysalis_buffered_reads').then(reads => reads === 0), { what: 'the end of the read' })
})

test('a stream that runs empty ends a read, in its middle and before its first packet', async t => {
  await using past = await startPast(LONG.video, LONG.store)
  const { first, rest } = await stalled(past)
  const stream = new PacketStream(past.nc, { ref: CAMERA, uid: CAMERA.uid })
  const { signal } = new AbortController()
  const extent = await stream.extent(signal)
  t.is(extent?.startMs, first.timestamp)
  await past.jsm.streams.purge(STREAM)
  const got = (await rest()).length
  t.true(got > 0 && got < past.packets.length - 1, `${got} frames`)
  for await (const { packet, caughtUp } of stream.read(extent?.firstSeq ?? 0, () => {}, signal)) {
    t.is(packet, undefined)
    if (caughtUp) break
  }
})

test('whoever looks at a stream stops when its client leaves, though NATS does not answer, and leaves nothing there', async t => {
  await using past = await startPast(SMALL)
  const stream = new PacketStream(past.nc, { ref: CAMERA, uid: CAMERA.uid })
  await silence(past)
  const startedMs = performance.now()
  await t.throwsAsync(stream.extent(AbortSignal.timeout(200)), { name: 'TimeoutError' })
  const reading = stream.read(1, () => {}, AbortSignal.timeout(200))
  await t.throwsAsync(reading.next(), { name: 'TimeoutError' })
  t.true(performance.now() - startedMs < 2_000)
  past.nats.cont()
  await until(async () => (await consumers(past)).length === 0, { what: 'the end of the consumer that was asked for' })
})
