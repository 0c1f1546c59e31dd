// Why there is no picture: every cause that a sidecar can name, on peers that really behave so.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { promisify } from 'node:util'
import test from 'ava'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { startDeaf } from './fixtures/deaf.ts'
import { freePort } from './fixtures/ports.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startDoor } from './fixtures/rtsp-digest.ts'
import { startBrokenCamera, type Misbehaviour } from './fixtures/rtsp-garbage.ts'
import { startSidecar, type Sidecar, type SidecarOptions } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { turns } from './fixtures/turns.ts'
import { until } from './fixtures/wait.ts'
import { startWebCamera } from './fixtures/web-camera.ts'

let nats: NatsServer
test.before(async () => {
  nats = await startNats()
})
test.after.always(() => nats[Symbol.asyncDispose]())

const turn = turns(4)
let made = 0

/** Each in its turn, with a camera name of its own on the one NATS server. */
const start = (url: string, options: Partial<SidecarOptions> & { transport?: 'tcp' | 'udp' } = {}): Promise<Sidecar> => {
  const { transport, ...others } = options
  const source = { url, ...(transport === undefined ? {} : { transport }) }
  return startSidecar(nats, { name: `cam-${++made}`, spec: { source, buffer: { maxBytes: '4Mi' } }, ...others }) // all share NATS' room
}

const small = () => testVideo({ width: 320, height: 192, seconds: 1 })

/** The reason, with a sentence for a person, while the sidecar waits for its next try. */
async function failsWith(sidecar: Sidecar, reason: string, timeoutMs = 30_000) {
  const state = await sidecar.stateWith(reason, state => state.reason === reason && state.connection === 'waiting', timeoutMs)
  if ((state.message ?? '').length < 10 || state.failingStreak < 1 || state.pid !== 0)
    throw new Error(`a poor state: ${JSON.stringify(state)}`)
  return state
}

const isStreaming = (sidecar: Sidecar) => sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming')

test('nobody listens: ConnectionRefused', t =>
  turn(async () => {
    await using sidecar = await start(`rtsp://127.0.0.1:${await freePort()}/video`)
    const first = await failsWith(sidecar, 'ConnectionRefused')
    const later = await sidecar.stateWith('three failed tries', ({ failingStreak }) => failingStreak >= 3)
    t.is(later.reason, first.reason)
    t.regex(await sidecar.metrics(), /chrysalis_connect_failures_total\{reason="ConnectionRefused"\} [3-9]/)
  }))

test('the address does not answer: ConnectTimeout', t =>
  turn(async () => {
    await using nowhere = await startDeaf()
    await using sidecar = await start(`rtsp://127.0.0.1:${nowhere.port}/video`)
    const from = performance.now()
    await failsWith(sidecar, 'ConnectTimeout')
    t.true(performance.now() - from < 20_000)
  }))

for (const [how, reason, transport] of [
  ['silent', 'ConnectTimeout', 'tcp'],
  ['silentAfterPlay', 'StreamStalled', 'tcp'],
  ['silentAfterPlay', 'TransportUnsupported', 'udp'], // it agrees to TCP alone
  ['garbage', 'InvalidStream', 'tcp'],
  ['hangUp', 'ConnectionLost', 'tcp'],
  ['notFound', 'NotFound', 'tcp'],
  ['unknownCodec', 'CodecUnsupported', 'tcp'],
  ['junkRtp', 'NoDecodableFrames', 'tcp'],
] as const satisfies (readonly [Misbehaviour, string, string])[]) {
  test(`a camera of the kind ${how} by ${transport}: ${reason}`, t =>
    turn(async () => {
      await using camera = await startBrokenCamera(how)
      await using sidecar = await start(camera.url, { transport })
      const from = performance.now()
      await failsWith(sidecar, reason, 40_000)
      t.true(performance.now() - from < 35_000)
      t.true(camera.connections() >= 1)
    }))
}

for (const transport of ['tcp', 'udp'] as const) {
  test(`a camera that redirects by ${transport}: RedirectRefused, and nobody goes there`, t =>
    turn(async () => {
      await using elsewhere = await startBrokenCamera('notFound')
      await using camera = await startBrokenCamera({ redirectTo: elsewhere.url })
      await using sidecar = await start(camera.url, { transport, credentials: { username: 'u', password: 'canary' } })
      await failsWith(sidecar, 'RedirectRefused')
      await sidecar.stateWith('another try', ({ failingStreak }) => failingStreak >= 2)
      t.is(elsewhere.connections(), 0)
    }))
}

test('a camera that takes the request and closes the connection without a word: ConnectionLost', t =>
  turn(async () => {
    const server = createServer(socket => socket.on('error', () => {}).once('data', () => socket.end()))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const address = server.address()
      await using sidecar = await start(`rtsp://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/video`)
      t.is((await failsWith(sidecar, 'ConnectionLost')).connection, 'waiting')
    } finally {
      server.close()
    }
  }))

