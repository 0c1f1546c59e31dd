import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { connect as connectNats, ErrorCode } from 'nats'
import { stringify } from 'yaml'
import { camera } from './fixtures/camera-manifests.ts'
import { allGone, isAlive, runWatch, startLocal } from './fixtures/local.ts'
import { descendants } from './fixtures/processes.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const MAIN = fileURLToPath(new URL('../deploy/local/main.ts', import.meta.url))

// Each starts a whole product: one after the other is enough for a small machine.
test.serial('the demo camera runs, is watched, survives kill -9 of its process and of nats-server, and ends with Ctrl-C', async t => {
  await using folder = await temporaryFolder()
  await using local = await startLocal()
  await local.line(/demo: running h264 640x360/)
  const address = await local.address()
  t.regex(local.text(), new RegExp(`Try: npm run watch -- demo --address ${address}`))

  const saved = await runWatch(['demo', '--address', address, '--save', folder.file('picture.png')])
  t.deepEqual(saved, { code: 0, text: `${folder.file('picture.png')}: 640x360\n` })
  t.is((await readFile(folder.file('picture.png'))).subarray(1, 4).toString(), 'PNG')

  const watched = await runWatch(['demo', '--address', address], /fps/)
  t.is(watched.code, 0, watched.text)
  t.regex(watched.text, /demo {3}\d+\.\d fps {3}640x360 h264 {3}I \d+ P \d+ B 0 {3}latency p50 -?\d+ ms max -?\d+ ms {3}missed \d+/)

  const unknown = await runWatch(['nope', '--address', address])
  t.deepEqual(unknown, { code: 1, text: 'camera "nope" not found\n' })

  process.kill(local.process('sidecar/main.ts').pid, 'SIGKILL')
  await local.line(/demo: restarting \(Restarting: Was ended by SIGKILL; starting again in [12] s\./)
  await local.line(/demo: running/)

  process.kill(local.process('nats-server -c').pid, 'SIGKILL')
  await local.line(/nats-server was ended by SIGKILL; starting again/)
  await until(() => local.process('nats-server -c'), { what: 'another nats-server', timeoutMs: 60_000 })
  const again = await runWatch(['demo', '--address', address, '--save', folder.file('again.png')])
  t.is(again.code, 0, again.text)

  const processes = local.processes()
  for (const part of ['gateway/main.ts', 'sidecar/main.ts', 'nats-server -c', 'ffmpeg'])
    t.true(
      processes.some(({ command }) => command.includes(part)),
      part,
    )
  local.signal('SIGINT')
  local.signal('SIGINT') // npm sends what the terminal has sent
  t.is(await local.ended(), 0, local.text())
  await allGone(processes)
  t.deepEqual(await local.leftovers(), [])
})

test.serial('sidecar, gateway and nats-server that stand still are replaced, and nobody without the run’s key uses its NATS', async t => {
  await using local = await startLocal()
  await local.line(/demo: running h264 640x360/)
  const address = await local.address()
  const config = /nats-server -c (\S+)/.exec(local.process('nats-server -c').command)?.[1] ?? ''
  const listen = /listen: "([^"]+)"/.exec(await readFile(config, 'utf8'))?.[1] ?? ''
  await t.throwsAsync(connectNats({ servers: listen, maxReconnectAttempts: 0 }), { code: ErrorCode.AuthorizationViolation })

  const still = ['sidecar/main.ts', 'gateway/main.ts', 'nats-server -c'].map(command => local.process(command))
  for (const { pid } of still) process.kill(pid, 'SIGSTOP')
  for (const { pid, command } of still) await until(() => !isAlive(pid), { what: `the end of ${command}`, timeoutMs: 90_000 })
  t.regex(local.text(), /nats-server did not answer for 30 s; starting again/)
  const again = await until(
    async () => {
      const { code } = await runWatch(['demo', '--address', address], /fps/)
      return code === 0
    },
    { what: 'frames of their successors', timeoutMs: 90_000 },
  )
  t.true(again)
})

test.serial('a user’s own cameras, with the credentials that stand beside them', async t => {
  await using rtsp = await startCamera({ auth: { user: 'viewer', password: 'hunter2' } })
  await using folder = await temporaryFolder()
  const secret = (name: string, password: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name },
    stringData: { username: 'viewer', password },
  })
  const named = (name: string) => camera({ source: { url: rtsp.url, credentialsSecretRef: { name } } }, name)
  const documents = [secret('right', 'hunter2'), secret('wrong', 'hunter3'), named('right'), named('wrong'), named('none')]
  const suspended = camera({ source: { url: 'testsrc:' }, suspend: true }, 'idle', 'garden')
  await writeFile(folder.file('cameras.yaml'), documents.map(document => stringify(document)).join('---\n'))
  await writeFile(folder.file('more.yaml'), stringify(suspended))
  await using local = await startLocal('-f', folder.file('cameras.yaml'), '-f', folder.file('more.yaml'), '--data', folder.file('data'))
  const says = (pattern: RegExp) => until(() => pattern.test(local.text()), { what: `${pattern}`, timeoutMs: 90_000 })
  await Promise.all([/right: running h264 640x360/, /wrong: .*AuthFailed/, /none: .*SecretNotFound/, /garden\/idle: stopped/].map(says))
  const listed = await runWatch(['garden/idle', '--address', await local.address()], /no frame/)
  t.regex(listed.text, /garden\/idle {3}no frame {3}stopped/)

  t.is(local.processes().filter(({ command }) => command.includes('sidecar/main.ts')).length, 3, 'no process for the suspended one')
  local.signal('SIGTERM')
  t.is(await local.ended(), 0, local.text())
  t.deepEqual(await local.leftovers(), [])
  const logs = await Promise.all(['right', 'wrong', 'none'].map(name => readFile(folder.file(`data/logs/camera-${name}.log`), 'utf8')))
  for (const text of [local.text(), ...logs]) t.notRegex(text, /hunter/)
})

