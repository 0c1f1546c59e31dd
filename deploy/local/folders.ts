import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../../common/errors.ts'

export type Folders = AsyncDisposable & {
  /** Private, and gone at the end. */
  scratch: string
  secrets: string
  /** JetStream's. */
  store: string
  archives: string
  logs: string
}

/** Makes the folders of a run. `data` outlives it; undefined: everything is temporary. Rejects where another run uses `data`. */
export async function makeFolders(data: string | undefined): Promise<Folders> {
  await using stack = new AsyncDisposableStack()
  const scratch = await mkdtemp(join(tmpdir(), 'chrysalis-edge-')) // mode 0700
  stack.defer(() => rm(scratch, { recursive: true, force: true, maxRetries: 5 }))
  const kept = data ?? scratch
  if (data !== undefined) stack.use(await claim(kept))
  const folders = {
    scratch,
    secrets: join(scratch, 'secrets'),
    store: join(kept, 'jetstream'),
    archives: join(kept, 'archive'),
    logs: join(kept, 'logs'),
  }
  await mkdir(folders.secrets, { mode: 0o700 })
  await mkdir(folders.logs, { recursive: true, mode: 0o700 })
  const owned = stack.move()
  return { ...folders, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Two servers on one store would spoil it. */
async function claim(folder: string): Promise<AsyncDisposable> {
  const file = join(folder, 'pid')
  const pid = Number(await readFile(file, 'utf8').catch(() => ''))
  if (pid > 0 && isRunning(pid)) {
    throw new Error(
      `${folder} is in use by process ${pid}: stop that one, or name another folder with --data (if it is no process of ours, remove ${file})`,
    )
  }
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeFile(file, String(process.pid))
  } catch (error) {
    throw new Error(`nothing can be kept in ${folder} (${messageOf(error)}): name another folder with --data`, { cause: error })
  }
  return { [Symbol.asyncDispose]: () => rm(file, { force: true }) }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
