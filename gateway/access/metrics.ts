import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { LATENCY_BUCKETS } from '../../common/metrics.ts'

export type AccessMetrics = ReturnType<typeof createAccessMetrics>

export function createAccessMetrics(registry: Registry) {
  const registers = [registry]
  return {
    calls: new Counter({
      name: 'chrysalis_access_decisions_total',
      help: 'Access decisions that were not cached, and requests without a valid token, by outcome',
      labelNames: ['outcome'] as const,
      registers,
    }),
    failures: new Counter({
      name: 'chrysalis_access_review_failures_total',
      help: 'Reviews that the API server did not answer, by kind: token or right',
      labelNames: ['kind'] as const,
      registers,
    }),
    seconds: new Histogram({
      name: 'chrysalis_access_review_seconds',
      help: 'Time of one review by the API server, in seconds, by kind: token or right',
      labelNames: ['kind'] as const,
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    tokens: new Gauge({ name: 'chrysalis_access_tokens', help: 'Tokens whose user is cached', registers }),
  }
}
