// `node javascript.mjs FROM TO`: the sources without their types. In the image Node runs these, since stripping types at each start costs a
// tenth of a second and 28 MB, and what Node keeps of that (NODE_COMPILE_CACHE) is of no use on a processor of another model.
// `x.ts` becomes a link to `x.js`: imports and commands stay as they are, and Node goes by the name of what a link leads to.
import { copyFileSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { basename, dirname, join } from 'node:path'

const [from, to] = process.argv.slice(2)
if (from === undefined || to === undefined) throw new Error('usage: node javascript.mjs FROM TO')

for (const file of globSync('*/**/*.{ts,mjs,proto,html,css}', { cwd: from })) {
  const [source, target] = [join(from, file), join(to, file)]
  mkdirSync(dirname(target), { recursive: true })
  if (!file.endsWith('.ts')) {
    copyFileSync(source, target)
    continue
  }
  const javascript = target.replace(/ts$/, 'js')
  writeFileSync(javascript, stripTypeScriptTypes(readFileSync(source, 'utf8')))
  symlinkSync(basename(javascript), target)
}