test.serial('nothing outlives a supervisor that is killed', async t => {
  await using local = await startLocal()
  await local.line(/demo: running/)
  const processes = local.processes()
  t.true(processes.length >= 5, processes.map(({ command }) => command).join('\n'))
  local.signal('SIGKILL')
  await local.ended()
  await allGone(processes)
  await until(async () => (await local.leftovers()).length === 0, { what: 'the end of the folder with the secrets' })
  t.pass()
})

test.serial('nothing outlives an npm that is killed', async t => {
  await using folder = await temporaryFolder()
  const env = { ...process.env, npm_lifecycle_event: 'start', TMPDIR: folder.path }
  const npm = spawn('/bin/sh', ['-c', '"$0" "$@"; exit', process.execPath, MAIN, '--port', '0'], { stdio: 'ignore', env })
  const processes = () => descendants(npm.pid)
  await until(() => processes().some(({ command }) => command.includes('sidecar/main.ts')), { what: 'a camera', timeoutMs: 90_000 })
  const before = processes()
  npm.kill('SIGKILL')
  try {
    await allGone(before)
  } finally {
    for (const { pid, command } of before) if (command.includes(MAIN) && isAlive(pid)) process.kill(pid, 'SIGTERM')
  }
  t.deepEqual(await readdir(folder.path), [])
})

test.serial('a second Ctrl-C ends everything at once', async t => {
  await using local = await startLocal()
  await local.line(/demo: running/)
  const processes = local.processes()
  process.kill(local.process('gateway/main.ts').pid, 'SIGSTOP') // it won't hear the first
  local.signal('SIGINT')
  await local.line(/stopping; Ctrl-C again ends everything at once/)
  await delay(1_200) // what comes sooner counts as the same keystroke
  local.signal('SIGINT')
  t.is(await local.ended(), 130, local.text())
  await allGone(processes)
  t.deepEqual(await local.leftovers(), [])
})

test('what is wrong with the command line or the manifests is told, and nothing is started', async t => {
  await using folder = await temporaryFolder()
  await writeFile(folder.file('bad.yaml'), stringify(camera({ source: { url: 'rtsp://admin:hunter2@h:0/' } })))
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const port = (taken.address() as AddressInfo).port
  const cases: [string[], number, RegExp][] = [
    [['--nonsense'], 64, /^Unknown option '--nonsense'; see npm start -- --help\n$/],
    [
      ['-f', folder.file('bad.yaml')],
      65,
      /document 1 \(Camera default\/front\): spec.source.url: .*credentialsSecretRef\n.*port must be 1-65535\nnothing was started\n$/,
    ],
    [['-f', folder.file('missing.yaml')], 65, /missing.yaml: no such file\nnothing was started\n$/],
    [['--port', String(port)], 1, /^port \d+ is taken, .*choose another with --port/],
  ]
  for (const [args, code, text] of cases) {
    await using local = await startLocal(...args)
    t.is(await local.ended(), code, local.text())
    t.regex(local.text(), text)
    t.notRegex(local.text(), /hunter2/)
    t.deepEqual(await local.leftovers(), [])
  }
  taken.close()
})

test('a data folder is sought where the command was typed, and one that cannot be used is refused with what to do', async t => {
  await using folder = await temporaryFolder()
  await writeFile(folder.file('taken'), 'a file')
  const env = { ...process.env, INIT_CWD: folder.path } // npm has changed into the project's folder
  const run = promisify(execFile)(process.execPath, [MAIN, '--port', '0', '--data', 'taken'], { env, timeout: 60_000 })
  const error = await t.throwsAsync<Error & { code: number; stderr: string }>(run)
  t.is(error?.code, 1)
  t.regex(error?.stderr ?? '', /^nothing can be kept in .*\(EEXIST: .*\): name another folder with --data\n$/)
  t.true(error?.stderr.includes(folder.file('taken')))
})

test('a client that finds no server says what to do', async t => {
  const { code, text } = await runWatch(['demo', '--address', '127.0.0.1:1'])
  t.deepEqual(
    { code, text },
    { code: 1, text: 'nothing answers at 127.0.0.1:1: start it with npm start, or say where it is with --address HOST:PORT\n' },
  )
  t.is((await runWatch([])).code, 64)
})
