import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** Why a valid annotation is not acknowledged. */
const UNSTORED = ['full', 'share', 'nats', 'timeout', 'cancelled', 'size'] as const
export type Unstored = (typeof UNSTORED)[number]

export type AnnotationMetrics = ReturnType<typeof createAnnotationMetrics>

/** Of annotations on their way, and of what the cloud is asked. */
export function createAnnotationMetrics(registry: Registry) {
  const registers = [registry]
  const unstored = new Counter({
    name: 'chrysalis_annotations_unstored_total',
    help: 'Valid annotations that were not acknowledged, by reason',
    labelNames: ['reason'] as const,
    registers,
  })
  // A series that exists from the start shows an increase at its first one, which the alert needs.
  for (const reason of UNSTORED) unstored.inc({ reason }, 0)
  return {
    accepted: new Counter({ name: 'chrysalis_annotations_accepted_total', help: 'Annotations stored and acknowledged', registers }),
    repeated: new Counter({
      name: 'chrysalis_annotations_repeated_total',
      help: 'Annotations acknowledged that were stored before under the same idempotency key',
      registers,
    }),
    unstored,
    delivered: new Counter({ name: 'chrysalis_annotations_delivered_total', help: 'Annotations that the cloud accepted', registers }),
    retried: new Counter({
      name: 'chrysalis_annotations_retried_total',
      help: 'Annotations sent again because the cloud gave no decision',
      registers,
    }),
    dead: new Counter({
      name: 'chrysalis_annotations_dead_total',
      help: 'Annotations that became dead letters, by reason: the status of the cloud’s refusal, or malformed',
      labelNames: ['reason'] as const,
      registers,
    }),
    queued: new Gauge({ name: 'chrysalis_annotations_queued', help: 'Annotations that are stored and not yet delivered', registers }),
    lost: new Gauge({
      name: 'chrysalis_annotations_lost',
      help: 'Acknowledged annotations that a damaged store of NATS has lost, as far as this gateway can tell',
      registers,
    }),
    oldest: new Gauge({
      name: 'chrysalis_annotations_oldest_seconds',
      help: 'Age of the oldest undelivered annotation, in seconds',
      registers,
    }),
    deadLetters: new Gauge({ name: 'chrysalis_annotations_dead_letters', help: 'Dead letters that are kept', registers }),
    delivering: new Gauge({ name: 'chrysalis_annotations_delivering', help: 'Annotations in this gateway’s batch in flight', registers }),
    batch: new Histogram({
      name: 'chrysalis_annotations_batch_seconds',
      help: 'Time to settle a batch, including waiting and retries, in seconds',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600],
      registers,
    }),
    withheld: new Counter({
      name: 'chrysalis_annotations_withheld_total',
      help: 'Recent annotations that were not sent to a client of HTTP because it reads too slowly',
      registers,
    }),
    recent: new Gauge({ name: 'chrysalis_annotations_recent', help: 'Recent annotations that are kept for those who look', registers }),
    cloudCalls: new Counter({
      name: 'chrysalis_cloud_calls_total',
      help: 'HTTP calls to the cloud, by purpose and by status or failure',
      labelNames: ['purpose', 'outcome'] as const,
      registers,
    }),
  }
}
