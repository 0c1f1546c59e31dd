// How the annotation queue is: whether annotations are stored, and what a damaged store has lost of those that were acknowledged. Pure.
import type { Cause } from '../../proto/reasons.ts'

/** A failure counts until annotations are stored again, and no longer than this. */
const FAILED_MS = 60_000
/** A loss is reported for so long. The metric keeps it. */
const LOST_MS = 3_600_000

/** Of the stream: NATS numbers messages without holes, and delivery takes them from the front only. */
export type StreamState = { readonly first_seq: number; readonly last_seq: number; readonly messages: number }

export class QueueHealth {
  #known: StreamState | undefined
  #lostAtEnd = 0
  #lost = 0
  #lostAtMs = -Infinity
  #failure: { message: string; atMs: number } | undefined

  stored(seq: number): void {
    this.#failure = undefined
    if (this.#known !== undefined && seq > this.#known.last_seq) this.#known = { ...this.#known, last_seq: seq }
  }

  failed(message: string, nowMs: number): void {
    this.#failure = { message, atMs: nowMs }
  }

  /** What is stored for certain, now. */
  get known(): StreamState | undefined {
    return this.#known
  }

  /** `known`: from before the question that `state` answers. Returns how many acknowledged annotations were lost in all, as far as can be told. */
  measured(state: StreamState, known: StreamState | undefined, nowMs: number): number {
    if (known !== undefined && state.last_seq < known.last_seq) {
      this.#lostAtEnd += known.last_seq - Math.max(state.last_seq, known.first_seq - 1)
    }
    const { first_seq, messages } = state
    const isLater = this.#known !== known && (this.#known?.last_seq ?? 0) > state.last_seq
    this.#known = { first_seq, messages, last_seq: isLater ? (this.#known?.last_seq ?? 0) : state.last_seq }
    const holes = state.messages === 0 ? 0 : state.last_seq - state.first_seq + 1 - state.messages
    const lost = this.#lostAtEnd + Math.max(0, holes)
    if (lost > this.#lost) this.#lostAtMs = nowMs
    this.#lost = lost
    return lost
  }

  /** Undefined where all is well. */
  problem(nowMs: number): Cause | undefined {
    if (this.#failure !== undefined && nowMs - this.#failure.atMs < FAILED_MS) {
      return { reason: 'AnnotationsUnavailable', message: this.#failure.message }
    }
    if (nowMs - this.#lostAtMs >= LOST_MS) return undefined
    return { reason: 'StoreDamaged', message: `NATS has lost ${this.#lost} acknowledged annotations` }
  }
}
