import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import test from 'ava'
import { Registry } from 'prom-client'
import type { PodState } from '../common/camera-record.ts'
import { runChild, type Ending } from '../deploy/local/child.ts'
import { makeFolders } from '../deploy/local/folders.ts'
import { Guard } from '../deploy/local/guard.ts'
import { followReadiness } from '../deploy/local/readiness.ts'
import { ChildLog, readableLine } from '../deploy/local/log-lines.ts'
import { startNats } from '../deploy/local/nats.ts'
import { parseOptions } from '../deploy/local/options.ts'
import { reservePort } from '../deploy/local/ports.ts'
import { rowLine, rowOf, tableLines } from '../deploy/local/rows.ts'
import { sidecarEnv } from '../deploy/local/sidecar-env.ts'
import { fallsSilent } from '../deploy/local/liveness.ts'
import { keepRunning, podAfter, STARTING } from '../deploy/local/supervisor.ts'
import { cameraRecord } from '../common/camera-record.ts'
import { serveProbes } from '../common/probes.ts'
import type { Camera } from '../proto/camera.ts'
import type { CameraState } from '../proto/state.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

/** A program of a few lines, run by this Node. */
const program = (code: string, graceMs = 5_000) => ({ command: process.execPath, args: ['-e', code], env: process.env, graceMs })

