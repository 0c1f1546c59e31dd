import { collectDefaultMetrics, Registry } from 'prom-client'

/** A process's registry, with Node's own metrics (memory, CPU, event loop) in it. */
export function createRegistry(): Registry {
  const registry = new Registry()
  // Finer measurement would wake an idle process a hundred times a second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 1_000 })
  return registry
}

/** Upper bounds in seconds for what should take milliseconds. */
export const LATENCY_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5]