test('what answers is a web server: InvalidStream', t =>
  turn(async () => {
    const server = createServer(socket => socket.on('error', () => {}).once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const address = server.address()
      await using sidecar = await start(`rtsp://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/video`)
      t.is((await failsWith(sidecar, 'InvalidStream')).connection, 'waiting')
    } finally {
      server.close()
    }
  }))

test('a web page in place of a stream, or a single picture: InvalidStream', t =>
  turn(async () => {
    const { stdout: picture } = await promisify(execFile)(
      ffmpegPath(process.env),
      ['-v', 'error', '-i', await small(), '-frames:v', '1', '-f', 'mjpeg', 'pipe:1'],
      { encoding: 'buffer' },
    )
    for (const [type, body] of [
      ['text/html', '<html><body>Log in, please</body></html>'],
      ['image/jpeg', picture],
    ] as const) {
      await using camera = await startWebCamera({ kind: 'body', type, body })
      await using sidecar = await start(camera.url)
      t.is((await failsWith(sidecar, 'InvalidStream')).connection, 'waiting')
    }
  }))

test('a source that ends a moment after it began, again and again, is not streaming: its failures add up', t =>
  turn(async () => {
    const { stdout: body } = await promisify(execFile)(
      ffmpegPath(process.env),
      ['-v', 'error', '-i', await small(), '-c', 'copy', '-f', 'mpegts', 'pipe:1'],
      { encoding: 'buffer' },
    )
    await using camera = await startWebCamera({ kind: 'body', type: 'video/mp2t', body })
    await using sidecar = await start(camera.url)
    const first = await failsWith(sidecar, 'StreamEnded')
    const connections = new Set<string>()
    await until(
      async () => {
        const state = await sidecar.state()
        if (state !== undefined && state.failingStreak >= first.failingStreak) connections.add(state.connection)
        return state !== undefined && state.failingStreak >= first.failingStreak + 3
      },
      { what: 'three more failures', everyMs: 20 },
    )
    t.false(connections.has('streaming'))
    await until(async () => (await sidecar.packets().catch(() => [])).length > 0, { what: 'what it sent, in the buffer' })
  }))

test('a camera that takes 11 s to answer plays at the second try', t =>
  turn(async () => {
    await using camera = await startCamera({ file: await small() })
    await using door = await startSlowDoor(camera.port, 11_000)
    await using sidecar = await start(`rtsp://127.0.0.1:${door.port}/video`)
    t.regex((await failsWith(sidecar, 'ConnectTimeout')).message ?? '', /accepts the connection.* the next try waits up to 20 s/)
    t.is((await isStreaming(sidecar)).failingStreak, 0)
    t.is(door.connections(), 2)
  }))

