// Writes docs/metrics.md from the metrics themselves: `node docs/generate-metrics.ts`; `--check` only says whether it is up to date.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Registry } from 'prom-client'
import { createAnnotationMetrics } from '../gateway/annotations/metrics.ts'
import { createMetrics as createGatewayMetrics } from '../gateway/metrics.ts'
import { createMetrics as createSidecarMetrics } from '../sidecar/metrics.ts'

const FILE = fileURLToPath(new URL('metrics.md', import.meta.url))

type Described = { name: string; help: string; type: string; labels: string[] }

async function described(register: (registry: Registry) => void): Promise<Described[]> {
  const registry = new Registry()
  register(registry)
  const types = new Map((await registry.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]))
  const metrics = registry.getMetricsAsArray() as unknown as { name: string; help: string; labelNames?: string[] }[]
  return metrics.map(({ name, help, labelNames = [] }) => ({ name, help, type: types.get(name) ?? '', labels: labelNames }))
}

function table(metrics: Described[]): string {
  const rows = metrics
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.join(', ')} | ${help} |`)
  return ['| metric | type | labels | what it tells |', '|---|---|---|---|', ...rows].join('\n')
}

const text = `# Metrics

Every process serves \`/metrics\` (Prometheus text), \`/livez\` and \`/readyz\` on its probe port, Node's own metrics (memory, CPU, event loop)
among them. This page is generated from the programs.

## Sidecar, one per camera

${table(await described(createSidecarMetrics))}

## Gateway

\`camera\` is \`namespace/name\`.

${table(
  await described(registry => {
    createGatewayMetrics(registry)
    createAnnotationMetrics(registry)
  }),
)}
`

if (!process.argv.includes('--check')) writeFileSync(FILE, text)
else if (readFileSync(FILE, 'utf8') !== text) {
  process.stderr.write('docs/metrics.md is not up to date: run node docs/generate-metrics.ts\n')
  process.exitCode = 1
}
