// Writes the tables of docs/operator.md from what they describe: `node docs/generate-operator.ts`; `--check` only says whether they are
// up to date. A table stands between <!-- NAME --> and <!-- /NAME -->.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Registry } from 'prom-client'
import { parse } from 'yaml'
import { cameraSchema } from '../deploy/local/manifests.ts'
import type { Schema } from '../deploy/local/schema.ts'
import { camerasMetric, clientMetrics, leaderMetric, operatorMetrics, queueMetrics, reconcileMetrics } from '../operator/metrics.ts'
import { REASONS } from '../proto/reasons.ts'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const FILE = file('operator.md')

const rows = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...lines].map(cells => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')

/** Every field of the spec, in the order of the schema. */
function fieldsOf(schema: Schema, path: string, isRequired: boolean): string[][] {
  const { properties = {}, items, additionalProperties, required = [] } = schema
  const own = path === 'spec' ? [] : [[`\`${path}\``, typeOf(schema), defaultOf(schema, isRequired), (schema.description ?? '').trim()]]
  const inner = Object.entries(properties).flatMap(([name, each]) => fieldsOf(each, `${path}.${name}`, required.includes(name)))
  const ofItems = Object.entries(items?.properties ?? {}).flatMap(([name, each]) =>
    fieldsOf(each, `${path}[].${name}`, items?.required?.includes(name) ?? false),
  )
  return [
    ...own,
    ...inner,
    ...ofItems,
    ...(additionalProperties?.properties === undefined ? [] : fieldsOf(additionalProperties, `${path}.*`, false)),
  ]
}

function typeOf({ type, enum: values, properties, items, additionalProperties }: Schema): string {
  if (values !== undefined) return values.map(value => (value === '' ? '""' : value)).join(', ')
  if (type === 'array') return items?.type === 'object' ? 'list' : `list of ${items?.type}`
  if (type === 'object' && properties === undefined) return additionalProperties === undefined ? 'object' : 'map'
  return type ?? ''
}

function defaultOf({ default: value }: Schema, isRequired: boolean): string {
  if (isRequired) return '**required**'
  return typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number' ? `\`${value}\`` : ''
}

const reasons = (): string =>
  rows(
    ['reason', 'severity', 'what it means', 'what to do'],
    Object.entries(REASONS).map(([reason, { meaning, advice, severity }]) => [`\`${reason}\``, severity, meaning, advice]),
  )

async function metrics(): Promise<string> {
  const registry = new Registry()
  operatorMetrics(registry)
  queueMetrics(registry, () => [])
  reconcileMetrics(registry, 1)
  clientMetrics(registry)
  leaderMetric(registry, '')
  camerasMetric(registry, () => [])
  const types = new Map((await registry.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]))
  const all = registry.getMetricsAsArray() as unknown as { name: string; help: string; labelNames?: string[] }[]
  return rows(
    ['metric', 'type', 'labels', 'what it tells'],
    all
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, help, labelNames = [] }) => [`\`${name}\``, types.get(name) ?? '', labelNames.join(', '), help]),
  )
}

type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }

function permissions(): string {
  const text = readFileSync(file('../charts/chrysalis-edge/files/operator-role.yaml'), 'utf8')
  const rules = parse(text) as { cluster: Rule[]; namespace: Rule[] }
  const lines = (where: string, of: Rule[]) =>
    of.map(({ apiGroups, resources, resourceNames, verbs }) => [
      where,
      `\`${[apiGroups.join(), resources.join()].filter(part => part !== '').join('/')}\`${resourceNames === undefined ? '' : ` ${resourceNames.join()}`}`,
      verbs.join(', '),
    ])
  return rows(['where', 'resource', 'verbs'], [...lines('cluster', rules.cluster), ...lines('its own namespace', rules.namespace)])
}

const spec = cameraSchema().properties?.['spec']
if (spec === undefined) throw new Error('the CRD has no spec')
const TABLES: Record<string, string> = {
  fields: rows(['field', 'type', 'default', 'what it is'], fieldsOf(spec, 'spec', true)),
  reasons: reasons(),
  metrics: await metrics(),
  permissions: permissions(),
}

const before = readFileSync(FILE, 'utf8')
const after = Object.entries(TABLES).reduce((text, [name, table]) => {
  const place = new RegExp(`(<!-- ${name} -->)[^]*?(<!-- /${name} -->)`)
  if (!place.test(text)) throw new Error(`docs/operator.md has no place for ${name}`)
  return text.replace(place, (_, begin: string, end: string) => `${begin}\n\n${table}\n\n${end}`)
}, before)

if (!process.argv.includes('--check')) writeFileSync(FILE, after)
else if (before !== after) {
  process.stderr.write('docs/operator.md is not up to date: run node docs/generate-operator.ts\n')
  process.exitCode = 1
}
