// What the client of a Watch has said so far: room for frames, and its newest wish.
import type { WatchRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/WatchRequest.ts'
import { renditionKey } from '../../../proto/rendition.ts'
import { Refusal } from '../../refusal.ts'
import { checkedWish, type CheckedWish } from './wish.ts'

const CREDIT_MAX = 1_024
/** Wishes that come faster are applied no more often: the newest of them counts. */
const WISH_SPACING_MS = 100
/** A rendition stays in use for so long after its last request; one call uses no more of them than so many. */
const RENDITION_MS = 10_000
const RENDITIONS_MAX = 4

export type NumberedWish = CheckedWish & { readonly number: number }

export class WatchRequests {
  readonly #onRequest: () => void
  #credit = 0
  #hadCredit = false
  #wishes = 0
  #newest: NumberedWish | undefined
  #appliedMs = -Infinity
  /** When each rendition of this call was applied last. */
  readonly #renditions = new Map<string, number>()
  #isHalfClosed = false
  #fault: unknown

  constructor(onRequest: () => void) {
    this.#onRequest = onRequest
  }

  /** Frames that the client has room for. */
  get credit(): number {
    return this.#credit
  }

  get hadCredit(): boolean {
    return this.#hadCredit
  }

  get isHalfClosed(): boolean {
    return this.#isHalfClosed
  }

  /** Reads until the client half-closes. Never rejects: `throwFault` throws what was wrong. */
  async read(requests: AsyncIterable<WatchRequest__Output>): Promise<void> {
    try {
      for await (const request of requests) {
        this.#take(request)
        this.#onRequest()
      }
      this.#isHalfClosed = true
    } catch (error) {
      this.#fault = error
    }
    this.#onRequest()
  }

  throwFault(): void {
    if (this.#fault !== undefined) throw this.#fault
  }

  use(): void {
    this.#credit--
  }

  /** The newest wish, unless it has been given or it is too early for it. */
  wish(nowMs: number): NumberedWish | undefined {
    const wish = this.#newest
    if (wish === undefined || nowMs < this.wishDueMs(nowMs)) return undefined
    this.#newest = undefined
    this.#appliedMs = nowMs
    this.#renditions.set(renditionKey(wish.rendition), nowMs)
    return wish
  }

  /** When the newest wish may be applied; Infinity where there is none. */
  wishDueMs(nowMs: number): number {
    if (this.#newest === undefined) return Infinity
    for (const [key, usedMs] of this.#renditions) if (nowMs - usedMs > RENDITION_MS) this.#renditions.delete(key)
    const isInUse = this.#renditions.has(renditionKey(this.#newest.rendition))
    const isFull = !isInUse && this.#renditions.size >= RENDITIONS_MAX
    const freeMs = isFull ? Math.min(...this.#renditions.values()) + RENDITION_MS : -Infinity
    return Math.max(this.#appliedMs + WISH_SPACING_MS, freeMs)
  }

  #take({ wish, credit }: WatchRequest__Output): void {
    if (wish !== null) this.#newest = { ...checkedWish(wish), number: ++this.#wishes }
    else if (this.#wishes === 0) throw new Refusal('invalid', 'wish is required in the first request')
    const outstanding = this.#credit + credit
    if (outstanding > CREDIT_MAX) {
      throw new Refusal('invalid', `credit must leave at most ${CREDIT_MAX} frames outstanding, this makes ${outstanding}`)
    }
    this.#credit = outstanding
    this.#hadCredit ||= credit > 0
  }
}