function endings(): { ending: Ending; stop: () => void; kill: () => void } {
  const [stop, kill] = [new AbortController(), new AbortController()]
  return { ending: { stop: stop.signal, kill: kill.signal }, stop: () => stop.abort(), kill: () => kill.abort() }
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('a child’s lines and exit code are passed on', async t => {
  const lines: string[] = []
  const exit = await runChild(
    program('console.log("one"); console.error("two"); process.stdout.write("no end of line"); process.exitCode = 3'),
    { onLine: line => lines.push(line) },
    endings().ending,
  )
  t.like(exit, { code: 3, message: 'exited with code 3' })
  t.deepEqual(lines.toSorted(), ['no end of line', 'one', 'two'])
})

test('a line that never ends is cut, not collected', async t => {
  const lines: string[] = []
  await runChild(
    program('process.stdout.write("x".repeat(3_000_000) + "\\nnext\\n")'),
    { onLine: line => lines.push(line) },
    endings().ending,
  )
  t.true(lines.every(line => line.length <= 16_384))
  t.is(lines.at(-1), 'next')
})

test('a program that is not there has exit code 127', async t => {
  const exit = await runChild(
    { command: 'no-such-program', args: [], env: process.env, graceMs: 1 },
    { onLine: () => {} },
    endings().ending,
  )
  t.is(exit.code, 127)
  t.regex(exit.message, /^could not be started: .*ENOENT/)
})

test('a child that ignores SIGTERM is killed when its time is over', async t => {
  const { ending, stop } = endings()
  const onLine = () => stop() // it is deaf from now on
  const exit = await runChild(
    program('process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)', 200),
    { onLine },
    ending,
  )
  t.like(exit, { code: 137, message: 'was ended by SIGKILL' })
})

test('what a child leaves behind ends with it', async t => {
  const { ending, stop } = endings()
  let grandchild = 0
  const code = `const {spawn} = require("child_process")
    const child = spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"], { stdio: "inherit" })
    console.log(child.pid); process.on("SIGTERM", () => process.exit()); setInterval(() => {}, 1000)`
  const onLine = (line: string) => {
    grandchild = Number(line)
    stop()
  }
  await runChild(program(code), { onLine }, ending)
  t.true(grandchild > 0)
  await until(() => !isAlive(grandchild), { what: 'the end of the grandchild' })
  t.pass()
})

test('a program that ends is started again, and its state says so', async t => {
  const { ending, stop } = endings()
  const pods: PodState[] = []
  const onPod = (pod: PodState) => {
    pods.push(pod)
    if (pods.filter(({ running }) => running).length === 2) stop()
  }
  await keepRunning(program('setTimeout(() => process.exit(7), 50)'), { onPod, onLine: () => {} }, ending)
  t.like(pods[0], { running: true, restarts: 0 })
  t.like(pods[1], { running: false, dead: false, exitCode: 7, reason: 'Restarting' })
  t.regex(pods[1]?.message ?? '', /^exited with code 7; starting again in [12] s$/)
  t.like(
    pods.findLast(({ running }) => running),
    { restarts: 1, exitCode: 7 },
  )
  t.false('reason' in (pods.findLast(({ running }) => running) as PodState))
  t.false(pods.at(-1)?.running)
})

test('bad configuration is not tried again', async t => {
  const pods: PodState[] = []
  await keepRunning(program('process.exit(78)'), { onPod: pod => pods.push(pod), onLine: () => {} }, endings().ending)
  t.like(pods.at(-1), { running: false, dead: true, exitCode: 78, reason: 'ConfigurationInvalid' })
})

test('the second failure in a row is a CrashLoop', t => {
  const exit = { code: 1, message: 'exited with code 1', ranMs: 10 }
  t.like(podAfter(STARTING, exit, 1, 1_100), {
    reason: 'CrashLoop',
    message: 'exited with code 1; starting again in 2 s',
    oomKilled: false,
  })
})

test('options', t => {
  t.deepEqual(parseOptions(['-f', 'a.yaml', '--file', 'b.yaml', '--port', '0', '--data', 'd', '--log-level', 'info']), {
    do: 'run',
    options: { files: ['a.yaml', 'b.yaml'], port: 0, httpPort: undefined, data: 'd', logLevel: 'info' },
  })
  t.like(parseOptions([]), { do: 'run', options: { files: [], port: 50_001, httpPort: undefined, data: undefined, logLevel: 'warn' } })
  t.is(parseOptions(['--help']).do, 'help')
  for (const args of [
    ['--nonsense'],
    ['camera.yaml'],
    ['--port', 'abc'],
    ['--port', '70000'],
    ['--port'],
    ['--log-level', 'loud'],
    ['--data', ''],
  ]) {
    t.is(parseOptions(args).do, 'refuse', args.join(' '))
  }
})

test('a port that is taken is refused with what to do, and 0 finds one', async t => {
  const port = await reservePort(0)
  t.true(port > 0)
  const { createServer } = await import('node:net')
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  await t.throwsAsync(reservePort(port), { message: new RegExp(`^port ${port} is taken.*choose another with --port`) })
  server.close()
})

test('a data folder that another run uses is refused, one left behind is taken', async t => {
  await using temporary = await temporaryFolder()
  const data = temporary.file('data')
  {
    await using _folders = await makeFolders(data)
    await t.throwsAsync(makeFolders(data), { message: /is in use by process \d+: stop that one, or name another folder with --data/ })
  }
  const ended = spawn(process.execPath, ['-e', ''])
  await once(ended, 'close')
  await writeFile(`${data}/pid`, String(ended.pid))
  await using folders = await makeFolders(data)
  t.is((await stat(folders.secrets)).mode & 0o777, 0o700)
  t.false(folders.secrets.startsWith(data), 'secrets do not outlive the run')
})

const camera: Camera = {
  apiVersion: 'video.chrys.cloud/v1beta1',
  kind: 'Camera',
  metadata: { namespace: 'garden', name: 'pond', uid: 'u', generation: 1 },
  spec: {
    source: { url: 'rtsp://pond/', transport: 'tcp', credentialsSecretRef: { name: 'pond' } },
    decoding: { keyFramesOnly: false, placement: 'Auto' },
    buffer: { duration: '60s', maxBytes: '64Mi', storage: 'Memory' },
    archive: { volume: { emptyDir: {} }, segment: 'GOP', retention: '5m' },
    proxy: { enabled: false, urlSecretRef: { name: 'rtmp', key: 'target' } },
    suspend: false,
    onNodeFailure: 'Stay',
  },
}

test('credentials become private files, and no part of the environment', async t => {
  await using folder = await temporaryFolder()
  const folders = { secrets: folder.file('secrets'), archives: folder.file('archive') }
  await mkdir(folders.secrets)
  const secret = (name: string, namespace: string, data: Record<string, string>) => ({
    ...{ kind: 'Secret' as const, name, namespace },
    data: new Map(Object.entries(data).map(([key, value]) => [key, Buffer.from(value)])),
  })
  const secrets = [
    secret('pond', 'default', { username: 'of another namespace', password: 'x' }),
    secret('pond', 'garden', { username: 'viewer', password: 'hunter2', other: 'y' }),
    secret('rtmp', 'garden', { target: 'rtmp://sink/live/hunter2' }),
  ]
  const env = await sidecarEnv(camera, secrets, folders)
  const file = `${env['CHRYS_CREDENTIALS_DIR']}/password`
  t.is(await readFile(file, 'utf8'), 'hunter2')
  t.is(await readFile(`${env['CHRYS_CREDENTIALS_DIR']}/username`, 'utf8'), 'viewer')
  t.is(await readFile(env['CHRYS_PROXY_URL_FILE'] ?? '', 'utf8'), 'rtmp://sink/live/hunter2')
  t.is((await stat(file)).mode & 0o777, 0o600)
  t.is((await stat(dirname(file))).mode & 0o777, 0o700)
  t.false(JSON.stringify(env).includes('hunter2'))
  t.like(env, { CHRYS_DEVICE_ID: 'garden/pond', CHRYS_CAMERA_NAME: 'pond', CHRYS_ARCHIVE_DIR: folder.file('archive/garden') })
  t.deepEqual(JSON.parse(env['CHRYS_CAMERA_SPEC'] ?? ''), camera.spec)
})

test('what has answered and does not any more is silent after a while; a slow start, a pause and a stop are not', async t => {
  const times = { firstPollMs: 5, pollMs: 5, answerMs: 50, startMs: 400, silentMs: 100 }
  const asked = (answer: (n: number) => boolean, signal = new AbortController().signal, silentMs = times.silentMs) => {
    let n = 0
    return fallsSilent(async () => answer(n++), signal, { ...times, silentMs })
  }
  const from = performance.now()
  t.true(await asked(() => false))
  t.true(performance.now() - from >= 400)
  t.true(await asked(n => n < 3))
  t.true(await asked(n => n < 3 || (n > 3 && n < 6)))
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 300)
  t.false(await asked(n => n % 3 === 0, stop.signal, 10_000))
})

