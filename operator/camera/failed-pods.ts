// Pods that nodes refuse or evict stay behind as Failed, and their ReplicaSet makes new ones without a pause. They are
// deleted, and a camera whose pods keep failing is held at none for a while, which grows with each round. Pure.
import { backoffMs } from '../../common/backoff.ts'
import { isOver, sentenceOfFailure } from './pods.ts'
import type { Pod } from '../kube/kinds.ts'

const BACKOFF = { minMs: 2_000, maxMs: 300_000 }
/** So many at once are no accident: the node refuses whatever comes. */
const HOLD_FROM = 2
/** A camera that went so long without a failure has made its peace with its node. */
const FORGIVE_MS = 600_000

/** What is remembered of a camera. Times are ms of one monotonic clock. */
export type Rejections = {
  rounds: number
  /** No pod until then. */
  heldUntil: number
  lastAt: number
  message: string
  /** The uids of failed pods that have been counted. */
  seen: readonly string[]
}

export type Verdict = { rejections: Rejections | undefined; remove: Pod[]; held: string | undefined; againInMs: number | undefined }

/** `pods` are the camera's own, `now` ms of a monotonic clock. */
export function hold(pods: readonly Pod[], before: Rejections | undefined, now: number, random?: () => number): Verdict {
  const failed = pods.filter(pod => isOver(pod) && pod.metadata.deletionTimestamp === undefined)
  const past = before !== undefined && now - before.lastAt > FORGIVE_MS ? undefined : before
  const fresh = failed.filter(({ metadata }) => !past?.seen.includes(metadata.uid))
  const newest = fresh.at(-1)
  const seen = failed.map(({ metadata }) => metadata.uid)
  const rejections = newest === undefined ? past && { ...past, seen } : nextRound(fresh.length, newest, seen, past, now, random)
  const isHeld = rejections !== undefined && rejections.heldUntil > now
  return {
    rejections,
    remove: failed,
    held: isHeld ? rejections.message : undefined,
    againInMs: isHeld ? rejections.heldUntil - now : undefined,
  }
}

function nextRound(
  count: number,
  newest: Pod,
  seen: readonly string[],
  past: Rejections | undefined,
  now: number,
  random?: () => number,
): Rejections {
  const message = sentenceOfFailure(newest)
  // What fails while the camera is held was made before it was.
  if (past !== undefined && past.heldUntil > now) return { ...past, lastAt: now, message, seen }
  const rounds = (past?.rounds ?? 0) + 1
  const isRepeated = count >= HOLD_FROM || rounds >= HOLD_FROM
  return { rounds, heldUntil: isRepeated ? now + backoffMs(rounds - 1, BACKOFF, random) : 0, lastAt: now, message, seen }
}
