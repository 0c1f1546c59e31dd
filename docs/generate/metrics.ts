// docs/metrics.md, from the metrics themselves.
import { Registry } from 'prom-client'
import { createAnnotationMetrics } from '../../gateway/annotations/metrics.ts'
import { createAccessMetrics } from '../../gateway/access/metrics.ts'
import { createConfinementMetric } from '../../common/media/confine.ts'
import { createMetrics as createGatewayMetrics } from '../../gateway/metrics.ts'
import { createMetrics as createSidecarMetrics } from '../../sidecar/metrics.ts'
import { table, type Page } from './page.ts'

export type Described = { name: string; help: string; type: string; labels: string[] }

export async function described(register: (registry: Registry) => void): Promise<Described[]> {
  const registry = new Registry()
  register(registry)
  const types = new Map((await registry.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]))
  const metrics = registry.getMetricsAsArray() as unknown as { name: string; help: string; labelNames?: string[] }[]
  return metrics.map(({ name, help, labelNames = [] }) => ({ name, help, type: types.get(name) ?? '', labels: labelNames }))
}

export const metricTable = (metrics: Described[]): string =>
  table(
    ['metric', 'type', 'labels', 'meaning'],
    metrics
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, type, labels, help }) => [`\`${name}\``, type, labels.join(', '), help]),
  )

export const metricsPage = async (): Promise<Page> => ({
  name: 'metrics.md',
  text: `# Metrics

Every process serves \`/metrics\` (Prometheus text), \`/livez\` and \`/readyz\` on its probe port.
Node's own metrics (memory, CPU, event loop) are among them.
The operator's metrics are in [operator](operator.md#metrics).
This page is generated from the programs.

## Sidecar, one per camera

${metricTable(
  await described(registry => {
    createSidecarMetrics(registry)
    createConfinementMetric(registry)
  }),
)}

## Gateway

\`camera\` is \`namespace/name\`.

${metricTable(
  await described(registry => {
    createGatewayMetrics(registry)
    createAnnotationMetrics(registry)
    createAccessMetrics(registry)
    createConfinementMetric(registry)
  }),
)}
`,
})
