// Every kind of source, from real servers: pictures at the right pace, timestamps at the time of day.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTls } from 'node:tls'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { selfSigned } from './fixtures/certificate.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { freePort } from './fixtures/ports.ts'
import { end, spawnMortal } from './fixtures/processes.ts'
import { codecOf, decodedDamaged, decodedPlain, digest, videoFrame } from './fixtures/reference.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startBrokenCamera } from './fixtures/rtsp-garbage.ts'
import { startSidecar, type Sidecar, type SidecarOptions } from './fixtures/sidecar.ts'
import { temporaryFolder, type TemporaryFolder } from './fixtures/tmp.ts'
import { turns } from './fixtures/turns.ts'
import { until } from './fixtures/wait.ts'
import { startWebCamera } from './fixtures/web-camera.ts'

const turn = turns(3)
let nats: NatsServer
let made = 0

test.before(async () => {
  nats = await startNats()
})
test.after.always(() => nats[Symbol.asyncDispose]())

const small = { width: 320, height: 192, seconds: 2 } as const
const buffer = { maxBytes: '8Mi' }
const start = (url: string, options: Partial<SidecarOptions> & { transport?: 'tcp' | 'udp' } = {}) => {
  const { transport, ...others } = options
  return startSidecar(nats, {
    name: `cam-${++made}`,
    spec: { source: { url, ...(transport === undefined ? {} : { transport }) }, buffer },
    ...others,
  })
}

/** `atMost`: a server that is pressed for time sends fewer. */
type Expected = { codec: string; width: number; height: number; fps: number; atMost?: boolean }

/** Frames for three seconds or more: of the size, in order, in time, about so many a second. */
async function plays(t: ExecutionContext, sidecar: Sidecar, expected: Expected) {
  await sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming', 60_000)
  await using watching = await sidecar.watch('all')
  const { fps, width, height } = expected
  const lags: number[] = []
  const count = Math.ceil(fps * 3)
  for (let seen = 0; seen < count;) {
    await until(() => watching.frames.length > seen, { what: `frame ${seen} of ${count}\n${sidecar.log().slice(-1500)}` })
    const now = Date.now()
    for (const { timestamp } of watching.frames.slice(seen)) lags.push(now - timestamp)
    seen = watching.frames.length
  }
  const frames = watching.frames.map(frame => ({ ...videoFrame(frame), epoch: frame.epoch }))
  t.true(frames.every(frame => frame.width === width && frame.height === height && frame.codec_name === expected.codec))
  t.true(
    frames.every(
      ({ timestamp, epoch }, i) => i === 0 || epoch > (frames[i - 1]?.epoch ?? 0) || timestamp > (frames[i - 1]?.timestamp ?? 0),
    ),
  )
  t.is(new Set(frames.map(({ epoch }) => epoch)).size, 1)
  // A busy machine may leave out frames, but no packets.
  const packets = (await sidecar.packets())
    .filter(({ epoch }) => epoch === frames.at(-1)?.epoch)
    .toSorted((one, other) => one.timestamp - other.timestamp)
  const seconds = ((packets.at(-1)?.timestamp ?? 0) - (packets[0]?.timestamp ?? 0)) / 1000
  const rate = (packets.length - 1) / seconds
  t.true(rate > fps * (expected.atMost === true ? 0.3 : 0.8) && rate < fps * 1.2, `${rate} frames a second by their timestamps`)
  // Not from the future, and not of long ago, as a busy machine counts.
  t.true(Math.min(...lags) > -200, `lag ${Math.min(...lags)} ms`)
  t.true((lags.toSorted((a, b) => a - b)[lags.length >> 1] as number) < 5000, `lags ${lags.join(' ')}`)
  return frames
}

test('RTSP by UDP', t =>
  turn(async () => {
    await using camera = await startCamera({ file: await testVideo({ ...small, bFrames: 2 }), auth: { user: 'u', password: 'p' } })
    await using sidecar = await start(camera.url, { transport: 'udp', credentials: { username: 'u', password: 'p' } })
    await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 30 })
  }))

test('RTSP over TLS, whoever vouches for the camera', t =>
  turn(async () => {
    await using camera = await startCamera({ file: await testVideo(small), auth: { user: 'u', password: 'p' } })
    const certificate = await selfSigned()
    await using secure = await startInFront(onClient => createTls(certificate, onClient), '127.0.0.1', camera.port)
    await using sidecar = await start(`rtsps://127.0.0.1:${secure.port}/video`, { credentials: { username: 'u', password: 'p' } })
    await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 30 })
  }))

test('RTSP at an IPv6 address', t =>
  turn(async () => {
    await using camera = await startCamera({ file: await testVideo(small), auth: { user: 'u', password: 'p' } })
    await using sixth = await startInFront(createServer, '::1', camera.port)
    await using sidecar = await start(`rtsp://[::1]:${sixth.port}/video`, { credentials: { username: 'u', password: 'p' } })
    await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 30 })
  }))

