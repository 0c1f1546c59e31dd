import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** Why a valid annotation is not acknowledged. */
const UNSTORED = ['full', 'nats', 'timeout', 'cancelled', 'size'] as const
export type Unstored = (typeof UNSTORED)[number]

export type AnnotationMetrics = ReturnType<typeof createAnnotationMetrics>

/** Of annotations on their way, and of what the cloud is asked. */
export function createAnnotationMetrics(registry: Registry) {
  const registers = [registry]
  const unstored = new Counter({
    name: 'chrysalis_annotations_unstored_total',
    help: 'Valid annotations that were not acknowledged, by why',
    labelNames: ['reason'] as const,
    registers,
  })
  // What is there from the begin has an increase at the first one, which the alert asks for.
  for (const reason of UNSTORED) unstored.inc({ reason }, 0)
  return {
    accepted: new Counter({ name: 'chrysalis_annotations_accepted_total', help: 'Annotations stored and acknowledged', registers }),
    repeated: new Counter({
      name: 'chrysalis_annotations_repeated_total',
      help: 'Annotations acknowledged that were stored before, by their idempotency key',
      registers,
    }),
    unstored,
    delivered: new Counter({ name: 'chrysalis_annotations_delivered_total', help: 'Annotations that the cloud accepted', registers }),
    retried: new Counter({
      name: 'chrysalis_annotations_retried_total',
      help: 'Annotations sent again, because the cloud did not decide',
      registers,
    }),
    dead: new Counter({
      name: 'chrysalis_annotations_dead_total',
      help: 'Annotations put among the dead letters, by why: the status with which the cloud refused them, or malformed',
      labelNames: ['reason'] as const,
      registers,
    }),
    queued: new Gauge({ name: 'chrysalis_annotations_queued', help: 'Annotations stored and not yet delivered', registers }),
    oldest: new Gauge({ name: 'chrysalis_annotations_oldest_seconds', help: 'Age of the oldest of them', registers }),
    deadLetters: new Gauge({ name: 'chrysalis_annotations_dead_letters', help: 'Dead letters held', registers }),
    delivering: new Gauge({ name: 'chrysalis_annotations_delivering', help: 'Annotations in this gateway’s batch in flight', registers }),
    batch: new Histogram({
      name: 'chrysalis_annotations_batch_seconds',
      help: 'From the begin of a batch until all of it was decided, waiting and retries included',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600],
      registers,
    }),
    cloudCalls: new Counter({
      name: 'chrysalis_cloud_calls_total',
      help: 'HTTP calls of the cloud, by what for and by status, or by why there was no answer',
      labelNames: ['purpose', 'outcome'] as const,
      registers,
    }),
  }
}
