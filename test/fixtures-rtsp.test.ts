// The RTSP cameras that other tests stand on, seen by ffmpeg alone.
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import test from 'ava'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { decodeBgr24, ffprobeFrames, ffprobePath, testVideo } from './fixtures/media.ts'
import { end } from './fixtures/processes.ts'
import { startCamera, type CameraCodec } from './fixtures/rtsp-camera.ts'
import { startBrokenCamera, type Misbehaviour } from './fixtures/rtsp-garbage.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { within } from './fixtures/wait.ts'

const run = promisify(execFile)
const INPUT = ['-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-timeout', '20000000', '-fpsprobesize', '0', '-i']
const RAW = { h264: 'h264', h265: 'hevc', mjpeg: 'mjpeg' } as const

/** Saves so many packets as they came, and returns their timestamps in ticks of 90 kHz. */
async function record(url: string, codec: CameraCodec, packets: number, file: string): Promise<number[]> {
  const copy = ['-map', '0:v:0', '-c', 'copy', '-copyts', '-copytb', '1', '-frames:v', String(packets)]
  const { stdout } = await run(ffmpegPath(process.env), [
    ...INPUT,
    url,
    ...copy,
    '-f',
    RAW[codec],
    file,
    ...copy,
    '-f',
    'framecrc',
    'pipe:1',
  ])
  return stdout.split('\n').flatMap(line => (line.startsWith('0,') ? Number(line.split(',')[2]) : []))
}

