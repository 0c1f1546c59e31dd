/** The distances between times that follow each other once they are in order, in their own unit; times that are the same have none. */
export function stepsBetween(times: readonly number[]): number[] {
  const inOrder = times.toSorted((a, b) => a - b)
  return inOrder.map((time, i) => time - (inOrder[i - 1] ?? time)).filter(step => step > 0)
}
