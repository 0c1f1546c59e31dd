import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import test from 'ava'
import { readMounted, readRepeatedly } from '../common/watch-files.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

test('a file that comes late, changes by a swapped link as in Kubernetes, and goes is read as it is each time', async t => {
  await using folder = await temporaryFolder()
  const volume = async (name: string, text: string) => {
    await mkdir(folder.file(name))
    await writeFile(folder.file(`${name}/password`), text)
    await symlink(name, folder.file(`${name}.link`))
    await rename(folder.file(`${name}.link`), folder.file('data'))
  }
  const steps = [() => volume('first', 'one\n'), () => volume('second', 'two'), () => rm(folder.file('data'))]
  const seen: (string | undefined)[] = []
  const stop = new AbortController()
  for await (const text of readRepeatedly(() => readMounted(folder.file('data/password')), stop.signal, 1)) {
    seen.push(text)
    await steps.shift()?.()
    if (seen.length === 4) stop.abort()
  }
  t.deepEqual(seen, [undefined, 'one', 'two', undefined])
})

test('what was read while the wait was ended is not given', async t => {
  const stop = new AbortController()
  const read = () => Promise.resolve(stop.abort())
  for await (const _ of readRepeatedly(read, stop.signal, 1)) t.fail()
  t.true(stop.signal.aborted)
})