test('RTMP', t =>
  turn(async () => {
    const port = await freePort()
    const url = `rtmp://127.0.0.1:${port}/live/key`
    const file = await testVideo({ ...small, bFrames: 2 })
    const args = ['-nostdin', '-v', 'error', '-re', '-stream_loop', '-1', '-i', file, '-c', 'copy', '-f', 'flv', '-listen', '1', url]
    const server = spawnMortal(ffmpegPath(process.env), args, { stdio: 'ignore' })
    try {
      await using sidecar = await start(url)
      await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 30 })
    } finally {
      await end(server, 'SIGKILL')
    }
  }))

for (const [what, options] of [
  ['HTTP', {}],
  ['HTTP with a password', { login: 'u:p@ss' }],
  ['HTTPS, whoever vouches for it', { tls: true }],
] as const) {
  test(`MPEG-TS over ${what}`, t =>
    turn(async () => {
      await using camera = await startWebCamera({ kind: 'mpegts', file: await testVideo({ ...small, bFrames: 2 }) }, options)
      await using sidecar = await start(camera.url, { ...('login' in options ? { credentials: { username: 'u', password: 'p@ss' } } : {}) })
      await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 30 })
    }))
}

test('a redirect from HTTP to HTTPS is followed', t =>
  turn(async () => {
    await using camera = await startWebCamera({ kind: 'mpegts', file: await testVideo(small) }, { tls: true })
    await using front = await startWebCamera({ kind: 'redirect', to: camera.url })
    await using sidecar = await start(front.url)
    await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 30 })
  }))

for (const tls of [false, true]) {
  test(`HLS over ${tls ? 'HTTPS' : 'HTTP'} plays evenly, segment by segment, and goes on when the playlist moves`, t =>
    turn(async () => {
      await using camera = await startWebCamera({ kind: 'hls', file: await testVideo({ ...small, gop: 15 }) }, { tls })
      await using sidecar = await start(camera.url)
      await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 30 })
      await until(() => new Set(camera.requests().filter(name => name.endsWith('.ts'))).size >= 4, { what: 'further segments' })
      t.like(await sidecar.state(), { connection: 'streaming' })
    }))
}

for (const fps of [10, 25, 60]) {
  test(`JPEG pictures in a multipart answer, ${fps} a second, have the time at which they came`, t =>
    turn(async () => {
      await using folder = await temporaryFolder()
      await using camera = await startWebCamera({ kind: 'pictures', file: await jpegsOf(folder), fps }, { login: 'u:p' })
      await using sidecar = await start(camera.url, { credentials: { username: 'u', password: 'p' } })
      await plays(t, sidecar, { codec: 'mjpeg', width: 320, height: 192, fps, atMost: true })
      const packets = await sidecar.packets()
      const [num, den] = codecOf(packets).timeBase
      const [first, last] = [packets[0], packets.at(-1)]
      const apartMs = (times: 'pts' | 'timestamp') => (last?.[times] ?? 0) - (first?.[times] ?? 0)
      t.true(Math.abs((apartMs('pts') * 1000 * num) / den - apartMs('timestamp')) < 1000)
    }))
}

for (const [what, open] of [
  ['RTSP', async () => startCamera({ file: await testVideo({ ...small, fps: 0.2, seconds: 20, gop: 1 }) })],
  ['HTTP', async folder => startWebCamera({ kind: 'pictures', file: await jpegsOf(folder), fps: 1 / 6 })],
] as const satisfies readonly (readonly [string, (folder: TemporaryFolder) => Promise<AsyncDisposable & { url: string }>])[]) {
  test(`pictures that come seconds apart by ${what} are waited for`, t =>
    turn(async () => {
      await using folder = await temporaryFolder()
      await using camera = await open(folder)
      await using sidecar = await start(camera.url)
      await using watching = await sidecar.watch('all')
      await until(() => watching.frames.length >= 3, { what: `three frames\n${sidecar.log()}`, timeoutMs: 120_000 })
      const [first, , third] = watching.frames
      t.is(third?.epoch, first?.epoch)
      const apartMs = (third?.timestamp ?? 0) - (first?.timestamp ?? 0)
      t.true(apartMs > 8_000 && apartMs < 15_000, `${apartMs} ms`)
      t.true((await sidecar.state())?.connection === 'streaming')
    }))
}

test('a file is played at its own pace, bit for bit', t =>
  turn(async () => {
    await using folder = await temporaryFolder()
    const file = folder.file('fast.mp4')
    await promisify(execFile)(ffmpegPath(process.env), [
      '-v',
      'error',
      '-stream_loop',
      '20',
      '-i',
      await testVideo({ ...small, bFrames: 2 }),
      '-c',
      'copy',
      '-movflags',
      '+faststart',
      file,
    ])
    await using camera = await startWebCamera({ kind: 'file', file })
    await using sidecar = await start(camera.url)
    const frames = await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 30 })
    const reference = new Map(
      (await decodedDamaged(folder, await sidecar.packets(), codecOf(await sidecar.packets()))).map(frame => [frame.pts, frame.picture]),
    )
    for (const { pts, data } of frames) t.is(reference.get(pts), digest(data))
  }))

