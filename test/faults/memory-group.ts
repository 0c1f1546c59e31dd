// A memory cgroup: what exceeds its limit is killed by the kernel, as a container is.
import { existsSync } from 'node:fs'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../fixtures/wait.ts'

const HIERARCHIES = [
  ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
  ['/sys/fs/cgroup', 'memory.max'],
] as const
const found = HIERARCHIES.find(([root, limit]) => existsSync(join(root, limit)) || existsSync(join(root, 'cgroup.subtree_control')))

/** Why there is none; undefined where one can be made. */
export const noMemoryGroup = process.getuid?.() !== 0 ? 'needs root' : found === undefined ? 'needs memory cgroups' : undefined

export type MemoryGroup = AsyncDisposable & {
  /** What the process takes from now on counts. */
  add(pid: number): Promise<void>
  /** How often the kernel found the limit reached. */
  failures(): Promise<number>
}

export async function memoryGroup(bytes: number): Promise<MemoryGroup> {
  const [root = '', limit = ''] = found ?? []
  const folder = join(root, `chrysalis-test-${process.pid}`)
  await mkdir(folder)
  await writeFile(join(folder, limit), String(bytes))
  return {
    add: pid => writeFile(join(folder, 'cgroup.procs'), String(pid)),
    async failures() {
      const [file, pattern] =
        limit === 'memory.max' ? (['memory.events', /^oom_kill (\d+)$/m] as const) : (['memory.failcnt', /^(\d+)/] as const)
      return Number(pattern.exec(await readFile(join(folder, file), 'utf8'))?.[1] ?? 0)
    },
    async [Symbol.asyncDispose]() {
      await until(
        () =>
          rmdir(folder).then(
            () => true,
            () => false,
          ),
        { what: 'an empty cgroup' },
      )
    },
  }
}
