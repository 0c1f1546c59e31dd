// Cameras that change under way: another size, another codec, another time, a reboot.
import type { ExecutionContext } from 'ava'
import type { Frame } from '../proto/messages.ts'
import { decodeHere } from './fixtures/gateway-decoder.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { videoFrame } from './fixtures/reference.ts'
import { startCamera, type CameraOptions, type RtspCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { isRunning } from './fixtures/processes.ts'
import { testInTurns } from './fixtures/turns.ts'
import { until } from './fixtures/wait.ts'

const test = testInTurns(2)

/** Where frames are decoded. */
const WHERE = ['Sidecar', 'Gateway'] as const
type Where = (typeof WHERE)[number]
type Shown = Pick<Frame, 'epoch' | 'timestamp' | 'width' | 'height' | 'message'>

type Setting = AsyncDisposable & { camera: RtspCamera; sidecar: Sidecar; watching: AsyncDisposable & { readonly frames: readonly Shown[] } }

async function setUp(options: CameraOptions, where: Where = 'Sidecar'): Promise<Setting> {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const camera = stack.use(await startCamera(options))
  const sidecar = stack.use(await startSidecar(nats, { spec: { source: { url: camera.url } } }))
  await sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming')
  const watching = stack.use(where === 'Sidecar' ? await sidecar.watch('all') : await decodeHere(nats.url, sidecar.camera, 'all'))
  await until(() => watching.frames.length > 10, { what: 'frames' })
  const owned = stack.move()
  return { camera, sidecar, watching, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Waits until some frames fit. Returns how long it took, in ms. */
async function framesWith(setting: Setting, what: string, fits: (frame: Shown) => boolean): Promise<number> {
  const from = performance.now()
  const seen = setting.watching.frames.length
  await until(() => setting.watching.frames.slice(seen).filter(fits).length > 5, { what: `${what}\n${setting.sidecar.log().slice(-3000)}` })
  return performance.now() - from
}

/** In order, each of the size it says, and of this time. */
function areSound(t: ExecutionContext, { sidecar, watching }: Setting, pid: number) {
  let before: Shown | undefined
  for (const frame of watching.frames) {
    const { width, height, data, shape, timestamp } = videoFrame(frame)
    t.is(data.length, width * height * 3)
    t.deepEqual([frame.width, frame.height, frame.timestamp], [width, height, timestamp])
    t.deepEqual(
      shape?.dim.map(({ size }) => size),
      [height, width, 3],
    )
    if (before !== undefined) {
      t.true(frame.epoch > before.epoch || (frame.epoch === before.epoch && frame.timestamp > before.timestamp))
    }
    before = frame
  }
  t.true(Math.abs((before?.timestamp ?? 0) - Date.now()) < 5000)
  t.is(sidecar.pid, pid)
  t.true(isRunning(sidecar.child))
}

const epochs = ({ watching }: Setting) => new Set(watching.frames.map(({ epoch }) => epoch)).size

for (const where of WHERE) {
  test(`a live camera changes its size and changes it back: new epochs, the right size in every frame, no reconnect: ${where}`, async t => {
    await using setting = await setUp({ width: 320, height: 240, gop: 10 }, where)
    const { camera, sidecar } = setting
    const { pid } = sidecar
    await camera.changeSize(160, 128)
    await framesWith(setting, 'small frames', ({ width, height }) => width === 160 && height === 128)
    await sidecar.stateWith('a small codec', ({ codec }) => codec?.width === 160 && codec.height === 128)
    await camera.changeSize(320, 240)
    await framesWith(setting, 'large frames', ({ width, height }) => width === 320 && height === 240)
    areSound(t, setting, pid)
    t.is(epochs(setting), 3)
    const state = await sidecar.stateWith('a large codec', ({ codec }) => codec?.width === 320)
    t.is(state.reconnects, 0)
    const packets = await sidecar.packets()
    for (const { key, codec, epoch, keyframe, index } of packets) {
      if (!key) continue
      t.is(index, 0)
      const first = packets.find(packet => packet.epoch === epoch)
      t.deepEqual([codec?.width, codec?.height], [first?.codec?.width, first?.codec?.height])
      t.true(keyframe >= 1)
    }
  })
}

for (const where of WHERE) {
  test(`a camera goes on with a picture of another size and B-frames: ${where}`, async t => {
    await using setting = await setUp({ file: await testVideo({ width: 320, height: 192, seconds: 1 }) }, where)
    const { pid } = setting.sidecar
    await setting.camera.changeFile(await testVideo({ width: 640, height: 360, seconds: 1, gop: 15, bFrames: 2 }))
    await framesWith(setting, 'large frames', ({ width }) => width === 640)
    areSound(t, setting, pid)
  })
}

for (const where of WHERE) {
  test(`a camera reboots, and comes back with another codec: frames are back within five seconds: ${where}`, async t => {
    await using setting = await setUp({ file: await testVideo({ width: 320, height: 192, seconds: 2 }) }, where)
    const { camera, sidecar } = setting
    const { pid } = sidecar
    await camera.kill()
    const gone = await sidecar.stateWith('waiting', ({ connection }) => connection === 'waiting')
    t.regex(gone.reason ?? '', /^(StreamEnded|ConnectionLost|ConnectionRefused)$/)
    t.true((gone.message ?? '').length > 0)
    for (const codec of ['h264', 'h265', 'mjpeg'] as const) {
      await camera.restart({ codec, file: await testVideo({ codec, width: 320, height: 192, seconds: 2 }) })
      t.true(
        (await framesWith(
          setting,
          `frames of ${codec}`,
          frame => videoFrame(frame).codec_name === { h264: 'h264', h265: 'hevc', mjpeg: 'mjpeg' }[codec],
        )) < 6000,
      )
      await sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming')
    }
    areSound(t, setting, pid)
    const state = await sidecar.stateWith('streaming', ({ connection, codec }) => connection === 'streaming' && codec?.name === 'mjpeg')
    t.is(state.reason, undefined)
    t.is(state.failingStreak, 0)
    t.true(state.reconnects >= 3)
  })
}

for (const { seconds, where = 'Sidecar', bFrames = 0 } of [
  { seconds: 100 },
  { seconds: -3600 },
  { seconds: -100, bFrames: 2 },
  { seconds: -3, where: 'Gateway', bFrames: 2 },
] as { seconds: number; where?: Where; bFrames?: number }[]) {
  const what = `${seconds} s with ${bFrames} B-frames`
  test(`a camera's timestamps jump by ${what}: frames go on within seconds, in order, at the time of day: ${where}`, async t => {
    await using setting = await setUp({ file: await testVideo({ width: 320, height: 192, seconds: 1, gop: 15, bFrames }) }, where)
    const { camera, sidecar } = setting
    const { pid } = sidecar
    const last = setting.watching.frames.at(-1)
    await camera.jump(seconds)
    const tookMs = await framesWith(setting, 'frames after the jump', ({ epoch }) => epoch > (last?.epoch ?? 0))
    t.true(tookMs < 8000)
    areSound(t, setting, pid)
  })
}

for (const [seconds, where] of [
  [-30, 'Sidecar'],
  [-3, 'Sidecar'],
  [-3, 'Gateway'],
] as const) {
  test(`a camera's timestamps jump by ${seconds} s: frames go on at once, in order, at the time of day, no reconnect: ${where}`, async t => {
    await using setting = await setUp({ file: await testVideo({ width: 320, height: 192, seconds: 1 }) }, where)
    const { camera, sidecar } = setting
    const { pid } = sidecar
    await camera.jump(seconds)
    const jumpedAt = Date.now()
    await framesWith(setting, 'frames after the jump', ({ timestamp }) => timestamp > jumpedAt + 2000)
    areSound(t, setting, pid)
    t.is(epochs(setting), 1)
    t.is((await sidecar.state())?.reconnects, 0)
  })
}

test('a camera with B-frames whose clock jumps back again and again is not connected to again for it', async t => {
  await using setting = await setUp({ file: await testVideo({ width: 320, height: 192, seconds: 1, gop: 15, bFrames: 2 }) })
  const { camera, sidecar, watching } = setting
  for (let jumps = 0; jumps < 2; jumps++) {
    const last = watching.frames.at(-1)?.epoch ?? 0
    await camera.jump(-3)
    await framesWith(setting, 'frames of another connection', ({ epoch }) => epoch > last)
    await sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming')
  }
  // The state of the newest connection: it is reported a moment after its first frames.
  const isSettled = (state: { epoch: number }) => state.epoch === watching.frames.at(-1)?.epoch
  const settledAt = Date.now()
  await framesWith(setting, 'a second of frames', ({ timestamp }) => timestamp > settledAt + 1000)
  const { reconnects, epoch } = await sidecar.stateWith('the newest epoch', isSettled)
  await camera.jump(-3)
  const jumpedAt = Date.now()
  await framesWith(setting, 'frames after the third jump', ({ timestamp }) => timestamp > jumpedAt + 2000)
  t.like(await sidecar.state(), { connection: 'streaming', reconnects, epoch })
})

for (const { rate, where = 'Sidecar', bFrames = 0 } of [
  { rate: 0 },
  { rate: 0.8, where: 'Gateway' },
  { rate: 0.84, bFrames: 2 },
  { rate: 1.2 },
] as { rate: number; where?: Where; bFrames?: number }[]) {
  const what = `${rate} times as fast as they should, with ${bFrames} B-frames`
  test(`a camera's timestamps run ${what}: frames have the time of day, without a new epoch: ${where}`, async t => {
    await using setting = await setUp({ file: await testVideo({ width: 320, height: 192, seconds: 1, gop: 15, bFrames }) }, where)
    const { camera, sidecar, watching } = setting
    const { pid } = sidecar
    await camera.rate(rate)
    const seen = watching.frames.length
    const lags: number[] = []
    await until(
      () => {
        const newest = watching.frames.at(-1)
        if (newest !== undefined && watching.frames.length > seen) lags.push(Date.now() - newest.timestamp)
        return watching.frames.length > seen + 300
      },
      { what: '300 frames', everyMs: 40 },
    )
    const last = lags.slice(lags.length / 2).toSorted((a, b) => a - b)
    t.true(Math.abs(last[last.length >> 1] ?? Infinity) < 700, `${last[last.length >> 1]} ms`)
    areSound(t, setting, pid)
    t.is(epochs(setting), 1)
    t.is((await sidecar.state())?.reconnects, 0)
  })
}

test('a camera that stands still is told so and comes back by itself', async t => {
  await using setting = await setUp({ file: await testVideo({ width: 320, height: 192, seconds: 1 }) })
  const { camera, sidecar } = setting
  camera.stop()
  const from = performance.now()
  const stalled = await sidecar.stateWith('a stall', ({ reason }) => reason === 'StreamStalled')
  t.true(performance.now() - from < 11_000)
  t.is(stalled.connection, 'waiting')
  camera.cont()
  await framesWith(setting, 'frames after the stall', ({ epoch }) => epoch > stalled.epoch)
  areSound(t, setting, sidecar.pid)
})
