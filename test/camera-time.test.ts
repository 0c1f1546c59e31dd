// The camera's own clock, from its RTCP reports to the frames: two GStreamer cameras whose frames show when they were captured.
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { testPython } from '../deploy/setup/test-tools.mjs'
import { end, spawnMortal } from './fixtures/processes.ts'
import { startCameras } from './fixtures/cameras.ts'
import { startClockProxy } from './fixtures/clock-proxy.ts'
import { framesClient } from './fixtures/frames-client.ts'
import { startGateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { stampOf } from './fixtures/stamp.ts'
import { until } from './fixtures/wait.ts'
import { SenderClock } from '../sidecar/rtsp/sender-clock.ts'

const FPS = 10
const WIDTH = 320
const ERROR_MS = 5
const HOUR_MS = 3_600_000
const NAMES = ['one', 'two'] as const

test('frames say when the camera captured them, whatever its clock says, and cameras of one clock are paired', async t => {
  t.timeout(180_000)
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const cameras = stack.use(await startCameras(nats.url))
  const gateway = stack.use(await startGateway(nats.url))
  const startMs = Date.now()
  // An hour ahead, and 200 ppm too fast.
  let clock = (trueMs: number) => trueMs + HOUR_MS + (trueMs - startMs) * 0.000_2
  const proxies = await Promise.all(
    NAMES.map(async name => {
      const camera = stack.use(await startCamera({ width: WIDTH, height: 180, fps: FPS, gop: FPS, stamped: true }))
      const proxy = stack.use(await startClockProxy(camera.port, trueMs => clock(trueMs)))
      proxy.isSilent = true
      const uid = `uid-${name}`
      await cameras.put({ namespace: 'default', name, uid })
      stack.use(await startSidecar(nats, { name, uid, spec: { source: { url: `rtsp://127.0.0.1:${proxy.port}/video` } } }))
      return proxy
    }),
  )
  // Another by UDP, whose clock is the true one.
  const beside = stack.use(await startCamera({ width: WIDTH, height: 180, fps: FPS, gop: FPS, stamped: true }))
  await cameras.put({ namespace: 'default', name: 'udp', uid: 'uid-udp' })
  stack.use(await startSidecar(nats, { name: 'udp', uid: 'uid-udp', spec: { source: { url: beside.url, transport: 'udp' } } }))
  const client = stack.use(framesClient(gateway.port))
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  using call = stack.use(
    client.watch({ wish: { cameras: [...NAMES, 'udp'], rendition: { format: 'PIXEL_FORMAT_GRAY8' }, mode: 'MODE_EVERY' }, credit: 1_000 }),
  )
  type Seen = { camera: string; source: string; cameraMs: number; trueMs: number; offMs: number; uncertaintyMs: number }
  const seen: Seen[] = []
  call.onFrame = ({ camera, data, camera_time }) => {
    call.send({ credit: 1 })
    const trueMs = stampOf(data, WIDTH)
    const { ms = 0, source = '', uncertainty_ms = 0 } = camera_time ?? {}
    seen.push({
      camera,
      source,
      cameraMs: ms,
      trueMs,
      offMs: Math.abs(ms - (camera === 'udp' ? trueMs : clock(trueMs))),
      uncertaintyMs: uncertainty_ms,
    })
  }
  const of = (name: string, since = 0) => seen.filter(({ camera, trueMs }) => camera === name && trueMs >= since)
  await until(() => NAMES.every(name => of(name).length >= 2 * FPS), { what: 'frames of both cameras', timeoutMs: 60_000 })
  const unreported = NAMES.flatMap(name => of(name))
  t.deepEqual([...new Set(unreported.map(({ source }) => source))], ['SOURCE_NONE'], 'unknown before the first report')
  t.true(unreported.every(({ cameraMs }) => cameraMs === 0))

  for (const [what, change] of [
    ['an hour ahead, 200 ppm too fast', clock],
    ['set back by two hours', (trueMs: number) => trueMs - HOUR_MS],
    ['set right', (trueMs: number) => trueMs],
  ] as const) {
    clock = change
    const before = proxies.map(proxy => proxy.reports)
    for (const proxy of proxies) proxy.isSilent = false
    await until(() => proxies.every((proxy, i) => proxy.reports > (before[i] ?? 0)), { what: 'a report of each camera', timeoutMs: 60_000 })
    // What was captured a moment after the report has passed comes behind it.
    const since = Date.now() + 200
    await until(() => NAMES.every(name => of(name, since).length >= 2 * FPS), { what: 'frames behind the report' })
    const frames = NAMES.flatMap(name => of(name, since))
    const worst = Math.max(...frames.map(({ offMs }) => offMs))
    t.log(`${what}: ${frames.length} frames, at most ${worst.toFixed(1)} ms off`)
    t.true(
      frames.every(({ source }) => source === 'SOURCE_RTCP'),
      what,
    )
    t.true(worst <= ERROR_MS, what)
    t.true(
      frames.every(({ offMs, uncertaintyMs }) => offMs <= uncertaintyMs + 1),
      `${what}: within the uncertainty`,
    )
    for (const one of of('one', since).slice(0, -FPS)) {
      const two = of('two').toSorted((a, b) => Math.abs(a.cameraMs - one.cameraMs) - Math.abs(b.cameraMs - one.cameraMs))[0]
      t.true(two !== undefined && Math.abs(two.trueMs - one.trueMs) <= 1000 / FPS, `${what}: paired within a frame`)
    }
  }
  const byUdp = () => of('udp').filter(({ source }) => source === 'SOURCE_RTCP')
  await until(() => byUdp().length >= 2 * FPS, { what: 'frames of the camera by UDP behind its report', timeoutMs: 60_000 })
  t.true(Math.max(...byUdp().map(({ offMs }) => offMs)) <= ERROR_MS, 'by UDP too')
  const programs = ['Edge', 'AsyncEdge'].map(edge => stack.use(startPairs(gateway.port, edge)))
  for (const { pairs, errors } of programs) {
    await until(() => pairs.length >= 2 * FPS, { what: `pairs; ${errors()}`, timeoutMs: 60_000 })
    for (const [one, two] of pairs) {
      t.deepEqual([one.camera, two.camera], ['one', 'two'])
      t.true(Math.abs(one.true_ms - two.true_ms) <= 1000 / FPS, 'the Python client pairs frames of the same moment')
      t.true(Math.abs(one.camera_ms - one.true_ms) <= ERROR_MS)
    }
  }
})

type Paired = { camera: string; camera_ms: number; true_ms: number }

function startPairs(port: number, edge: string) {
  const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))
  const child = spawnMortal(testPython(process.env), [path('fixtures/python_sync.py'), `127.0.0.1:${port}`, edge], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONPATH: path('../clients/python/src'), PYTHONDONTWRITEBYTECODE: '1' },
  })
  const pairs: [Paired, Paired][] = []
  let errors = ''
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', line => pairs.push(JSON.parse(line) as [Paired, Paired]))
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  return { pairs, errors: () => errors, [Symbol.asyncDispose]: () => end(child) }
}

