// Where the one-node cluster lives: namespaces of its own for processes, mounts and the network. They end with their first process, and with
// them every container, mount, bridge and packet rule of the cluster, however it ends. What then remains, cgroups and a folder, goes here.
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { end, spawnMortal } from '../fixtures/processes.ts'

const PREFIX = 'chrysalis-e2e-'
const CGROUPS = '/sys/fs/cgroup'
const OWNER = 'owner'

/** Runs the command as a child of the first process of new namespaces; resolves with its exit code when all of them are gone. */
export async function runEnclosed(command: readonly string[], env: NodeJS.ProcessEnv, stop: AbortSignal): Promise<number> {
  await removeAbandoned()
  const folder = await ownedFolder()
  try {
    const cgroup = await createCgroup(folder)
    return await runIn(command, { ...env, E2E_FOLDER: folder, E2E_CGROUP: cgroup }, stop)
  } finally {
    await remove(folder)
  }
}

/** A temporary folder that a later run removes where this process can't. */
export async function ownedFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), PREFIX))
  await writeFile(join(folder, OWNER), String(process.pid))
  return folder
}

async function runIn(command: readonly string[], env: NodeJS.ProcessEnv, stop: AbortSignal): Promise<number> {
  const namespaces = ['--mount', '--net', '--pid', '--ipc', '--fork', '--kill-child=SIGKILL', '--mount-proc']
  // A shell that waits is the first process, since it collects orphans. It takes no signal: stdin's end is what asks the command to stop.
  const shell = ['sh', '-c', '"$@"; exit $?', 'sh', ...command]
  const child = spawnMortal('unshare', [...namespaces, ...shell], { cwd: process.cwd(), env, stdio: ['pipe', 'inherit', 'inherit'] })
  const exited = new Promise<number>(resolve => child.once('exit', code => resolve(code ?? 1)))
  const ask = () => child.stdin?.destroy()
  stop.addEventListener('abort', ask, { once: true })
  const code = await Promise.race([exited, aborted(stop).then(() => delay(20_000, 1))])
  stop.removeEventListener('abort', ask)
  await end(child, 'SIGKILL')
  return code
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>(resolve => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })))

/** Each hierarchy of version 1, or the one of version 2. */
const hierarchies = (): string[] =>
  existsSync(join(CGROUPS, 'cgroup.controllers'))
    ? [CGROUPS]
    : readdirSync(CGROUPS)
        .map(name => join(CGROUPS, name))
        .filter(path => existsSync(join(path, 'cgroup.procs')))

async function createCgroup(folder: string): Promise<string> {
  const name = folder.slice(folder.lastIndexOf('/') + 1)
  for (const hierarchy of hierarchies()) {
    const path = join(hierarchy, name)
    await mkdir(path, { recursive: true })
    // Version 1's set of processors is empty until it is told.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (existsSync(join(hierarchy, file))) await writeFile(join(path, file), await readFile(join(hierarchy, file)))
    }
  }
  return name
}

async function remove(folder: string): Promise<void> {
  const name = folder.slice(folder.lastIndexOf('/') + 1)
  for (const hierarchy of hierarchies()) await removeCgroup(join(hierarchy, name))
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
}

async function removeCgroup(path: string): Promise<void> {
  if (!existsSync(path)) return
  for (const each of await readdir(path, { withFileTypes: true })) if (each.isDirectory()) await removeCgroup(join(path, each.name))
  // Its last process may still be on its way out.
  for (let attempt = 0; ; attempt++) {
    try {
      return await rmdir(path)
    } catch (error) {
      if (attempt === 100) throw error
      await delay(100)
    }
  }
}

/** What runs left that were killed together with their parents. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue
    const owner = await readFile(join(tmpdir(), name, OWNER), 'utf8').catch(() => '')
    if (owner !== '' && !existsSync(`/proc/${owner}`)) await remove(join(tmpdir(), name))
  }
}