/** A way to `port` by which nothing comes back for so long. */
async function startSlowDoor(port: number, holdMs: number) {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer(client => {
    connections++
    const camera = connect(port, '127.0.0.1')
    for (const socket of [client, camera]) sockets.add(socket.on('error', () => {}))
    client.pipe(camera)
    const timer = setTimeout(() => camera.pipe(client), holdMs)
    client.on('close', () => {
      clearTimeout(timer)
      camera.destroy()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

test('a real camera without this path: NotFound; without a picture: NoVideoTrack', t =>
  turn(async () => {
    await using camera = await startCamera({ file: await small() })
    await using lost = await start(camera.url.replace('/video', '/nothing'))
    await using silent = await start(camera.urlOf('audio'))
    t.is((await failsWith(lost, 'NotFound')).connection, 'waiting')
    t.is((await failsWith(silent, 'NoVideoTrack')).connection, 'waiting')
  }))

test('a picture with a tone beside it is taken without the tone', t =>
  turn(async () => {
    await using camera = await startCamera({ file: await small() })
    await using sidecar = await start(camera.urlOf('both'))
    t.is((await isStreaming(sidecar)).codec?.name, 'h264')
  }))

test('a name that does not resolve: HostNotFound; an address that the policy excludes: AddressDenied, and nobody connects', t =>
  turn(async () => {
    await using camera = await startBrokenCamera('notFound')
    await using unknown = await start('rtsp://nowhere.invalid/video')
    await using byAddress = await start(camera.url, { env: { CHRYS_DENY_CIDRS: '10.0.0.0/8,127.0.0.0/8' } })
    await using byName = await start(camera.url.replace('127.0.0.1', 'localhost'), { env: { CHRYS_DENY_CIDRS: '127.0.0.0/8,::1/128' } })
    await using byHttp = await start(camera.url.replace('rtsp:', 'http:'), { env: { CHRYS_DENY_CIDRS: '127.0.0.0/8' } })
    t.regex((await failsWith(unknown, 'HostNotFound')).message ?? '', /nowhere\.invalid/)
    for (const sidecar of [byAddress, byName, byHttp]) t.regex((await failsWith(sidecar, 'AddressDenied')).message ?? '', /127\.0\.0\.1/)
    t.is(camera.connections(), 0)
  }))

test('a wrong password: AuthFailed, tried again only after a minute, or at once when the Secret changes', t =>
  turn(async () => {
    await using camera = await startCamera({ file: await small(), auth: { user: 'viewer', password: 'r%ght:p@ss/wörd' } })
    await using sidecar = await start(camera.url, { credentials: { username: 'viewer', password: 'canary-wrong' } })
    await failsWith(sidecar, 'AuthFailed')
    const retryInMs = Number(/"reason":"AuthFailed".*?"retryInMs":(\d+)/.exec(sidecar.log())?.[1])
    t.true(retryInMs >= 60_000)
    const from = performance.now()
    await sidecar.setCredentials({ username: 'viewer', password: 'r%ght:p@ss/wörd\n' }) // as `echo` writes it
    const state = await isStreaming(sidecar)
    t.true(performance.now() - from < 15_000)
    t.is(state.reason, undefined)

    // Rotated while it streams: the new ones are taken at once, good or bad.
    await sidecar.setCredentials({ username: 'viewer', password: 'canary-new' })
    await failsWith(sidecar, 'AuthFailed')
    await sidecar.setCredentials({ username: 'viewer', password: 'r%ght:p@ss/wörd' })
    await isStreaming(sidecar)
  }))

test('no credentials for a camera that wants some: AuthFailed; some for a camera that wants none: a picture', t =>
  turn(async () => {
    await using closed = await startCamera({ file: await small(), auth: { user: 'viewer', password: 'x' } })
    await using open = await startCamera({ file: await small() })
    await using without = await start(closed.url)
    await using withSome = await start(open.url, { credentials: { username: 'viewer', password: 'x' } })
    t.is((await failsWith(without, 'AuthFailed')).connection, 'waiting')
    await isStreaming(withSome)
  }))

test('a Secret that does not exist: SecretNotFound; half of one: SecretKeyMissing; one made late: a picture. One removed later changes nothing', t =>
  turn(async () => {
    await using camera = await startCamera({ file: await small(), auth: { user: 'viewer', password: 'secret' } })
    await using sidecar = await start(camera.url, { credentials: {} })
    await failsWith(sidecar, 'SecretNotFound')
    await sidecar.setCredentials({ username: 'viewer' })
    t.regex((await failsWith(sidecar, 'SecretKeyMissing')).message ?? '', /password/)
    await sidecar.setCredentials({ username: 'viewer', password: 'secret' })
    const { reconnects } = await isStreaming(sidecar)
    await sidecar.setCredentials({})
    await using watching = await sidecar.watch('all')
    await until(() => watching.frames.length > 120, { what: 'frames for some seconds' })
    t.like(await sidecar.state(), { connection: 'streaming', reconnects })
  }))

test('a camera that sends no keyframe: NoKeyframe while it is waited for, without a new connection, until one comes', t =>
  turn(async () => {
    const file = await testVideo({ width: 160, height: 128, fps: 10, seconds: 120, gop: 1200 })
    await using camera = await startCamera({ file })
    // The first client makes the camera begin, with a keyframe.
    await using first = await start(camera.url)
    await isStreaming(first)
    await using second = await start(camera.url)
    const { failingStreak } = await second.stateWith(
      'NoKeyframe',
      ({ connection, reason }) => connection === 'connecting' && reason === 'NoKeyframe',
      60_000,
    )
    t.is(failingStreak, 0)
    await camera.again()
    const state = await isStreaming(second)
    t.like(state, { failingStreak: 0, reconnects: 0, reason: undefined })
  }))

test('a camera that wants SHA-256 Digest, each request and keep-alive with a nonce of its own, and a long password', t =>
  turn(async () => {
    const user = { user: 'viewer', password: `pässwörd-${'long'.repeat(200)}` }
    await using camera = await startCamera({ file: await small() })
    await using door = await startDoor(camera, user, { keepAliveSeconds: 1 })
    await using sidecar = await start(door.url, { credentials: { username: user.user, password: user.password } })
    await isStreaming(sidecar)
    t.deepEqual(door.admitted.slice(0, 4), ['OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY'])
    await until(() => door.admitted.length >= 7, { what: 'three keep-alives' })
    t.is(door.refused(), door.admitted.length)
    t.like(await sidecar.state(), { connection: 'streaming', reconnects: 0, failingStreak: 0 })

    await sidecar.setCredentials({ username: user.user, password: `${user.password}x` })
    await failsWith(sidecar, 'AuthFailed')
  }))

test('a picture of more than 40 megapixels: ResolutionTooLarge', t =>
  turn(async () => {
    await using folder = await temporaryFolder()
    const pictures = folder.file('pictures')
    const input = ['-f', 'lavfi', '-i', 'color=c=gray:size=8000x5200:rate=1', '-frames:v', '1']
    await promisify(execFile)(ffmpegPath(process.env), [
      '-v',
      'error',
      ...input,
      '-c:v',
      'mjpeg',
      '-pix_fmt',
      'yuvj420p',
      '-f',
      'mjpeg',
      pictures,
    ])
    await using camera = await startWebCamera({ kind: 'pictures', file: pictures, fps: 2 })
    await using sidecar = await start(camera.url)
    t.is((await failsWith(sidecar, 'ResolutionTooLarge')).connection, 'waiting')
  }))