const RTP_HZ = 90_000
const NTP_S = 2_208_988_800
const base = 4_294_960_000 // wraps soon
const frame = (i: number) => Buffer.from(`frame number ${String(i).padStart(6, '0')}`)
const rtpOf = (i: number) => (base + i * 9_000) % 2 ** 32
const TIME_BASE = [1, RTP_HZ] as const

function clockWith(frames: number, { first = 0, now = 1.8e12 } = {}) {
  const clock = new SenderClock(() => now)
  for (let i = 0; i < frames; i++) clock.packet(rtpOf(i), frame(i))
  return { clock, timeOf: (i: number) => clock.timeOf({ pts: (i - first) * 9_000, data: frame(i) }, TIME_BASE) }
}
const at = (ms: number): [number, number] => [Math.floor(ms / 1000) + NTP_S, ((ms % 1000) / 1000) * 2 ** 32]

test('a frame that ffmpeg begins later than the camera still has its own time, across the wrap of RTP time', t => {
  const { clock, timeOf } = clockWith(40, { first: 3 })
  clock.report(...at(1.8e12), rtpOf(5))
  t.is(timeOf(3), undefined, 'one frame proves nothing')
  for (let i = 4; i < 40; i++) t.is(timeOf(i)?.ms, 1.8e12 + (i - 5) * 100)
})

test('nothing is said without a report, in another time base, or for frames of bytes that were never sent', t => {
  const { clock, timeOf } = clockWith(10)
  t.deepEqual([0, 1, 2].map(timeOf), [undefined, undefined, undefined])
  clock.report(...at(1.8e12), rtpOf(0))
  t.is(timeOf(3)?.ms, 1.8e12 + 300)
  t.is(clock.timeOf({ pts: 1, data: frame(4) }, [1, 1000]), undefined)
  const other = clockWith(10)
  other.clock.report(...at(1.8e12), rtpOf(0))
  for (let i = 0; i < 9; i++) t.is(other.clock.timeOf({ pts: i * 9_000, data: Buffer.from(`other ${i}, and long`) }, TIME_BASE), undefined)
})

test('a clock that counts from its start, and one of the year 1900, are no time of day', t => {
  const { clock, timeOf } = clockWith(10)
  for (const seconds of [0, 12_345, 2 ** 31]) clock.report(seconds, 0, rtpOf(0))
  t.deepEqual([0, 1, 2].map(timeOf), [undefined, undefined, undefined])
})

test('the uncertainty grows with the time since the report, and with what the next one corrects', t => {
  const { clock, timeOf } = clockWith(200)
  timeOf(0)
  clock.report(...at(1.8e12), rtpOf(0))
  t.deepEqual(timeOf(1), { ms: 1.8e12 + 100, uncertaintyMs: 2 })
  t.deepEqual(timeOf(100), { ms: 1.8e12 + 10_000, uncertaintyMs: 6 })
  clock.report(...at(1.8e12 + 10_004), rtpOf(100))
  t.deepEqual(timeOf(101), { ms: 1.8e12 + 10_104, uncertaintyMs: 6 })
  clock.report(...at(1.8e12 - 3_600_000), rtpOf(101))
  t.deepEqual(timeOf(102), { ms: 1.8e12 - 3_600_000 + 100, uncertaintyMs: 2 }, 'a clock that was set is right from the report on')
})
