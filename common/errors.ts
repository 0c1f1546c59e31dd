import { REASONS, type Reason } from '../proto/reasons.ts'

/** Why something failed: a reason that conditions and metrics carry, and what happened, which the reason says unless a sentence says more. No
 * credentials, no advice. */
export class Failure extends Error {
  readonly reason: Reason
  constructor(reason: Reason, message: string = REASONS[reason].meaning, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** With what our processes exit that refuse their configuration: the same at the next start. As in sysexits.h. */
export const EXIT_CONFIG = 78

/** Every problem of a configuration at once; the process exits with EXIT_CONFIG and a line for each. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(`bad configuration: ${problems.join('; ')}`)
    this.problems = problems
  }
}

/** The message of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The promise's value; undefined where it was rejected with an error that `isExpected`. */
export async function unless<T>(isExpected: (error: unknown) => boolean, promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (isExpected(error)) return undefined
    throw error
  }
}