test('the authority of a camera’s certificate comes from a ConfigMap or a Secret of the manifests', async t => {
  await using folder = await temporaryFolder()
  const objects = (['Secret', 'ConfigMap'] as const).map(kind => ({
    kind,
    name: 'ca',
    namespace: 'garden',
    data: new Map([['ca.crt', Buffer.from(kind)]]),
  }))
  for (const [kind, ref] of [
    ['Secret', { caSecretRef: { name: 'ca', key: 'ca.crt' } }],
    ['ConfigMap', { caConfigMapRef: { name: 'ca', key: 'ca.crt' } }],
  ] as const) {
    const secrets = folder.file(kind)
    await mkdir(secrets)
    const source = { ...camera.spec.source, tls: { ...ref, trustOnFirstUse: false, minVersion: 'TLSv1.2' as const } }
    const own = await sidecarEnv({ ...camera, spec: { ...camera.spec, source } }, objects, { secrets, archives: folder.file('archive') })
    t.is(await readFile(own['CHRYS_CAMERA_CA_FILE'] ?? '', 'utf8'), kind)
  }
})

test('a Secret that is missing leaves an empty folder, as a pod would see it', async t => {
  await using folder = await temporaryFolder()
  const env = await sidecarEnv(camera, [], { secrets: folder.path, archives: folder.file('archive') })
  await t.throwsAsync(readFile(`${env['CHRYS_CREDENTIALS_DIR']}/username`), { code: 'ENOENT' })
  t.true((await stat(env['CHRYS_CREDENTIALS_DIR'] ?? '')).isDirectory())
})

test('log lines of every kind are made readable', t => {
  t.deepEqual(
    readableLine(
      '{"level":40,"time":"x","pid":1,"name":"sidecar","camera":"a/b","reason":"AuthFailed","retryInMs":60000,"msg":"wrong password"}',
    ),
    {
      level: 40,
      text: 'wrong password reason=AuthFailed retryInMs=60000',
    },
  )
  t.deepEqual(readableLine('[7] 2026/01/02 03:04:05.678 [ERR] disk full'), { level: 50, text: 'disk full' })
  t.deepEqual(readableLine('    at main.ts:1'), { level: 50, text: '    at main.ts:1' })
  t.deepEqual(readableLine('{"level":'), { level: 50, text: '{"level":' })
})

test('a flood of lines goes to the file, and a few of it to the screen', async t => {
  await using folder = await temporaryFolder()
  const shown: string[] = []
  {
    using log = new ChildLog(folder.path, 'camera-front', 'warn', line => shown.push(line))
    for (let i = 0; i < 1_000; i++) log.take(`{"level":50,"msg":"${'x'.repeat(10_000)}"}`)
    log.take('{"level":30,"msg":"fine"}')
  }
  t.true(shown.length >= 5 && shown.length < 100, `${shown.length} lines`)
  const sizes = await Promise.all(['camera-front.log', 'camera-front.log.1'].map(async name => (await stat(folder.file(name))).size))
  t.true(
    sizes.every(size => size > 0 && size < 5_000_000),
    sizes.join(', '),
  )
})

test('a log that finds no room on the disk is said once, and its lines are shown all the same', async t => {
  await using folder = await temporaryFolder()
  await symlink('/dev/full', folder.file('camera-front.log'))
  const shown: string[] = []
  using log = new ChildLog(folder.path, 'camera-front', 'warn', line => shown.push(line))
  for (let i = 0; i < 3; i++) log.take(`{"level":40,"msg":"line ${i}"}`)
  const lost = `camera-front: ${folder.file('camera-front.log')} is not written: ENOSPC: no space left on device, write`
  t.deepEqual(shown, [lost, 'camera-front: line 0', 'camera-front: line 1', 'camera-front: line 2'])
})

