// Who calls, and what the caller may see and do. Decisions are the API server's; they are kept for a while, so that a call costs a look-up.
import { createHash } from 'node:crypto'
import { messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { CameraRef } from '../../proto/subjects.ts'
import { refText } from '../../proto/subjects.ts'
import { Refusal } from '../refusal.ts'
import { Allowance } from './allowance.ts'
import { AnswerCache } from './cache.ts'
import type { AccessMetrics } from './metrics.ts'
import type { Reviewer, User } from './reviewer.ts'
import { rightText, type Right } from './rights.ts'

/** What is known of a caller. `key` is the same for the same token; undefined where access is open. */
export type Subject = { readonly key: string; readonly name: string; readonly token: string } | undefined

export type Access = {
  /** Who a request is from, by its `authorization` header. Throws a Refusal. `peer` is the address that unknown tokens are counted by. */
  identify(authorization: string | undefined, peer: string): Promise<Subject>
  /** Rejects with a Refusal while it cannot be decided. */
  may(subject: Subject, right: Right, ref: CameraRef): Promise<boolean>
}

/** Everyone who reaches the port may do everything. */
export const OPEN_ACCESS: Access = { identify: () => Promise.resolve(undefined), may: () => Promise.resolve(true) }

/** How long a token's user and a decision hold. Together less than a minute: a revoked token or right has ended within one. */
const TOKEN_FRESH_MS = 20_000
const FRESH_MS = 35_000
const REFUSED_FRESH_MS = 10_000
/** While the API server is unreachable. */
const STALE_MS = 600_000
const TOKENS_MAX = 10_000
const DECISIONS_MAX = 50_000
const TOKEN_LENGTH_MAX = 16_384
/** Tokens that were never seen: what one address, and all together, may have reviewed. */
const UNKNOWN_EACH = { burst: 10, perSecond: 2 }
const UNKNOWN_ALL = { burst: 100, perSecond: 20 }

type Known = { user: User | undefined }
type Decided = { allowed: boolean }

export class KubeAccess implements Access {
  readonly #reviewer: Reviewer
  readonly #metrics: AccessMetrics
  readonly #log: Logger
  readonly #unknown = new Allowance(UNKNOWN_EACH, UNKNOWN_ALL)
  readonly #users: AnswerCache<Known>
  readonly #decisions: AnswerCache<Decided>
  readonly #now: () => number

  /** `now` in ms, monotonic. */
  constructor(reviewer: Reviewer, metrics: AccessMetrics, log: Logger, now = () => performance.now()) {
    this.#reviewer = reviewer
    this.#metrics = metrics
    this.#log = log
    this.#now = now
    this.#users = new AnswerCache({
      ...{ max: TOKENS_MAX, now },
      freshMs: ({ user }) => (user === undefined ? REFUSED_FRESH_MS : TOKEN_FRESH_MS),
      staleMs: ({ user }) => (user === undefined ? REFUSED_FRESH_MS : STALE_MS),
    })
    this.#decisions = new AnswerCache({
      ...{ max: DECISIONS_MAX, now },
      freshMs: ({ allowed }) => (allowed ? FRESH_MS : REFUSED_FRESH_MS),
      staleMs: ({ allowed }) => (allowed ? STALE_MS : REFUSED_FRESH_MS),
    })
  }

  async identify(authorization: string | undefined, peer: string): Promise<NonNullable<Subject>> {
    const token = bearerToken(authorization)
    if (token === undefined) {
      this.#metrics.calls.inc({ outcome: 'no_token' })
      throw new Refusal('unauthenticated', 'a bearer token is required: set the metadata "authorization: Bearer TOKEN"')
    }
    const key = createHash('sha256').update(token).digest('base64')
    const name = await this.#identify(key, token, peer)
    return { key, name, token }
  }

  /** The name of the token's user. */
  async #identify(key: string, token: string, peer: string): Promise<string> {
    const ask = async () => {
      const isKnown = this.#users.last(key)?.user !== undefined
      if (!isKnown && !this.#unknown.take(peer, this.#now())) throw new Refusal('exhausted', 'too many unknown tokens: try again later')
      return { user: await this.#ask('token', () => this.#reviewer.identify(token)) }
    }
    const { user } = await this.#users.get(key, ask)
    this.#metrics.tokens.set(this.#users.size)
    if (user !== undefined) return user.username
    this.#metrics.calls.inc({ outcome: 'bad_token' })
    throw new Refusal('unauthenticated', 'the token is not valid: it is malformed, expired, or for another audience')
  }

  async may(subject: Subject, right: Right, ref: CameraRef): Promise<boolean> {
    if (subject === undefined) return false
    const key = `${subject.key} ${right} ${refText(ref)}`
    const known = this.#decisions.known(key)
    if (known !== undefined) return known.allowed
    // The user's groups may have changed since the call began, and the token may have expired.
    const ask = async () => {
      const { user } = await this.#users.get(subject.key, async () => ({
        user: await this.#ask('token', () => this.#reviewer.identify(subject.token)),
      }))
      const allowed = user !== undefined && (await this.#ask('right', () => this.#reviewer.may(user, right, ref)))
      this.#audit(subject.name, right, ref, allowed)
      return { allowed }
    }
    return (await this.#decisions.get(key, ask)).allowed
  }

  /** A line per first use and per refusal: decisions that are known are not logged again until they have expired. */
  #audit(user: string, right: Right, ref: CameraRef, allowed: boolean): void {
    const outcome = allowed ? 'allowed' : 'denied'
    this.#metrics.calls.inc({ outcome })
    this.#log.info({ event: 'access', user, right: rightText(right), camera: refText(ref), outcome }, 'access decided')
  }

  async #ask<T>(kind: 'token' | 'right', review: () => Promise<T>): Promise<T> {
    const startMs = performance.now()
    try {
      return await review()
    } catch (error) {
      this.#metrics.failures.inc({ kind })
      this.#log.debug({ kind, error: messageOf(error) }, 'a review failed')
      throw new Refusal('unavailable', 'access cannot be decided: the API server is unreachable')
    } finally {
      this.#metrics.seconds.observe({ kind }, (performance.now() - startMs) / 1000)
    }
  }
}

function bearerToken(authorization: string | undefined): string | undefined {
  const token = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
  return token === undefined || token.length > TOKEN_LENGTH_MAX ? undefined : token
}
