// `npm run test:cameras [-- CASE…]`: cameras as people report them (test/fixtures/cases), each with the product and a Python client.
// Prints a table. Exits with 1 where a line says FAIL and docs/cameras.md does not explain it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { PYTHON_MISSING, testPython } from '../deploy/setup/test-tools.mjs'
import { isProgram } from '../common/which.mjs'
import { temporaryFolder } from './fixtures/tmp.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const CASES = fileURLToPath(new URL('fixtures/cases', import.meta.url))
/** A case waits for minutes at most by itself. */
const CASE_MAX_MS = 360_000
const WAIT_S = 75
/** A client that a full machine holds up misses frames: what fails is tried once more. */
const TRIES = 2

type Line = { case: string; ok: boolean; camera: string; said: string; why?: string | undefined }

/** `case` and `camera` → why a FAIL is expected, from the table in docs/cameras.md. */
async function explained(): Promise<Map<string, string>> {
  const [, table = ''] = (await readFile(join(ROOT, 'docs/cameras.md'), 'utf8')).split('## Failures that are explained')
  const rows = table.matchAll(/^\| `([^`]+)` *\| `([^`]+)` *\| (.*?) *\|$/gm)
  return new Map([...rows].map(([, name = '', camera = '', why = '']) => [`${name} ${camera}`, why]))
}

/** A case waits for its last camera's first frame: on a full machine cameras come one by one. */
async function waitLonger(file: string): Promise<void> {
  const options = JSON.parse(await readFile(file, 'utf8')) as { wait?: number }
  await writeFile(file, JSON.stringify({ ...options, wait: Math.max(options.wait ?? 0, WAIT_S) }))
}

/** Runs a case; returns what it says of each camera. */
async function run(folder: string, name: string): Promise<Line[]> {
  const python = testPython(process.env)
  if (!isProgram(python)) throw new Error(PYTHON_MISSING)
  // The reference is decoded by the ffmpeg of the set-up, whatever the product runs.
  const { FFMPEG_PATH: ffmpeg, ...env } = process.env
  const child = spawn(join(folder, 'run.sh'), [name], {
    env: { ...env, PRODUCT: ROOT, PY: python, REF_FFMPEG: ffmpegPath(env), ...(ffmpeg ? { CASE_FFMPEG: ffmpeg } : {}) },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), CASE_MAX_MS)
  const lines: Line[] = []
  const said: string[] = []
  const read = async () => {
    for await (const text of createInterface({ input: child.stdout })) {
      said.push(text)
      const [, verdict, what] = /^(OK|FAIL) +(.*)$/.exec(text) ?? []
      if (what !== undefined) lines.push({ case: name, ok: verdict === 'OK', camera: /^[\w-]+(?=:)/.exec(what)?.[0] ?? '-', said: what })
    }
  }
  const errors = async () => {
    for await (const text of createInterface({ input: child.stderr })) said.push(text)
  }
  await Promise.all([once(child, 'close'), read(), errors()])
  clearTimeout(timer)
  if (child.exitCode !== 0 || lines.length === 0) {
    lines.push({
      case: name,
      ok: false,
      camera: '-',
      said: `the case ended with ${child.signalCode ?? child.exitCode}: ${said.slice(-3).join(' / ')}`,
    })
  }
  return lines
}

const reasons = await explained()
const withReason = (lines: Line[]): Line[] =>
  lines.map(line => (line.ok ? line : { ...line, why: reasons.get(`${line.case} ${line.camera}`) }))
const isBad = ({ ok, why }: Line): boolean => !ok && why === undefined

const wanted = process.argv.slice(2)
const names = (await readdir(CASES)).filter(name => /^\d/.test(name) && (wanted.length === 0 || wanted.some(part => name.startsWith(part))))
await using scratch = await temporaryFolder()
await cp(CASES, scratch.path, { recursive: true })
for (const name of names) await waitLonger(scratch.file(`${name}/case.json`))
const all: Line[] = []
for (const name of names.toSorted()) {
  let lines: Line[] = []
  for (let tries = 0; tries < TRIES && (tries === 0 || lines.some(isBad)); tries++) lines = withReason(await run(scratch.path, name))
  console.log(`# ${name}, load ${loadavg()[0]?.toFixed(1)}`)
  await rm(scratch.file(`${name}/out`), { recursive: true, force: true })
  for (const { ok, camera, said, why } of lines) {
    console.log(`${name.padEnd(40)} ${camera.padEnd(12)} ${ok ? 'OK' : why === undefined ? 'FAIL' : 'explained'}  ${said.slice(0, 300)}`)
  }
  all.push(...lines)
}
const bad = all.filter(isBad)
const explainedCount = all.filter(({ ok }) => !ok).length - bad.length
console.log(
  `\n${all.length - bad.length - explainedCount} OK, ${explainedCount} explained, ${bad.length} FAIL, with ${ffmpegPath(process.env)}`,
)
process.exitCode = bad.length === 0 && all.length > 0 ? 0 : 1
