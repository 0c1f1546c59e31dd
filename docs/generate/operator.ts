// The tables of the pages for cluster operators: the Camera's fields, its reasons, the operator's metrics and rights.
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { cameraSchema } from '../../deploy/local/manifests.ts'
import type { Schema } from '../../deploy/local/schema.ts'
import { camerasMetric, clientMetrics, leaderMetric, operatorMetrics, queueMetrics, reconcileMetrics } from '../../operator/metrics.ts'
import { CONDITIONS } from '../../proto/health.ts'
import { REASONS } from '../../proto/reasons.ts'
import { described, metricTable } from './metrics.ts'
import { filled, fromDocs, table, type Page } from './page.ts'

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

const conditions = (): string =>
  table(
    ['condition', 'true when'],
    Object.entries(CONDITIONS).map(([type, { meaning }]) => [`\`${type}\``, meaning]),
  )

const reasons = (): string =>
  table(
    ['reason', 'severity', 'meaning', 'what to do'],
    Object.entries(REASONS).map(([reason, { meaning, advice, severity }]) => [`\`${reason}\``, severity, meaning, advice]),
  )

async function metrics(): Promise<string> {
  const all = await described(registry => {
    operatorMetrics(registry)
    queueMetrics(registry, () => [])
    reconcileMetrics(registry, 1)
    clientMetrics(registry)
    leaderMetric(registry, '')
    camerasMetric(registry, () => [])
  })
  return metricTable(all)
}

type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }

function permissions(): string {
  const text = readFileSync(fromDocs('../charts/chrysalis-edge/files/operator-role.yaml'), 'utf8')
  const rules = parse(text) as { cluster: Rule[]; namespace: Rule[] }
  const lines = (where: string, of: Rule[]) =>
    of.map(({ apiGroups, resources, resourceNames, verbs }) => [
      where,
      `\`${[apiGroups.join(), resources.join()].filter(part => part !== '').join('/')}\`${resourceNames === undefined ? '' : ` ${resourceNames.join()}`}`,
      verbs.join(', '),
    ])
  return table(['where', 'resource', 'verbs'], [...lines('cluster', rules.cluster), ...lines('its own namespace', rules.namespace)])
}

export function cameraPage(): Promise<Page> {
  const spec = cameraSchema().properties?.['spec']
  if (spec === undefined) throw new Error('the CRD has no spec')
  const fields = table(['field', 'type', 'default', 'meaning'], fieldsOf(spec, 'spec', true))
  return filled('camera-resource.md', { fields, conditions: conditions() })
}

export const troubleshootingPage = (): Promise<Page> => filled('troubleshooting.md', { reasons: reasons() })

export const operatorPage = async (): Promise<Page> => filled('operator.md', { metrics: await metrics(), permissions: permissions() })
