// From a real camera to a client, wherever frames are decoded, and while that changes.
import anyTest, { type ExecutionContext } from 'ava'
import type { VideoFrame__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import { packetStream } from '../proto/subjects.ts'
import type { PacketsResponse__Output } from '../proto/generated/chrys/cloud/frames/v1/PacketsResponse.ts'
import { framesClient } from './fixtures/frames-client.ts'
import { cameraRecord, startCameras, type Cameras } from './fixtures/cameras.ts'
import { grpcClient, startGateway, type FrameStream, type Gateway } from './fixtures/gateway.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats, type NatsOptions, type NatsServer } from './fixtures/nats.ts'
import { startCamera, type CameraOptions, type RtspCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest.serial

type Setting = AsyncDisposable & {
  nats: NatsServer
  camera: RtspCamera
  cameras: Cameras
  sidecar: Sidecar
  gateway: Gateway
  stream: FrameStream
}
type Options = { camera: CameraOptions; placement: 'Auto' | 'Sidecar' | 'Gateway'; nats?: NatsOptions; env?: Record<string, string> }

async function setUp({ camera: cameraOptions, placement, nats: natsOptions = {}, env = {} }: Options): Promise<Setting> {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats(natsOptions))
  const camera = stack.use(await startCamera(cameraOptions))
  const cameras = stack.use(await startCameras(nats.url))
  const sidecar = stack.use(await startSidecar(nats, { spec: { source: { url: camera.url }, decoding: { placement } } }))
  await cameras.put(sidecar.camera, cameraRecord(sidecar.camera, { decoding: { keyFramesOnly: false, placement } }))
  const gateway = stack.use(await startGateway(nats.url, env))
  await sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming')
  await until(() => gateway.ready(), { what: 'the gateway' })
  const client = stack.use(grpcClient(gateway.port))
  const stream = stack.use(client.stream())
  const owned = stack.move()
  return { nats, camera, cameras, sidecar, gateway, stream, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Takes frames until enough fit; each is newer than the one before. */
async function frames(
  t: ExecutionContext,
  { stream, gateway, sidecar }: Setting,
  what: string,
  fits: (frame: VideoFrame__Output) => boolean,
) {
  let last = 0
  let count = 0
  const next = async () => {
    const frame = await stream.ask({ device_id: 'cam' })
    if (frame.data.length === 0) return false
    t.true(frame.timestamp > last, `${what}: ${frame.timestamp} after ${last}`)
    t.is(frame.data.length, frame.width * frame.height * 3)
    last = frame.timestamp
    if (fits(frame)) count++
    return count > 10
  }
  await until(next, { what: `${what}\n${gateway.log().slice(-1500)}\n${sidecar.log().slice(-1500)}`, everyMs: 0, timeoutMs: 60_000 })
  t.true(Math.abs(Date.now() - last) < 5_000)
}

const decodedIn = async ({ sidecar, gateway }: Setting) => {
  const [, count = '0'] = /^chrysalis_frames_decoded_total (\d+)/m.exec(await sidecar.metrics()) ?? []
  return { sidecar: Number(count), gateway: await gateway.metric('chrysalis_frames_decoded_total') }
}

test('a camera that is decoded in the gateway is not decoded in its pod, and says that it is being decoded', async t => {
  await using setting = await setUp({
    camera: { file: await testVideo({ width: 320, height: 192, seconds: 2, bFrames: 2 }) },
    placement: 'Gateway',
  })
  const { sidecar } = setting
  await frames(t, setting, 'frames', () => true)
  const decoded = await decodedIn(setting)
  t.is(decoded.sidecar, 0)
  t.true(decoded.gateway > 10)
  await sidecar.stateWith('decoding', ({ decoding }) => decoding.active && decoding.ok)
  await sidecar.stateWith('no more decoding', ({ decoding }) => !decoding.active && decoding.ok)
  await frames(t, setting, 'frames again', () => true)
  t.is((await decodedIn(setting)).sidecar, 0)
})

test('a watched camera becomes larger than what is moved raw, and small again', async t => {
  // 320×240 at 15 fps is 3.5 MB/s, 640×480 four times that.
  const env = { CHRYS_RAW_FRAMES_MAX_MB: '8' }
  await using setting = await setUp({ camera: { width: 320, height: 240, gop: 15 }, placement: 'Auto', env })
  const { camera, cameras, sidecar } = setting
  const another = cameras.anotherGateway(sidecar.camera)
  await frames(t, setting, 'small frames', ({ width }) => width === 320)
  t.is((await decodedIn(setting)).gateway, 0)
  await camera.changeSize(640, 480)
  await frames(t, setting, 'large frames', ({ width }) => width === 640)
  const isMoved = async () => {
    await frames(t, setting, 'frames on the way', () => true)
    const before = await decodedIn(setting)
    await frames(t, setting, 'more frames', () => true)
    const after = await decodedIn(setting)
    return after.gateway > before.gateway && after.sidecar === before.sidecar
  }
  await until(isMoved, { what: 'frames decoded in the gateway alone' })
  await camera.changeSize(320, 240)
  await frames(t, setting, 'small frames again', ({ width }) => width === 320)
  const isBack = async () => {
    await frames(t, setting, 'frames on the way back', () => true)
    return (await setting.gateway.metric('chrysalis_decoder_running')) === 0
  }
  await until(isBack, { what: 'frames decoded in the sidecar alone' })
  another[Symbol.dispose]()
  await until(isMoved, { what: 'frames decoded in the gateway, when it is the only one that wants them' })
  await frames(t, setting, 'frames in the end', ({ width }) => width === 320)
})

test('a rendition that two gateways want is made once, in the camera’s pod; and as it goes there and back no frame comes twice or backwards', async t => {
  await using setting = await setUp({ camera: { width: 320, height: 240, gop: 15 }, placement: 'Auto' })
  const { cameras, gateway, sidecar } = setting
  await using client = framesClient(gateway.port)
  const wish = { cameras: ['cam'], rendition: { width: 80 }, mode: 'MODE_EVERY' as const }
  using call = client.watch({ wish, credit: 1_000 })
  await call.frameCount(15)
  const decodersHere = () => gateway.metric('chrysalis_decoder_running')
  t.is(await decodersHere(), 1)
  const another = cameras.anotherGateway(sidecar.camera)
  await until(async () => (await decodersHere()) === 0, { what: 'the rendition to be made in the pod' })
  const [there, ofPod] = [call.frames.length, await decodedIn(setting)]
  await call.frameCount(there + 15)
  const after = await decodedIn(setting)
  t.true(after.sidecar > ofPod.sidecar && after.gateway === ofPod.gateway)
  another[Symbol.dispose]()
  await until(async () => (await decodersHere()) === 1, { what: 'the rendition to be made here again' })
  const back = call.frames.length
  await call.frameCount(back + 15)
  t.true(call.frames.every(({ width, height, data }) => width === 80 && height === 60 && data.length === 80 * 60 * 3))
  const times = call.frames.map(frame => frame.capture_time_ms)
  t.true(
    times.every((time, i) => i === 0 || time > (times[i - 1] ?? 0)),
    times.join(' '),
  )
})

test('frames decoded in the gateway come back after NATS was away, and after the camera was', async t => {
  await using setting = await setUp({ camera: { file: await testVideo({ width: 320, height: 192, seconds: 2 }) }, placement: 'Gateway' })
  const { nats, camera } = setting
  await frames(t, setting, 'frames', () => true)
  await nats.restart()
  await frames(t, setting, 'frames after NATS was away', () => true)
  await camera.restart()
  await frames(t, setting, 'frames after the camera was away', () => true)
  t.is((await decodedIn(setting)).sidecar, 0)
})

test('a camera whose buffer NATS has no room for is decoded where the spec says: its packets come live', async t => {
  const nats = { jetstreamLimits: { memory: 40 * 2 ** 20 } }
  await using setting = await setUp({
    camera: { file: await testVideo({ width: 320, height: 192, seconds: 2 }) },
    placement: 'Gateway',
    nats,
  })
  await setting.sidecar.stateWith('no buffer', ({ buffer }) => !buffer.ok && buffer.reason === 'BufferQuotaExceeded')
  await frames(t, setting, 'frames', () => true)
  const { gateway, sidecar } = await decodedIn(setting)
  t.true(gateway > 0 && sidecar === 0, `${gateway} ${sidecar}`)
  await t.throwsAsync(setting.cameras.nc.jetstreamManager().then(jsm => jsm.streams.info(packetStream(setting.sidecar.camera))))

  // Clients that decode themselves get them too, from a keyframe on and without gaps.
  await using client = framesClient(setting.gateway.port)
  const call = client.stub.Packets({ camera: 'cam' }, { deadline: Date.now() + 30_000 })
  const events: PacketsResponse__Output[] = []
  for await (const event of call as AsyncIterable<PacketsResponse__Output>) {
    events.push(event)
    if (events.filter(({ packet }) => packet).length === 40) break
  }
  const packets = events.flatMap(({ packet }) => packet ?? [])
  t.is(events.find(({ codec }) => codec)?.codec?.name, 'h264')
  t.true(packets[0]?.keyframe)
  t.false(packets.some(({ gap }) => gap))
  t.is(new Set(packets.map(({ id }) => id)).size, 40)
})
