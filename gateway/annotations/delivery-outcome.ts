// What becomes of a batch of annotations, as values.
import type { Outcome } from './cloud.ts'

/** `refused`: it is about what was sent. `later`: it is not, so the same is sent again. */
export type Verdict = 'accepted' | 'refused' | 'later'

/** The 4xx that say something of the endpoint, our credentials or the moment, not of the annotations: a mistyped URL must cost none. */
const NOT_ABOUT_THE_BODY = new Set([401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 426, 429, 431, 451])

export function verdictOn(outcome: Outcome): Verdict {
  if (outcome.kind === 'failed') return 'later'
  const { status } = outcome
  if (status >= 200 && status < 300) return 'accepted'
  return status >= 400 && status < 500 && !NOT_ABOUT_THE_BODY.has(status) ? 'refused' : 'later'
}

const MIN_MS = 1_000
const MAX_MS = 300_000

/** Milliseconds before try `attempt` (0: after the first failure): anything up to 1 s, 2 s, 4 s … 5 min, but not before the server wants it. */
export function pauseMs(attempt: number, outcome: Outcome, random: () => number = Math.random): number {
  const ceiling = Math.min(MAX_MS, MIN_MS * 2 ** Math.min(attempt, 30))
  const asked = outcome.kind === 'answered' ? (outcome.retryAfterMs ?? 0) : 0
  return Math.max(asked, ceiling * random())
}
