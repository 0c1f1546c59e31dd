/**
 * Milliseconds to wait after failure `attempt` (0: the first): doubling from `minMs` up to `maxMs`, of which the upper
 * half is random, so that many that failed together do not come back together.
 */
export function backoffMs(attempt: number, { minMs, maxMs }: { minMs: number; maxMs: number }, random: () => number = Math.random): number {
  const full = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30))
  return full * (0.5 + random() / 2)
}

/** How often what keeps failing is tried again: quickly at first, in case it was a moment's fault, then once a minute. */
const TIERS = [
  { attempts: 5, delayMs: 1_000 },
  { attempts: 5, delayMs: 5_000 },
  { attempts: 10, delayMs: 10_000 },
] as const
const LAST_TIER_MS = 60_000
const JITTER = 0.2

/** Milliseconds before try `attempt` (0: the first after a failure): 1 s ×5, 5 s ×5, 10 s ×10, then 60 s, each ±20 %. */
export function retryDelayMs(attempt: number, random: () => number = Math.random): number {
  let first = 0
  const tier = TIERS.find(({ attempts }) => attempt < (first += attempts))
  return Math.round((tier?.delayMs ?? LAST_TIER_MS) * (1 - JITTER + 2 * JITTER * random()))
}
