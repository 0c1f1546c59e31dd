// Writes the table of docs/helm.md from values.yaml and its comments: `node docs/generate-values.ts`; `--check` only says whether it is up to
// date. Every value needs a comment above it.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isMap, parseDocument, type Node, type Pair, type Scalar, type YAMLMap } from 'yaml'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const FILE = file('helm.md')
const BEGIN = '<!-- values -->'
const END = '<!-- /values -->'

type Entry = Pair<Scalar<string>, Node>

function rowsOf(map: YAMLMap, path: string): string[] {
  return (map.items as Entry[]).flatMap(({ key, value }, i) => {
    const name = path === '' ? key.value : `${path}.${key.value}`
    const comment = (key.commentBefore ?? (i === 0 ? map.commentBefore : undefined))?.replaceAll(/\s*\n\s*/g, ' ').trim()
    if (isMap(value) && !value.flow) {
      const own = comment === undefined ? [] : [`| \`${name}\` | | ${comment} |`]
      return [...own, ...rowsOf(value, name)]
    }
    if (comment === undefined) throw new Error(`values.yaml does not say what ${name} is`)
    return [`| \`${name}\` | \`${JSON.stringify((value as Node).toJSON()).replaceAll('|', '\\|')}\` | ${comment.replaceAll('|', '\\|')} |`]
  })
}

/** Maps of resources are one value each: their fields are Kubernetes' own. */
function withWholeResources(map: YAMLMap): YAMLMap {
  for (const { key, value } of map.items as Entry[]) {
    if (!isMap(value)) continue
    if (key.value === 'resources') value.flow = true
    else withWholeResources(value)
  }
  return map
}

const values = parseDocument(readFileSync(file('../charts/chrysalis-edge/values.yaml'), 'utf8')).contents
if (!isMap(values)) throw new Error('values.yaml is no map')
const rows = rowsOf(withWholeResources(values), '')
const table = ['| value | default | what it is |', '| --- | --- | --- |', ...rows].join('\n')

const before = readFileSync(FILE, 'utf8')
const [begin, end] = [before.indexOf(BEGIN), before.indexOf(END)]
if (begin < 0 || end < begin) throw new Error('docs/helm.md has no place for the table')
const after = `${before.slice(0, begin)}${BEGIN}\n\n${table}\n\n${before.slice(end)}`

if (!process.argv.includes('--check')) writeFileSync(FILE, after)
else if (before !== after) {
  process.stderr.write('docs/helm.md is not up to date: run node docs/generate-values.ts\n')
  process.exitCode = 1
}
