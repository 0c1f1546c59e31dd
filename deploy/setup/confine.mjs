// The program that starts ffmpeg without what it does not need. It is compiled where there is a C compiler.
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { confineProgram } from '../../common/cache.mjs'
import { isProgram, onPath } from '../../common/which.mjs'
import { aptInstall, canInstall, inScratch, keep, run, say, tail } from './system.mjs'

const source = fileURLToPath(new URL('../confine/confine.c', import.meta.url))

export async function prepareConfine() {
  const program = confineProgram(process.env)
  if (process.platform !== 'linux' || isProgram(program)) return
  const found = () => ['cc', 'gcc', 'clang'].map(name => onPath(name, process.env)).find(path => path !== undefined)
  if (found() === undefined && canInstall()) await aptInstall(['gcc', 'libc6-dev'], 'a C compiler, for what confines ffmpeg')
  const compiler = found()
  if (compiler === undefined) return // the programs say that ffmpeg is not confined
  await inScratch(async folder => {
    const file = join(folder, 'confine')
    const { ok, output } = await run(compiler, ['-O2', '-o', file, source])
    if (ok) return keep(file, basename(program))
    say(`ffmpeg will not be confined, as ${compiler} cannot compile what does it:\n  ${tail(output)}`)
    return false
  })
}
