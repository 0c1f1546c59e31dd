/** The value below which `share` (0…1) of the values lie; NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
}

export const median = (values: readonly number[]): number => percentile(values, 0.5)

export const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0)

/** Least squares: by how much y rises while x rises by 1. */
export function slope(points: readonly { x: number; y: number }[]): number {
  const meanX = sum(points.map(p => p.x)) / points.length
  const meanY = sum(points.map(p => p.y)) / points.length
  const covariance = sum(points.map(p => (p.x - meanX) * (p.y - meanY)))
  return covariance / sum(points.map(p => (p.x - meanX) ** 2))
}
