// What an ffmpeg that was taken over can do: a program in its place tries.
import anyTest from 'ava'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pino from 'pino'
import { Registry } from 'prom-client'
import { confineProgram } from '../common/cache.mjs'
import { type Reach, reportConfinement } from '../common/media/confine.ts'
import { runFfmpeg } from '../common/media/ffmpeg.ts'
import { pixelsMaxOf, tooLarge } from '../common/media/frame-limit.ts'
import { memoryLimit } from '../common/memory.ts'
import { isProgram } from '../common/which.mjs'
import { temporaryFolder } from './fixtures/tmp.ts'

const MIB = 2 ** 20
/** They change the environment of all. */
const test = anyTest.serial
const hostile = fileURLToPath(new URL('fixtures/hostile-decoder.c', import.meta.url))

/** What the program could do, and what it could not. */
async function tried(reach: Reach): Promise<{ done: string[]; refused: string[] }> {
  await using folder = await temporaryFolder()
  const [program, key] = [folder.file('ffmpeg'), folder.file('user.creds')]
  await promisify(execFile)('cc', ['-O1', '-o', program, hostile])
  await writeFile(key, 'the key of the gateway')
  const server = createServer(socket => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { FFMPEG_PATH: before } = process.env
  const lines: string[] = []
  try {
    process.env['FFMPEG_PATH'] = program
    const { port } = server.address() as AddressInfo
    const megabytes = Math.ceil(Math.min(3 * 2 ** 30, memoryLimit()) / MIB)
    await using run = await runFfmpeg([key, String(port), String(megabytes)], { reach, onLine: line => lines.push(line) })
    await run.ended
  } finally {
    if (before === undefined) delete process.env['FFMPEG_PATH']
    else process.env['FFMPEG_PATH'] = before
    server.close()
  }
  const how = (end: string) => lines.flatMap(line => new RegExp(`^tried (.+): ${end}$`).exec(line)?.[1] ?? [])
  if (lines.at(-1) !== 'tried all') throw new Error(`it did not try all: ${lines.join('; ')}`)
  return { done: how('done'), refused: how('refused') }
}

const NETWORK = ['connect', 'datagram', 'socket']
const NEVER = ['core', 'environment', 'privilege', 'private memory', 'shared memory']
const BESIDE = ['key', 'passwd', 'parent', 'file', 'process', 'signal', 'peek']
const sorted = (words: readonly string[]) => words.toSorted((a, b) => a.localeCompare(b))

test('the set-up compiled what confines ffmpeg', t => {
  t.true(isProgram(confineProgram(process.env)), 'a C compiler is needed: apt-get install gcc libc6-dev')
})

test('a decoder that was taken over reads no file, reaches no network and no process, and has a bounded memory', async t => {
  const { done, refused } = await tried('sealed')
  t.deepEqual(done, [])
  t.deepEqual(sorted(refused), sorted([...BESIDE, ...NETWORK, ...NEVER]))
})

test('an ffmpeg that reads a camera has the network in addition, and nothing else', async t => {
  const { done } = await tried('inbound')
  t.deepEqual(sorted(done), sorted(NETWORK))
})

test('an ffmpeg that writes files has a bounded memory, no environment, and leaves no core', async t => {
  const { done } = await tried('bounded')
  t.deepEqual(sorted(done), sorted([...BESIDE, ...NETWORK]))
})

const asRoot = process.getuid?.() === 0 ? test : test.skip

asRoot('the same holds for a user without a privilege who can get none, as in a pod', async t => {
  await using folder = await temporaryFolder()
  const [confine, program, key] = [folder.file('confine'), folder.file('ffmpeg'), folder.file('user.creds')]
  await chmod(folder.path, 0o755)
  await copyFile(confineProgram(process.env), confine)
  await promisify(execFile)('cc', ['-O1', '-o', program, hostile])
  await writeFile(key, 'the key of the gateway', { mode: 0o644 })
  const user = ['--reuid=65532', '--regid=65532', '--clear-groups', '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all']
  const { stderr } = await promisify(execFile)('setpriv', [...user, confine, String(256 * MIB), 'sealed', program, key, '1', '256'])
  t.is(stderr.match(/: refused$/gm)?.length, BESIDE.length + NETWORK.length + NEVER.length, stderr)
})

test('what this machine takes from ffmpeg is a metric', async t => {
  const registry = new Registry()
  await reportConfinement(registry, pino({ level: 'silent' }))
  const metric = await registry.getSingleMetricAsString('chrysalis_ffmpeg_confined')
  for (const what of ['files', 'network', 'processes', 'memory']) t.regex(metric, new RegExp(`what="${what}"\\} 1`))
})

test('the size of frames that are decoded follows from the memory limit, and the refusal names both', t => {
  const GIB = 2 ** 30
  t.is(pixelsMaxOf(4 * GIB), 40_000_000)
  t.true(pixelsMaxOf(GIB) > 3840 * 2160)
  t.true(pixelsMaxOf(GIB) < 7200 * 5408)
  t.is(pixelsMaxOf(64 * MIB), 1920 * 1088)
  t.is(tooLarge(3840, 2160, GIB), undefined)
  const refusal = tooLarge(7200, 5408, GIB) ?? ''
  t.true(refusal.includes('7200×5408') && refusal.includes('38.9 megapixels') && refusal.includes('1 GiB'), refusal)
  t.regex(tooLarge(8000, 5001, 16 * GIB) ?? '', /40 megapixels/)
})
