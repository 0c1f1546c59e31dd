import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { temporaryFolder } from './fixtures/tmp.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const TEXTLINT = join(root, 'node_modules', '.bin', 'textlint')
const words = (count: number) => `${Array.from({ length: count - 1 }, () => 'word').join(' ')} end.`

/** What each document is, and how many problems the prose check must find in it. */
const DOCUMENTS: [text: string, problems: number][] = [
  [`${words(30)}\n\n| a | b |\n| --- | --- |\n| ${words(30)} | b |\n`, 0],
  [`${words(31)}\n\n| a | b |\n| --- | --- |\n| ${words(31)} | b |\n`, 2],
  ['The picture is late.\n', 1],
  ['The camera connects anew.\n', 1],
  ['Somebody has to act.\n', 1],
  ['NATS is away.\n', 1],
  ['A key frame comes.\n', 1],
  ['A group of pictures begins with a keyframe.\n\n    picture anew\n\nSee `picture`.\n', 0],
]

test('the prose check finds long sentences and the words that the glossary replaces, and leaves code alone', async t => {
  await using folder = await temporaryFolder()
  const files = DOCUMENTS.map((_, index) => folder.file(`${index}.md`))
  await Promise.all(files.map((file, index) => writeFile(file, DOCUMENTS[index]?.[0] ?? '')))
  const out = await new Promise<string>(resolve => {
    execFile(TEXTLINT, ['--rulesdir', 'docs/prose', '--format', 'unix', ...files], { cwd: root }, (_, stdout) => resolve(stdout))
  })
  const found = files.map(file => out.split('\n').filter(line => line.startsWith(file)).length)
  t.deepEqual(
    found,
    DOCUMENTS.map(([, problems]) => problems),
    out,
  )
})
