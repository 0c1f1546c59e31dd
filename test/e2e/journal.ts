// What a run says: a line for each step, and a sentence where one fails.

/** A step that failed; the message says what to look at. */
export class StepFailed extends Error {}

/** Runs one step and says how long it took. What it returns is said too, where it is text. */
export async function step<T>(what: string, act: () => Promise<T>): Promise<T> {
  const begun = performance.now()
  try {
    const result = await act()
    const seconds = ((performance.now() - begun) / 1000).toFixed(1).padStart(6)
    console.log(`${seconds} s  ${what}${typeof result === 'string' ? `: ${result}` : ''}`)
    return result
  } catch (error) {
    if (error instanceof StepFailed) throw error
    throw new StepFailed(`${what}: failed after ${((performance.now() - begun) / 1000).toFixed(1)} s: ${describe(error)}`)
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message} (${describe(error.cause)})`
}
