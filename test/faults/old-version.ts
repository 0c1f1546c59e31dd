// The last release, as a site has it: its sources in a folder, with the packages of today.
import { execFile, spawnSync } from 'node:child_process'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { temporaryFolder } from '../fixtures/tmp.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const git = (...args: string[]) => spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' }).stdout.trim()
/** The commit that named the newest released version in the changelog. */
const released = git('log', '--format=%H', '-S## 0.2.0', '--', 'CHANGELOG.md').split('\n').at(-1) ?? ''

/** Why it is not there; undefined where it is. */
export const noOldVersion = released === '' ? 'needs the history of the last release' : undefined

export async function oldVersion(): Promise<AsyncDisposable & { root: string }> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder())
  const archive = folder.file('old.tar')
  await promisify(execFile)('git', ['archive', '-o', archive, released], { cwd: ROOT })
  await promisify(execFile)('tar', ['-xf', archive, '-C', folder.path])
  await symlink(join(ROOT, 'node_modules'), folder.file('node_modules'))
  const owned = stack.move()
  return { root: folder.path, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
