// docs/values.md, from values.yaml and its comments. Every value needs a comment above it.
import { readFileSync } from 'node:fs'
import { isMap, parseDocument, type Node, type Pair, type Scalar, type YAMLMap } from 'yaml'
import { filled, fromDocs, table, type Page } from './page.ts'

type Entry = Pair<Scalar<string>, Node>

function rowsOf(map: YAMLMap, path: string): string[][] {
  return (map.items as Entry[]).flatMap(({ key, value }, i) => {
    const name = path === '' ? key.value : `${path}.${key.value}`
    const comment = (key.commentBefore ?? (i === 0 ? map.commentBefore : undefined))?.replaceAll(/\s*\n\s*/g, ' ').trim()
    if (isMap(value) && !value.flow) {
      const own = comment === undefined ? [] : [[`\`${name}\``, '', comment]]
      return [...own, ...rowsOf(value, name)]
    }
    if (comment === undefined) throw new Error(`values.yaml does not say what ${name} is`)
    return [[`\`${name}\``, `\`${JSON.stringify((value as Node).toJSON())}\``, comment]]
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

export function valuesPage(): Promise<Page> {
  const values = parseDocument(readFileSync(fromDocs('../charts/chrysalis-edge/values.yaml'), 'utf8')).contents
  if (!isMap(values)) throw new Error('values.yaml is no map')
  return filled('values.md', { values: table(['value', 'default', 'meaning'], rowsOf(withWholeResources(values), '')) })
}