/** The timestamps of packets as they come, before anything repairs them. */
function follow(url: string): AsyncDisposable & { next(): Promise<number> } {
  const args = [...INPUT.with(INPUT.indexOf('error'), 'info'), url, '-map', '0:v:0', '-c', 'copy', '-copyts', '-f', 'null', '-']
  const ffmpeg = spawn(ffmpegPath(process.env), ['-debug_ts', ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  const lines = createInterface({ input: ffmpeg.stderr })[Symbol.asyncIterator]()
  return {
    async next() {
      for (;;) {
        const { value, done } = await lines.next()
        if (done) throw new Error('the stream ended')
        const pts = /demuxer -> .* pkt_pts:(-?\d+)/.exec(value)?.[1]
        if (pts !== undefined) return Number(pts)
      }
    },
    [Symbol.asyncDispose]: () => end(ffmpeg, 'SIGKILL'),
  }
}

async function pictures(file: string, inputArgs: string[] = []): Promise<string[]> {
  const found: string[] = []
  for await (const { data } of decodeBgr24(file, { inputArgs })) found.push(createHash('sha256').update(data).digest('hex'))
  return found
}

for (const [codec, bFrames] of [
  ['h264', 0],
  ['h264', 2],
  ['h265', 2],
  ['mjpeg', 0],
] as const) {
  test(`a camera that plays a file sends its ${codec} packets with ${bFrames} B-frames bit for bit, round after round, without a seam`, async t => {
    await using folder = await temporaryFolder()
    const file = await testVideo({ codec, bFrames, seconds: 2 })
    await using camera = await startCamera({ codec, file })
    const timestamps = await record(camera.url, codec, 80, folder.file('video'))
    const sent = await pictures(file)
    const received = await pictures(folder.file('video'), ['-f', RAW[codec]])
    t.is(sent.length, 60)
    // The last pictures of the recording lack packets that came after it, but for those before which nothing is reordered.
    const whole = 80 - bFrames
    t.deepEqual(received.slice(0, whole), [...sent, ...sent].slice(0, whole))
    // The first packet's timestamp is not known to ffmpeg yet.
    const rising = timestamps.slice(1).toSorted((a, b) => a - b)
    const steps = rising.slice(1, whole - 1).map((pts, index) => pts - (rising[index] ?? 0))
    t.deepEqual([...new Set(steps)], [3000])
  })
}

for (const [codec, bFrames] of [
  ['h264', 2],
  ['h265', 2],
  ['mjpeg', 0],
] as const) {
  test(`a live ${codec} camera sends pictures of its size, keyframes at its distance and ${bFrames} B-frames`, async t => {
    await using folder = await temporaryFolder()
    await using camera = await startCamera({ codec, width: 320, height: 240, gop: 12, bFrames })
    await record(camera.url, codec, 30, folder.file('video'))
    const frames = await ffprobeFrames(folder.file('video'), { inputArgs: ['-f', RAW[codec]] })
    t.true(frames.every(({ width, height }) => width === 320 && height === 240))
    t.is(frames.filter(({ keyframe }) => keyframe).length, codec === 'mjpeg' ? frames.length : 3)
    t.is(
      frames.some(({ type }) => type === 'B'),
      bFrames > 0,
    )
  })
}

test('a camera with a password lets in who has it, and nobody else', async t => {
  await using folder = await temporaryFolder()
  await using camera = await startCamera({ auth: { user: 'viewer', password: 'p@ss word' } })
  await t.throwsAsync(record(camera.url, 'h264', 1, folder.file('a')), { message: /401/ })
  await t.throwsAsync(record(camera.url.replace('//', '//viewer:wrong@'), 'h264', 1, folder.file('b')), { message: /401/ })
  t.is((await record(camera.urlWithCredentials, 'h264', 3, folder.file('c'))).length, 3)
})

test('a killed camera refuses connections, and comes back on its port as another model', async t => {
  await using folder = await temporaryFolder()
  await using camera = await startCamera()
  await camera.kill()
  await t.throwsAsync(record(camera.url, 'h264', 1, folder.file('a')), { message: /refused/ })
  await camera.restart({ codec: 'mjpeg', width: 160, height: 120 })
  await record(camera.url, 'mjpeg', 2, folder.file('b'))
  t.is((await ffprobeFrames(folder.file('b'), { inputArgs: ['-f', 'mjpeg'] }))[0]?.width, 160)
})

test('a stopped camera sends nothing until it goes on', async t => {
  await using camera = await startCamera({ file: await testVideo({ seconds: 2 }) })
  await using stream = follow(camera.url)
  await within(stream.next(), { what: 'the first packet' })
  camera.stop()
  let last = performance.now()
  const drained = (async () => {
    for (;;) {
      await stream.next()
      last = performance.now()
    }
  })()
  drained.catch(() => {}) // the stream ends with its scope
  await delay(1500)
  t.true(performance.now() - last > 1000)
  camera.cont()
  const before = last
  await within(
    (async () => {
      while (last === before) await delay(20)
    })(),
    { what: 'a packet after the pause' },
  )
})

test('a live camera changes its size under way', async t => {
  await using folder = await temporaryFolder()
  await using camera = await startCamera({ gop: 15 })
  const recording = record(camera.url, 'h264', 75, folder.file('video'))
  await delay(3000)
  await camera.changeSize(320, 240)
  await recording
  const sizes = new Set(
    (await ffprobeFrames(folder.file('video'), { inputArgs: ['-f', 'h264'] })).map(({ width, height }) => `${width}x${height}`),
  )
  t.deepEqual([...sizes], ['640x360', '320x240'])
})

test('a camera that plays a file goes on with another file', async t => {
  await using folder = await temporaryFolder()
  await using camera = await startCamera({ file: await testVideo({ seconds: 1 }) })
  await camera.changeFile(await testVideo({ seconds: 1, width: 320, height: 180 }))
  await record(camera.url, 'h264', 10, folder.file('a'))
  t.is((await ffprobeFrames(folder.file('a'), { inputArgs: ['-f', 'h264'] }))[0]?.width, 320)
  await t.throwsAsync(camera.changeFile(folder.file('missing.mp4')), { message: /missing/ })
})

test("a camera's timestamps jump back when it is told so", async t => {
  await using camera = await startCamera({ file: await testVideo({ seconds: 1 }) })
  await using stream = follow(camera.url)
  for (let count = 0; count < 10; count++) await within(stream.next(), { what: 'a packet' })
  await camera.jump(-10)
  let previous = await stream.next()
  await within(
    (async () => {
      for (let next = await stream.next(); next - previous !== 3000 - 10 * 90_000; next = await stream.next()) previous = next
    })(),
    { what: 'the jump' },
  )
  t.is((await stream.next()) - previous, 2 * 3000 - 10 * 90_000)
})

test('packets that a camera loses are missing', async t => {
  await using folder = await temporaryFolder()
  const file = await testVideo({ seconds: 1 })
  await using camera = await startCamera({ file })
  const recording = record(camera.url, 'h264', 60, folder.file('video'))
  const recorded = new AbortController()
  void recording.finally(() => recorded.abort()).catch(() => {})
  // Again and again: when the recording begins is ffmpeg's affair.
  while (!recorded.signal.aborted) {
    await delay(400)
    await camera.lose(2)
  }
  const timestamps = (await recording).slice(1)
  const steps = timestamps.slice(1).map((pts, index) => pts - (timestamps[index] ?? 0))
  t.true(steps.some(step => step > 3000))
})

test('a camera has a path without a picture, and one with a tone beside it', async t => {
  await using camera = await startCamera()
  const kinds = async (url: string) => {
    const { stdout } = await run(ffprobePath(process.env), [...INPUT.slice(1), url, '-show_entries', 'stream=codec_type', '-of', 'csv=p=0'])
    return stdout.trim().split(/\s+/)
  }
  t.deepEqual(await kinds(camera.urlOf('audio')), ['audio'])
  t.deepEqual((await kinds(camera.urlOf('both'))).toSorted(), ['audio', 'video'])
})

for (const [how, says] of [
  ['garbage', /Invalid data|Error|failed/],
  ['hangUp', /./],
  ['notFound', /404/],
  ['unauthorized', /401/],
  ['unknownCodec', /./],
] as const satisfies [Misbehaviour, RegExp][]) {
  test(`ffmpeg gets no picture from a camera of the kind ${how}`, async t => {
    await using folder = await temporaryFolder()
    await using camera = await startBrokenCamera(how)
    await t.throwsAsync(record(camera.url, 'h264', 1, folder.file('video')), { message: says })
    t.regex(camera.received(), how === 'hangUp' ? /^/ : /^OPTIONS rtsp/)
    t.true(camera.connections() >= 1)
  })
}

test('a camera that says nothing, even after PLAY, is left alone in the end', async t => {
  for (const [how, last] of [
    ['silent', 'OPTIONS'],
    ['silentAfterPlay', 'PLAY'],
  ] as const) {
    await using folder = await temporaryFolder()
    await using camera = await startBrokenCamera(how)
    const impatient = INPUT.with(INPUT.indexOf('20000000'), '1000000')
    await run(ffmpegPath(process.env), [...impatient, camera.url, '-c', 'copy', '-y', '-f', 'h264', folder.file('video')]).catch(() => {})
    t.true(camera.received().includes(`${last} rtsp`), how)
  }
})

test('a camera that redirects shows who followed', async t => {
  await using folder = await temporaryFolder()
  await using elsewhere = await startBrokenCamera('notFound')
  await using camera = await startBrokenCamera({ redirectTo: elsewhere.url })
  await t.throwsAsync(record(camera.url, 'h264', 1, folder.file('video')))
  t.is(elsewhere.connections(), 1) // ffmpeg alone does, which is why the product must not leave it to ffmpeg
})

test('a camera that sends junk keeps sending it', async t => {
  await using camera = await startBrokenCamera('junkRtp')
  await t.throwsAsync(run(ffmpegPath(process.env), [...INPUT, camera.url, '-t', '2', '-f', 'null', '-'], { timeout: 10_000 }))
  t.true(camera.received().includes('PLAY rtsp'))
})
