// The Python client as users install it: the wheel in an empty venv, with the oldest and the newest Python and protobuf that are here.
import test from 'ava'
import { readdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from '../common/cache.mjs'
import { isProgram } from '../common/which.mjs'
import { pythons, run } from '../deploy/setup/system.mjs'
import { testPython } from '../deploy/setup/test-tools.mjs'
import { startPythonClient, startWorld } from './fixtures/python-client.ts'
import { temporaryFolder, type TemporaryFolder } from './fixtures/tmp.ts'
import { within } from './fixtures/wait.ts'

const CLIENT = fileURLToPath(new URL('../clients/python', import.meta.url))
/** What the client supports at least. */
const OLDEST = ['grpcio==1.60.*', 'protobuf==4.25.*', 'numpy==1.24.*']
const OLDEST_MINOR = 10

async function must(command: string, args: readonly string[]): Promise<string> {
  const { ok, output } = await run(command, args)
  if (!ok) throw new Error(`${command} ${args.join(' ')}: ${output}`)
  return output
}

/** Every Python of this machine that the client supports, by its minor version; those of pyenv too. */
async function supportedPythons(): Promise<Map<number, string>> {
  const pyenv = join(homedir(), '.pyenv/versions')
  const versions = await readdir(pyenv).catch(() => [])
  const found = new Map<number, string>()
  for (const python of [...pythons(), ...versions.map(version => join(pyenv, version, 'bin/python'))].filter(isProgram)) {
    const { ok, output } = await run(python, ['-c', 'import sys, venv, ensurepip; print(*sys.version_info[:2])'])
    const [major, minor = 0] = output.trim().split(' ').map(Number)
    if (ok && major === 3 && minor >= OLDEST_MINOR) found.set(minor, python)
  }
  return found
}

async function buildWheel(folder: TemporaryFolder): Promise<string> {
  await must('sh', [
    '-c',
    `cd "$1" && "$2" -m hatchling build -t wheel -d "$3"`,
    'sh',
    CLIENT,
    testPython(process.env),
    folder.file('dist'),
  ])
  const [wheel = ''] = await readdir(folder.file('dist'))
  return join(folder.file('dist'), wheel)
}

test('from an empty venv to frames and an annotation: oldest Python with oldest packages, newest with newest', async t => {
  t.timeout(600_000)
  await using folder = await temporaryFolder()
  await using world = await startWorld()
  await using _gateway = await world.startGateway()
  const wheel = await buildWheel(folder)
  const found = await supportedPythons()
  const [oldest, newest] = [Math.min(...found.keys()), Math.max(...found.keys())]
  // Wheels of the oldest packages exist for few Pythons.
  const cases: [number, string[]][] = [[newest, ['protobuf']]]
  if (oldest <= 11) cases.unshift([oldest, OLDEST])
  for (const [minor, packages] of cases) {
    const startMs = performance.now()
    const venv = folder.file(`3.${minor}`)
    await must(found.get(minor) ?? '', ['-m', 'venv', venv])
    const python = join(venv, 'bin/python')
    await must(python, ['-m', 'pip', 'install', '-q', '--only-binary=:all:', wheel, ...packages])
    await using program = startPythonClient(world.address, 'issue', {}, python)
    t.is(await within(program.ended, { what: `the program with Python 3.${minor}`, timeoutMs: 90_000 }), 0, program.errors())
    t.deepEqual(program.said[0]?.['box'], [0, 0, 320, 180])
    t.log(
      `Python 3.${minor}, ${packages.join(' ')}: ${((performance.now() - startMs) / 1000).toFixed(1)} s from an empty venv to the first frame`,
    )
  }
})

test('the client passes mypy --strict', async t => {
  const cache = join(cacheFolder(process.env), 'mypy')
  const args = ['-m', 'mypy', '--config-file', join(CLIENT, 'pyproject.toml'), '--cache-dir', cache, join(CLIENT, 'src')]
  t.regex(await must(testPython(process.env), args), /^Success: no issues found/)
})
