// A rate with a burst, for each key and over all keys: so many at once, then so many a second.

const KEYS_MAX = 10_000

type Bucket = { tokens: number; atMs: number }
export type Rate = { burst: number; perSecond: number }

export class Allowance {
  readonly #each: Rate
  readonly #all: Rate
  readonly #total: Bucket
  readonly #buckets = new Map<string, Bucket>()

  constructor(each: Rate, all: Rate) {
    this.#each = each
    this.#all = all
    this.#total = { tokens: all.burst, atMs: 0 }
  }

  /** Whether `key` may go ahead now, with `amount` of what it has. */
  take(key: string, nowMs: number, amount = 1): boolean {
    const bucket = this.#buckets.get(key) ?? { tokens: this.#each.burst, atMs: nowMs }
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > KEYS_MAX && oldest !== undefined) this.#buckets.delete(oldest)
    refill(bucket, this.#each, nowMs)
    refill(this.#total, this.#all, nowMs)
    if (bucket.tokens < amount || this.#total.tokens < amount) return false
    bucket.tokens -= amount
    this.#total.tokens -= amount
    return true
  }
}

function refill(bucket: Bucket, { burst, perSecond }: Rate, nowMs: number): void {
  bucket.tokens = Math.min(burst, bucket.tokens + (Math.max(0, nowMs - bucket.atMs) / 1000) * perSecond)
  bucket.atMs = nowMs
}