test('AV1 in a file', t =>
  turn(async () => {
    await using folder = await temporaryFolder()
    const file = folder.file('av1.mkv')
    const encode = ['-c:v', 'libsvtav1', '-preset', '12', '-g', '30', '-pix_fmt', 'yuv420p']
    const input = ['-f', 'lavfi', '-i', 'testsrc2=size=320x192:rate=15', '-t', '20']
    const { stdout } = await promisify(execFile)(ffmpegPath(process.env), ['-v', 'error', '-encoders'])
    if (!stdout.includes('libsvtav1')) {
      t.pass('this ffmpeg encodes no AV1')
      return
    }
    await promisify(execFile)(ffmpegPath(process.env), ['-v', 'error', ...input, ...encode, file])
    await using camera = await startWebCamera({ kind: 'file', file })
    await using sidecar = await start(camera.url)
    await plays(t, sidecar, { codec: 'av1', width: 320, height: 192, fps: 15 })
  }))

test('a test picture needs no camera', t =>
  turn(async () => {
    await using folder = await temporaryFolder()
    await using sidecar = await start('testsrc:?size=320x192&rate=10&gop=20')
    const frames = await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 10 })
    const reference = new Map((await decodedPlain(folder, await sidecar.packets())).map(frame => [frame.pts, frame.picture]))
    for (const { pts, data } of frames) t.is(reference.get(pts), digest(data))
  }))

test('a playlist may lead to HTTPS elsewhere', t =>
  turn(async () => {
    await using camera = await startWebCamera({ kind: 'hls', file: await testVideo({ ...small, gop: 15 }) }, { tls: true })
    const body = `#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\n${camera.url}\n`
    await using front = await startWebCamera({ kind: 'body', type: 'application/vnd.apple.mpegurl', body })
    await using sidecar = await start(front.url)
    await plays(t, sidecar, { codec: 'h264', width: 320, height: 192, fps: 30, atMost: true })
  }))

test('a web server leads to an excluded address, a file or another protocol: nobody goes there', t =>
  turn(async () => {
    await using canary = await startBrokenCamera('silent')
    await using front = await startInFront(createServer, '127.0.0.2', canary.port)
    const excluded = `127.0.0.2:${front.port}`
    const hls = (...lines: string[]) =>
      ({ kind: 'body', type: 'application/vnd.apple.mpegurl', body: ['#EXTM3U', ...lines, ''].join('\n') }) as const
    const segments = (url: string, ...tags: string[]) =>
      hls('#EXT-X-TARGETDURATION:2', '#EXT-X-MEDIA-SEQUENCE:1', ...tags, '#EXTINF:2,', url)
    const audio = (url: string) => `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="${url}"`
    for (const served of [
      { kind: 'redirect', to: `http://${excluded}/video` },
      { kind: 'redirect', to: `tcp://${excluded}` },
      { kind: 'redirect', to: 'file:///etc/hostname' },
      segments('file:///etc/hostname'),
      segments(`http://${excluded}/video`),
      segments(`https://${excluded}/video.ts`),
      segments(`httpproxy://${excluded}/video.ts`),
      segments(`concat:http://${excluded}/a|file:///etc/hostname`),
      segments('/video.ts', `#EXT-X-KEY:METHOD=AES-128,URI="httpproxy://${excluded}/key"`),
      segments('/video.ts', `#EXT-X-MAP:URI="httpproxy://${excluded}/head.mp4"`),
      hls('#EXT-X-STREAM-INF:BANDWIDTH=1', `tcp://${excluded}`),
      hls('#EXT-X-STREAM-INF:BANDWIDTH=1', `tls://${excluded}`),
      hls(audio(`tcp://${excluded}`), '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"', '/video.m3u8'),
      { kind: 'body', type: 'text/plain', body: 'ffconcat version 1.0\nfile /etc/hostname\n' },
    ] as const) {
      await using camera = await startWebCamera(served)
      await using sidecar = await start(camera.url, { env: { CHRYS_DENY_CIDRS: '127.0.0.2/32' } })
      const { reason } = await sidecar.stateWith(
        `a refusal of ${JSON.stringify(served)}`,
        state => state.connection === 'waiting' && state.failingStreak > 0,
      )
      t.true((reason ?? '').length > 0)
      t.is(sidecar.log().includes('hostname'), false)
    }
    t.is(canary.connections(), 0)
  }))

/** JPEG pictures, one behind the other. */
async function jpegsOf(folder: TemporaryFolder): Promise<string> {
  const jpegs = folder.file('pictures')
  const input = await testVideo({ ...small, codec: 'mjpeg' })
  await promisify(execFile)(ffmpegPath(process.env), ['-v', 'error', '-i', input, '-c', 'copy', '-f', 'mjpeg', jpegs])
  return jpegs
}

/** Passes connections on to a port of this machine. */
async function startInFront(
  listen: (onClient: (client: Socket) => void) => Server,
  host: string,
  port: number,
): Promise<AsyncDisposable & { port: number }> {
  const server = listen(client => {
    const camera = connect(port, '127.0.0.1')
    client
      .on('error', () => {})
      .on('close', () => camera.destroy())
      .pipe(camera)
    camera
      .on('error', () => {})
      .on('close', () => client.destroy())
      .pipe(client)
  })
  server.listen(0, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}
