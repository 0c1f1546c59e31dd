// What dies and stands still: ffmpeg, the sidecar; what is left behind, and what is given away.
import { readFileSync } from 'node:fs'
import { testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { descendants, end, type Process } from './fixtures/processes.ts'
import { startCamera, type RtspCamera } from './fixtures/rtsp-camera.ts'
import { startBrokenCamera } from './fixtures/rtsp-garbage.ts'
import { startSidecar, type Sidecar, type Watching } from './fixtures/sidecar.ts'
import { testInTurns } from './fixtures/turns.ts'
import { until } from './fixtures/wait.ts'
import { startWebCamera } from './fixtures/web-camera.ts'

const test = testInTurns(3)

type Setting = AsyncDisposable & { camera: RtspCamera; sidecar: Sidecar; watching: Watching }

async function setUp(options: { password?: string; level?: string } = {}): Promise<Setting> {
  await using stack = new AsyncDisposableStack()
  const { password, level = 'info' } = options
  const nats = stack.use(await startNats())
  const file = await testVideo({ width: 320, height: 192, seconds: 1 })
  const camera = stack.use(await startCamera({ file, ...(password === undefined ? {} : { auth: { user: 'viewer', password } }) }))
  const sidecar = stack.use(
    await startSidecar(nats, {
      spec: { source: { url: camera.url } },
      ...(password === undefined ? {} : { credentials: { username: 'viewer', password } }),
      env: { CHRYS_LOG_LEVEL: level },
    }),
  )
  const watching = stack.use(await sidecar.watch('all'))
  await until(() => watching.frames.length > 10, { what: `frames\n${sidecar.log()}` })
  const owned = stack.move()
  return { camera, sidecar, watching, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const isAlive = ({ pid, command }: Process): boolean => descendantsOfAll().some(other => other.pid === pid && other.command === command)
/** Of this machine: who lost its parent is nobody's descendant. */
const descendantsOfAll = () => descendants(0)

const gone = (processes: readonly Process[], timeoutMs: number) =>
  until(() => !processes.some(isAlive), { what: `the end of ${processes.map(({ pid }) => pid).join(', ')}`, timeoutMs })

/** The camera's ffmpeg, and the one that decodes. */
async function children(sidecar: Sidecar): Promise<{ ingest: Process; decoder: Process; all: Process[] }> {
  const { pid } = await sidecar.stateWith('an ffmpeg', state => state.pid > 0)
  const all = descendants(sidecar.pid)
  const ingest = all.find(process => process.pid === pid)
  const decoder = all.find(({ command }) => command.includes('-f nut'))
  if (ingest === undefined || decoder === undefined || !all.every(isAlive)) throw new Error(`not both: ${JSON.stringify(all)}`)
  return { ingest, decoder, all }
}

async function framesAfter({ watching, sidecar }: Setting, what: string, timeoutMs: number): Promise<void> {
  const before = watching.frames.at(-1)?.epoch ?? 0
  await until(() => watching.frames.filter(({ epoch }) => epoch > before).length > 3, {
    what: `frames after ${what}\n${sidecar.log().slice(-1500)}`,
    timeoutMs,
  })
}

test('the camera’s ffmpeg is killed: frames are back within seconds, and the reason is told', async t => {
  await using setting = await setUp()
  const { ingest } = await children(setting.sidecar)
  process.kill(ingest.pid, 'SIGKILL')
  await framesAfter(setting, 'SIGKILL', 8000)
  t.regex(setting.sidecar.log(), /"reason":"FfmpegKilled"/)
  t.like(await setting.sidecar.stateWith('one reconnect', state => state.reconnects === 1 && state.connection === 'streaming'), {
    failingStreak: 0,
  })
})

test('the camera’s ffmpeg stands still: it is replaced', async t => {
  await using setting = await setUp()
  const { ingest } = await children(setting.sidecar)
  process.kill(ingest.pid, 'SIGSTOP')
  await framesAfter(setting, 'SIGSTOP', 30_000)
  t.regex(setting.sidecar.log(), /"reason":"StreamStalled"/)
  t.false(isAlive(ingest))
})

test('the decoder is killed, or stands still: frames go on, and the camera’s connection with them', async t => {
  await using setting = await setUp()
  const { sidecar, watching } = setting
  const { ingest, decoder } = await children(sidecar)
  process.kill(decoder.pid, 'SIGKILL')
  const seen = watching.frames.length
  await until(() => watching.frames.length > seen + 20, { what: `frames after SIGKILL\n${sidecar.log()}` })
  const next = (await children(sidecar)).decoder
  t.not(next.pid, decoder.pid)
  process.kill(next.pid, 'SIGSTOP')
  const before = watching.frames.length
  await sidecar.stateWith('no frames', ({ decoding }) => decoding.reason === 'NoDecodableFrames', 60_000)
  await until(() => watching.frames.length > before + 20, { what: `frames after SIGSTOP\n${sidecar.log()}`, timeoutMs: 60_000 })
  await sidecar.stateWith('frames again', ({ decoding }) => decoding.ok && decoding.active)
  t.is((await children(sidecar)).ingest.pid, ingest.pid)
  t.like(await sidecar.state(), { reconnects: 0 })
  await gone([decoder, next], 15_000)
})

test('the sidecar is asked to stop: it ends with 0 in seconds, and nothing of it is left', async t => {
  await using setting = await setUp()
  const { all } = await children(setting.sidecar)
  const from = performance.now()
  await end(setting.sidecar.child, 'SIGTERM', 20_000)
  t.is(setting.sidecar.child.exitCode, 0, setting.sidecar.log())
  t.true(performance.now() - from < 10_000)
  await gone(all, 1000)
})

test('the sidecar is killed: its children end by themselves', async t => {
  await using setting = await setUp()
  const { all } = await children(setting.sidecar)
  await end(setting.sidecar.child, 'SIGKILL')
  await gone(all, 15_000)
  t.true(all.length >= 2)
})

test('the sidecar is asked to stop while it starts, connects, waits or has lost NATS: it ends at once', async t => {
  await using nats = await startNats()
  await using silent = await startBrokenCamera('silent')
  const connects = (sidecar: Sidecar) => descendants(sidecar.pid).some(({ command }) => command.includes('rtsp://'))
  for (const [what, url, ready] of [
    ['starting', silent.url, () => true],
    ['connecting', silent.url, connects],
    ['waiting', 'rtsp://127.0.0.1:1/x', (sidecar: Sidecar) => /retryInMs/.test(sidecar.log())],
    ['deserted', silent.url, async (sidecar: Sidecar) => connects(sidecar) && (await nats.kill(), true)],
  ] as const) {
    await using sidecar = await startSidecar(nats, { name: what, spec: { source: { url } } })
    await until(async () => /probePort/.test(sidecar.log()) && (await ready(sidecar)), { what })
    const all = descendants(sidecar.pid)
    const from = performance.now()
    await end(sidecar.child, 'SIGTERM', 20_000)
    t.true(performance.now() - from < 8000, what)
    t.is(sidecar.child.exitCode, 0, `${what}: ${sidecar.log()}`)
    await gone(all, 1000)
  }
})

test('an RTSP camera’s password is in no log, no state, no metric, no environment and no argument', async t => {
  const password = 'canary-p@ss:w/rd%'
  const forms = ['canary', encodeURIComponent(password), Buffer.from(`viewer:${password}`).toString('base64')]
  await using setting = await setUp({ password, level: 'debug' })
  const { sidecar, camera } = setting
  const { ingest, decoder } = await children(sidecar)
  const shows = (text: string) => forms.find(form => text.includes(form))
  for (const { pid } of [{ pid: sidecar.pid }, ingest, decoder]) {
    t.is(shows(readFileSync(`/proc/${pid}/environ`, 'latin1')), undefined)
    t.is(shows(readFileSync(`/proc/${pid}/cmdline`, 'latin1')), undefined)
  }
  // Every way to fail with it.
  await camera.restart({ auth: { user: 'viewer', password: 'another' } })
  await sidecar.stateWith('AuthFailed', ({ reason }) => reason === 'AuthFailed')
  await camera.kill()
  await sidecar.setCredentials({ username: 'viewer', password: `${password}2` })
  await sidecar.stateWith('ConnectionRefused', ({ reason }) => reason === 'ConnectionRefused')
  t.regex(sidecar.log(), /"ffmpeg":/)
  t.is(shows(sidecar.log()), undefined)
  t.is(shows(JSON.stringify(await sidecar.state())), undefined)
  t.is(shows(await sidecar.metrics()), undefined)
})

test('an HTTP camera’s password is in no log, no state, no metric, no environment and no argument', async t => {
  const password = 'canary-p@ss:w/rd%'
  const forms = ['canary', encodeURIComponent(password), Buffer.from(`viewer:${password}`).toString('base64')]
  const shows = (text: string) => forms.find(form => text.includes(form))
  await using nats = await startNats()
  const file = await testVideo({ width: 320, height: 192, seconds: 1 })
  await using camera = await startWebCamera({ kind: 'mpegts', file }, { login: `viewer:${password}` })
  const credentials = { username: 'viewer', password }
  await using sidecar = await startSidecar(nats, {
    spec: { source: { url: camera.url } },
    credentials,
    env: { CHRYS_LOG_LEVEL: 'debug' },
  })
  await using watching = await sidecar.watch('all')
  await until(() => watching.frames.length > 10, { what: `frames\n${sidecar.log()}` })
  const { ingest, decoder } = await children(sidecar)
  for (const { pid } of [{ pid: sidecar.pid }, ingest, decoder]) {
    t.is(shows(readFileSync(`/proc/${pid}/environ`, 'latin1')), undefined)
    t.is(shows(readFileSync(`/proc/${pid}/cmdline`, 'latin1')), undefined)
  }
  await sidecar.setCredentials({ ...credentials, password: `${password}2` })
  await sidecar.stateWith('AuthFailed', ({ reason }) => reason === 'AuthFailed')
  t.regex(sidecar.log(), /"ffmpeg":/)
  t.is(shows(sidecar.log()), undefined)
  t.is(shows(JSON.stringify(await sidecar.state())), undefined)
  t.is(shows(await sidecar.metrics()), undefined)
})
