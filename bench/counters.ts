// Prometheus' text format, read: what a process counted in a stretch of time.
import { sum } from './statistics.ts'

export type Counters = ReadonlyMap<string, number>

/** Every series, as `name{labels}`. */
export function parseMetrics(text: string): Counters {
  const series = new Map<string, number>()
  for (const line of text.split('\n')) {
    const at = line.lastIndexOf(' ')
    if (at > 0 && !line.startsWith('#')) series.set(line.slice(0, at), Number(line.slice(at + 1)))
  }
  return series
}

/** What was counted between the two. */
export function between(before: Counters, after: Counters): Counters {
  return new Map([...after].map(([series, value]) => [series, value - (before.get(series) ?? 0)]))
}

const nameOf = (series: string): string => series.split('{')[0] ?? series

export const total = (counters: Counters, name: string): number =>
  sum([...counters].filter(([series]) => nameOf(series) === name).map(([, value]) => value))

/** The counter's series that rose, by the value of one label. */
export function byLabel(counters: Counters, name: string, label: string): Record<string, number> {
  const found: Record<string, number> = {}
  for (const [series, value] of counters) {
    const named = new RegExp(`[{,]${label}="([^"]*)"`).exec(series)?.[1]
    if (nameOf(series) === name && named !== undefined && value > 0) found[named] = (found[named] ?? 0) + value
  }
  return found
}

/** A histogram of seconds: its mean, in ms; NaN when nothing was observed. */
export const meanMs = (counters: Counters, name: string): number =>
  (1000 * total(counters, `${name}_sum`)) / total(counters, `${name}_count`)
