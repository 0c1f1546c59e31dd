import test from 'ava'
import { status } from '@grpc/grpc-js'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import type { VideoFrame__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import type { VideoProbeResponse__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoProbeResponse.ts'
import type { StoredPacket } from '../proto/messages.ts'
import { startCameras, type Cameras } from './fixtures/cameras.ts'
import { collect, failure, grpcClient, startGateway, type Client, type Gateway } from './fixtures/gateway.ts'
import { decodeBgr24, testVideo, type VideoOptions } from './fixtures/media.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { descendants, end } from './fixtures/processes.ts'
import { startCamera, type RtspCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

type System = AsyncDisposable & {
  nats: NatsServer
  camera: RtspCamera
  sidecar: Sidecar
  cameras: Cameras
  gateway: Gateway
  client: Client
}

const SMALL = { width: 320, height: 192, fps: 30, seconds: 4, gop: 30 } as const

async function startSystem(
  video: VideoOptions,
  { buffer = {}, env = {} }: { buffer?: object; env?: Record<string, string> } = {},
): Promise<System> {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const camera = stack.use(await startCamera({ codec: video.codec ?? 'h264', file: await testVideo(video) }))
  const sidecar = stack.use(await startSidecar(nats, { spec: { source: { url: camera.url }, buffer } }))
  const cameras = stack.use(await startCameras(nats.url, [sidecar.camera]))
  const gateway = stack.use(await startGateway(nats.url, env))
  const client = stack.use(grpcClient(gateway.port))
  await until(() => gateway.ready(), { what: 'the gateway’s list of cameras' })
  const owned = stack.move()
  return { nats, camera, sidecar, cameras, gateway, client, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const stored = (sidecar: Sidecar, count: number): Promise<StoredPacket[]> =>
  until(
    async () => {
      const packets = await sidecar.packets()
      return packets.length >= count && packets
    },
    { what: `${count} stored packets`, everyMs: 250 },
  )

const buffered = ({ client }: System, from: number, to: number) =>
  client.stub.VideoBufferedImage({ device_id: 'cam', timestamp_from: from, timestamp_to: to })
const read = (system: System, from: number, to: number): Promise<VideoFrame__Output[]> => collect(buffered(system, from, to))

const probe = ({ client }: System): Promise<VideoProbeResponse__Output> => {
  const { promise, resolve, reject } = Promise.withResolvers<VideoProbeResponse__Output>()
  client.stub.VideoProbe({ device_id: 'cam' }, (error, response) => (response === undefined ? reject(error) : resolve(response)))
  return promise
}

const digest = (data: Uint8Array) => createHash('md5').update(data).digest('hex')

/** The gateway's ffmpeg children. */
const decoders = ({ gateway }: System) => descendants(gateway.pid).filter(({ command }) => command.includes('ffmpeg'))

for (const video of [
  { ...SMALL, codec: 'h264', bFrames: 2 },
  { ...SMALL, codec: 'h265', bFrames: 0 },
  { ...SMALL, codec: 'mjpeg' },
] as const) {
  const name = `${video.codec}${'bFrames' in video && video.bFrames > 0 ? ' with B-frames' : ''}`
  test(`a stretch of ${name} gives every frame in it once, in order, bit for bit as ffmpeg decodes the packets`, async t => {
    await using system = await startSystem(video)
    const packets = await stored(system.sidecar, 100)
    // The middle of a GOP to the middle of another: the keyframe before `from` is decoded and not given.
    const inOrder = packets.map(packet => packet.timestamp).sort((a, b) => a - b)
    const [from, to] = [inOrder[40] as number, inOrder[85] as number]
    const frames = await read(system, from, to)
    const expected = packets.filter(({ timestamp }) => timestamp >= from && timestamp <= to).sort((a, b) => a.pts - b.pts)
    t.deepEqual(
      frames.map(({ pts, dts, timestamp, packet, keyframe }) => ({ pts, dts, timestamp, packet, keyframe })),
      expected.map(({ pts, dts, timestamp, index, keyframe }) => ({ pts, dts, timestamp, packet: index, keyframe })),
    )
    // The camera repeats a file: its frames, from some place on. (RTP carries JPEG without its headers: there the packets count.)
    await using folder = await temporaryFolder()
    await writeFile(folder.file('packets.mjpeg'), Buffer.concat(expected.map(({ data }) => data)))
    const reference = video.codec === 'mjpeg' ? folder.file('packets.mjpeg') : await testVideo(video)
    const pictures: string[] = []
    for await (const { data } of decodeBgr24(reference)) pictures.push(digest(data))
    const got = frames.map(({ data }) => digest(data))
    const place = pictures.indexOf(got[0] as string)
    t.not(place, -1)
    t.deepEqual(
      got,
      got.map((_, i) => pictures[(place + i) % pictures.length] as string),
    )
    t.true(
      frames.every(({ width, height, shape }) => width === 320 && height === 192 && shape?.dim.map(dim => dim.size).join() === '192,320,3'),
    )
  })
}

test('from 0 is the start of the buffer, to beyond now is now, and a probe tells both ends', async t => {
  await using system = await startSystem({ ...SMALL, codec: 'h264' }, { buffer: { duration: '3s' } })
  await stored(system.sidecar, 80)
  await until(async () => ((await probe(system)).buffer?.frames ?? 0) > 60, { what: 'a full buffer' })
  const { buffer, video_codec } = await probe(system)
  t.like(video_codec, { name: 'h264', width: 320, height: 192, pix_fmt: 'yuv420p' })
  // Near: the clock still finds its place in the first seconds.
  const fps = buffer?.approximate_fps ?? 0
  t.true(fps >= 27 && fps <= 40, `${fps} fps`)
  const frames = await read(system, 0, Date.now() + 60_000)
  t.true(frames[0]?.is_keyframe)
  t.true(Math.abs((frames[0]?.timestamp ?? 0) - (buffer?.start_time ?? 0)) <= 2_500, 'the start moves on while we look')
  t.true((frames.at(-1)?.timestamp ?? 0) >= (buffer?.end_time ?? Infinity))
  t.true(frames.length >= 60)
})

test('a stretch across a change of codec and size gives each frame at its own size, and a probe tells the new ones and both epochs’ times', async t => {
  await using system = await startSystem({ ...SMALL, codec: 'h264' })
  const [first] = await stored(system.sidecar, 40)
  await system.camera.restart({ codec: 'h265', file: await testVideo({ ...SMALL, codec: 'h265', width: 640, height: 360 }) })
  const ofNewEpoch = async () => (await system.sidecar.packets()).filter(({ epoch }) => epoch !== first?.epoch)
  await until(async () => (await ofNewEpoch()).length > 0, { what: 'a second epoch', everyMs: 50 })
  // The sidecar tells at most twice a second what it is doing.
  const isNew = async () => {
    const answer = await probe(system)
    return answer.video_codec?.name === 'hevc' && answer
  }
  const { video_codec, buffer } = await until(isNew, { what: 'the new codec', timeoutMs: 5_000 })
  t.like(video_codec, { name: 'hevc', width: 640, height: 360 })
  t.is(buffer?.start_time, first?.timestamp)
  t.true((buffer?.end_time ?? 0) >= ((await ofNewEpoch())[0]?.timestamp ?? Infinity))
  await until(async () => (await ofNewEpoch()).filter(({ key }) => key).length >= 2, { what: 'two GOPs of it', everyMs: 250 })
  const frames = await read(system, 0, Date.now())
  const sizes = frames.map(({ width, height, data }) => `${width}x${height} ${data.length}`)
  t.deepEqual([...new Set(sizes)], [`320x192 ${320 * 192 * 3}`, `640x360 ${640 * 360 * 3}`])
  const expected = (await system.sidecar.packets()).map(({ timestamp }) => timestamp)
  t.true(frames.every(({ timestamp }, i) => expected.includes(timestamp) && timestamp > (frames[i - 1]?.timestamp ?? 0)))
})

test('buffered images are served while the camera and its sidecar are gone, and scaled as the spec says', async t => {
  await using system = await startSystem({ ...SMALL, codec: 'h264' })
  await stored(system.sidecar, 60)
  await end(system.sidecar.child, 'SIGKILL')
  await system.camera.kill()
  await system.cameras.put(system.sidecar.camera, { bufferScale: '160:-2' })
  const frames = await until(async () => (await read(system, 0, Date.now())).filter(({ width }) => width === 160), {
    what: 'scaled frames',
  })
  t.true(frames.length >= 60)
  t.true(frames.every(({ height, data }) => height === 96 && data.length === 160 * 96 * 3))
})

test('a client that reads slowly holds up the decoder, and one that leaves ends it', async t => {
  await using system = await startSystem({ width: 1280, height: 720, fps: 30, seconds: 4, gop: 30 })
  await stored(system.sidecar, 150)
  const before = memory(system.gateway.pid)
  const call = buffered(system, 0, Date.now())
  let count = 0
  for await (const _ of call) {
    await new Promise(resolve => setTimeout(resolve, 300))
    if (++count === 8) break
  }
  call.on('error', () => {}).cancel()
  // 16 MiB of window on the wire, a few frames of 2.8 MB in the pipeline; 150 frames are 415 MB.
  t.true(memory(system.gateway.pid) - before < 120, `${memory(system.gateway.pid) - before} MB more`)
  await until(() => decoders(system).length === 0, { what: 'the end of the decoder', timeoutMs: 10_000 })
})

/** Resident memory in MB. */
const memory = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

test('more reads than the limit are refused by a message that names it', async t => {
  await using system = await startSystem({ ...SMALL, codec: 'h264' }, { env: { CHRYS_BUFFERED_READS_MAX: '2' } })
  await stored(system.sidecar, 60)
  const running = [buffered(system, 0, Date.now()), buffered(system, 0, Date.now())].map(call => call.pause().on('error', () => {}))
  await until(async () => (await system.gateway.metric('chrysalis_buffered_reads')) === 2, { what: 'two running reads' })
  const refused = await failure(read(system, 0, Date.now()))
  t.is(refused.code, 8)
  t.regex(refused.details, /at most 2 /)
  for (const call of running) call.cancel()
  await until(async () => (await system.gateway.metric('chrysalis_buffered_reads')) === 0, { what: 'the end of the reads' })
  t.true((await read(system, 0, Date.now())).length >= 60)
})

test('a stretch that is not stored is refused by its own reason', async t => {
  await using system = await startSystem({ ...SMALL, codec: 'h264' })
  await stored(system.sidecar, 40)
  const now = Date.now()
  const start = (await probe(system)).buffer?.start_time
  t.deepEqual(await failure(read(system, 1, now - 3_600_000)), { code: 11, details: `buffer starts at ${start}` })
  const invalid = { code: 3, details: 'timestamp_from must be >= 0 and <= timestamp_to' }
  t.deepEqual(await failure(read(system, now, now - 1)), invalid)
  t.deepEqual(await failure(read(system, -1, now)), invalid)
  t.deepEqual(await read(system, now + 60_000, now + 120_000), [])
  await system.cameras.put({ ...system.sidecar.camera, uid: '22222222-2222-4222-8222-222222222222' })
  const namesake = await until(
    async () => {
      const refused = await failure(read(system, 0, Date.now()))
      return refused.code === status.FAILED_PRECONDITION && refused
    },
    { what: 'the refusal of a namesake’s pictures' },
  )
  t.is(namesake.details, 'camera "default/cam" has no buffered pictures')
  await system.nats.kill()
  t.is((await failure(read(system, 0, Date.now()))).code, 14)
})
