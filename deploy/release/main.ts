// `npm run release`: see docs/releases.md.
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../../common/errors.ts'
import { HELP, parseOptions } from './options.ts'
import { makeRelease } from './release.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const say = (line: string) => void process.stdout.write(`${line}\n`)

try {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) say(HELP)
  else {
    const { files, missing } = await makeRelease(ROOT, { ...options, out: resolve(options.out) }, say)
    say(`\nin ${resolve(options.out)}:\n${files.map(file => `  ${file}`).join('\n')}`)
    say(missing.length === 0 ? 'nothing is missing; publishing is up to you' : `missing:\n${missing.map(line => `  ${line}`).join('\n')}`)
    process.exitCode = missing.length === 0 ? 0 : 1
  }
} catch (error) {
  process.stderr.write(`release: ${messageOf(error)}\n`)
  process.exitCode = 1
}
