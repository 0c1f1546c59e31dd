// The names of controller-runtime and client-go, so that dashboards and alerts made for other operators work here.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const CONTROLLER = 'camera'

export type QueueMetrics = ReturnType<typeof queueMetrics>

export function queueMetrics(registry: Registry, running: () => number[]) {
  const labels = { name: CONTROLLER }
  const common = { registers: [registry], labelNames: ['name'] as const }
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      ...common,
      name,
      help,
      collect() {
        this.set(labels, value())
      },
    })
  gauge('workqueue_unfinished_work_seconds', 'Seconds of work in progress, summed over the keys being worked on.', () =>
    running().reduce((sum, ms) => sum + ms / 1000, 0),
  )
  gauge('workqueue_longest_running_processor_seconds', 'Seconds the longest work in progress has taken so far.', () =>
    running().reduce((longest, ms) => Math.max(longest, ms / 1000), 0),
  )
  return {
    depth: new Gauge({ ...common, name: 'workqueue_depth', help: 'Cameras waiting to be reconciled.' }).labels(labels),
    adds: new Counter({ ...common, name: 'workqueue_adds_total', help: 'Cameras put into the queue.' }).labels(labels),
    retries: new Counter({ ...common, name: 'workqueue_retries_total', help: 'Cameras put back after a failure.' }).labels(labels),
    queueSeconds: new Histogram({
      ...common,
      name: 'workqueue_queue_duration_seconds',
      help: 'Seconds that a key waited in the queue.',
      buckets: SECONDS,
    }).labels(labels),
    workSeconds: new Histogram({
      ...common,
      name: 'workqueue_work_duration_seconds',
      help: 'Seconds of work on one key.',
      buckets: SECONDS,
    }).labels(labels),
  }
}

export function reconcileMetrics(registry: Registry, workers: number) {
  const labels = { controller: CONTROLLER }
  const common = { registers: [registry], labelNames: ['controller'] as const }
  new Gauge({ ...common, name: 'controller_runtime_max_concurrent_reconciles', help: 'Reconciles that may run at once.' })
    .labels(labels)
    .set(workers)
  return {
    total: new Counter({
      registers: [registry],
      name: 'controller_runtime_reconcile_total',
      help: 'Reconciles by result: success, error.',
      labelNames: ['controller', 'result'] as const,
    }),
    errors: new Counter({ ...common, name: 'controller_runtime_reconcile_errors_total', help: 'Reconciles that failed.' }).labels(labels),
    seconds: new Histogram({
      ...common,
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'Seconds a reconcile took.',
      buckets: SECONDS,
    }).labels(labels),
    active: new Gauge({ ...common, name: 'controller_runtime_active_workers', help: 'Reconciles that run now.' }).labels(labels),
    count(result: 'success' | 'error') {
      this.total.inc({ ...labels, result })
      if (result === 'error') this.errors.inc()
    },
  }
}

export function clientMetrics(registry: Registry) {
  return new Counter({
    registers: [registry],
    name: 'rest_client_requests_total',
    help: 'Requests to the API server by status code (<error> if none came back), method and host.',
    labelNames: ['code', 'method', 'host'] as const,
  })
}

export function leaderMetric(registry: Registry, name: string) {
  const gauge = new Gauge({
    registers: [registry],
    name: 'leader_election_master_status',
    help: '1 while this process leads, else 0.',
    labelNames: ['name'] as const,
  }).labels({ name })
  gauge.set(0)
  return gauge
}

export function operatorMetrics(registry: Registry) {
  const registers = [registry]
  return {
    statusWrites: new Counter({ registers, name: 'chrysalis_operator_status_writes_total', help: 'Camera statuses written.' }),
    secretWrites: new Counter({
      registers,
      name: 'chrysalis_operator_secret_writes_total',
      help: 'Secrets with a camera’s NATS user applied.',
    }),
    deploymentWrites: new Counter({ registers, name: 'chrysalis_operator_deployment_writes_total', help: 'Deployments applied.' }),
    podsDeleted: new Counter({
      registers,
      name: 'chrysalis_operator_failed_pods_deleted_total',
      help: 'Failed pods of Cameras that were deleted.',
    }),
    eventsDropped: new Counter({
      registers,
      name: 'chrysalis_operator_events_dropped_total',
      help: 'Events that were not written: too many at once, or the API server refused.',
    }),
    recordsWritten: new Counter({ registers, name: 'chrysalis_operator_records_written_total', help: 'Camera records written to NATS.' }),
    badMessages: new Counter({
      registers,
      name: 'chrysalis_operator_bad_messages_total',
      help: 'Malformed messages from NATS that were dropped, by reason.',
      labelNames: ['reason'] as const,
    }),
    leftovers: new Counter({
      registers,
      name: 'chrysalis_operator_leftovers_removed_total',
      help: 'Packet streams and keys of deleted Cameras that were removed from NATS later.',
    }),
    relists: new Counter({
      registers,
      name: 'chrysalis_operator_relists_total',
      help: 'Full lists of a resource from the API server.',
      labelNames: ['resource'] as const,
    }),
    watchRestarts: new Counter({
      registers,
      name: 'chrysalis_operator_watch_restarts_total',
      help: 'Watches that were restarted, by reason: closed, gone, failed.',
      labelNames: ['resource', 'reason'] as const,
    }),
    lastEvent: new Gauge({
      registers,
      name: 'chrysalis_operator_watch_last_event_timestamp_seconds',
      help: 'When the last event or bookmark of a resource came, seconds since the epoch.',
      labelNames: ['resource'] as const,
    }),
  }
}

/** Counted when it is asked for. */
export function camerasMetric(registry: Registry, reasons: () => Iterable<string>): void {
  const gauge = new Gauge({
    registers: [],
    name: 'chrysalis_operator_cameras',
    help: 'Cameras by the reason of their Ready condition.',
    labelNames: ['reason'],
    collect() {
      this.reset()
      for (const reason of reasons()) this.inc({ reason })
    },
  })
  registry.registerMetric(gauge)
}

export type OperatorMetrics = ReturnType<typeof operatorMetrics>