test('a nats-server that lacked room on its disk is started anew once there is some', async t => {
  await using folder = await temporaryFolder()
  const full = '[7] 2026/01/02 03:04:05.678 [ERR] Filestore [x] Critical write error: write 1.blk: no space left on device'
  await writeFile(folder.file('nats-server'), `#!/bin/sh\necho started\necho "${full}"\nexec sleep 100\n`, { mode: 0o755 })
  process.env['NATS_SERVER'] = folder.file('nats-server')
  const { ending, stop } = endings()
  const lines: string[] = []
  const settings = { scratch: folder.path, store: folder.file('store'), onLine: (line: string) => lines.push(line), onTrouble: () => {} }
  using guard = new Guard(folder.file('nothing'))
  const server = await startNats({ ...settings, guard }, ending)
  try {
    await Promise.allSettled([server.url, until(() => lines.filter(line => line === 'started').length > 1, { what: 'a second start' })])
    t.deepEqual(lines.slice(0, 4), [
      'started',
      full,
      'the disk was full and has room again: restarting the server so that it writes again',
      'started',
    ])
  } finally {
    stop()
    await server.ended
  }
})

test('readiness is what the probe answers, from a process that does not listen yet to one that has all', async t => {
  const port = await reservePort(0)
  const stop = new AbortController()
  const said: (string | undefined)[] = []
  const missing = ['the list of cameras', 'NATS']
  const heard = Promise.withResolvers<void>()
  const following = followReadiness(
    port,
    text => {
      if (said.at(-1) !== text || said.length === 0) said.push(text)
      if (text?.startsWith('the list')) missing.length = 0
      heard.resolve()
    },
    stop.signal,
  )
  await heard.promise
  await using _probes = await serveProbes({ host: '127.0.0.1', port }, new Registry(), () => missing)
  await following
  t.deepEqual(said, ['its probe does not answer yet', 'the list of cameras, NATS', undefined])
})

test('readiness is no longer followed once the process has ended', async t => {
  const stop = new AbortController()
  const following = followReadiness(await reservePort(0), () => stop.abort(), stop.signal)
  await t.notThrowsAsync(following)
})

const running: PodState = { ...STARTING, running: true }
const state: CameraState = {
  ...{
    v: 1,
    uid: 'u',
    run: 1,
    at: 2,
    connection: 'streaming',
    failingStreak: 0,
    reconnects: 0,
    pid: 1,
    epoch: 1,
    fps: 14.96,
    bitsPerSecond: 1,
  },
  codec: {
    ...{ name: 'h264', longName: 'H.264', width: 640, height: 360, pixFmt: 'yuv420p', extradata: '', timeBase: [1, 90_000], reorder: 0 },
  },
  decoding: { active: true, ok: true },
  buffer: { ok: true },
}
const row = (pod: PodState, reported: CameraState | undefined, { ageMs = 0, runningMs = 60_000, suspend = false } = {}) => {
  const record = cameraRecord({ ...camera, spec: { ...camera.spec, suspend } }, pod)
  return rowOf({ record, report: reported && { state: reported, ageMs }, runningMs, isConnected: true })
}
const line = (...of: Parameters<typeof row>) => rowLine(row(...of))

test('a camera’s row says what it does, and why not', t => {
  t.is(line(running, state), 'garden/pond: running h264 640x360 15.0 fps, decoding')
  t.is(line(running, undefined, { runningMs: 1_000 }), 'garden/pond: starting')
  t.is(line(running, { ...state, uid: 'of a namesake' }, { runningMs: 1_000 }), 'garden/pond: starting')
  t.regex(line(running, state, { ageMs: 20_000 }), /^garden\/pond: restarting \(SidecarSilent: /)
  t.is(line(STARTING, undefined), 'garden/pond: starting')
  t.is(line(STARTING, undefined, { suspend: true }), 'garden/pond: stopped')
  t.regex(
    line({ ...STARTING, reason: 'CrashLoop', message: 'exited with code 1' }, state),
    /^garden\/pond: restarting \(CrashLoop: Exited with code 1\. Read the log/,
  )
  t.regex(line({ ...STARTING, dead: true, reason: 'ConfigurationInvalid' }, state), /^garden\/pond: failed \(ConfigurationInvalid: /)
  t.regex(
    line(running, { ...state, connection: 'waiting', reason: 'AuthFailed', message: 'wrong password' }),
    /^garden\/pond: failed \(AuthFailed: Wrong password\. Correct the keys/,
  )
  t.regex(
    line(running, { ...state, buffer: { ok: false, reason: 'BufferUnavailable' }, decoding: { active: false, ok: true } }),
    /^garden\/pond: running h264 640x360 15\.0 fps \(BufferUnavailable: /,
  )
})

test('the table’s columns stand under their headings', t => {
  const [headings, first] = tableLines([row(running, state)])
  t.is(headings, 'CAMERA       STATE    CODEC  SIZE     FPS   DECODING  REASON')
  t.is(first, 'garden/pond  running  h264   640x360  15.0  yes')
})
