// Frames on their way to clients: there is room for so many bytes of them, and clients that do not read must leave some to the others.

import type { MemoryBudget } from '../memory-budget.ts'

/** A client that has not taken a frame for so long is cut off where there is no room. */
const STALLED_MS = 10_000

/** A client, whatever its transport. */
export type Receiver = {
  /** The same for all that one connection carries. */
  readonly peer: string
  /** Ends at once what it is being sent. */
  readonly cutOff: () => void
}

type Sending = Receiver & { readonly size: number; readonly sinceMs: number }

export class Unsent {
  readonly #max: number
  readonly #memory: MemoryBudget
  readonly #onChange: (bytes: number) => void
  /** The oldest first. */
  readonly #sending = new Set<Sending>()
  #bytes = 0

  constructor(max: number, memory: MemoryBudget, onChange: (bytes: number) => void) {
    this.#max = max
    this.#memory = memory
    this.#onChange = onChange
  }

  /** Room for `size` bytes until it is disposed of. A connection has at most as much as it leaves; undefined where that is not enough. */
  take({ peer, cutOff }: Receiver, size: number, nowMs: number): Disposable | undefined {
    const free = Math.min(this.#max, this.#memory.unsentMax) - this.#bytes
    if (this.#heldBy(peer) + size > free) {
      if (size > free) this.#cutOffStalled(nowMs)
      return undefined
    }
    const sending = { peer, size, sinceMs: nowMs, cutOff }
    this.#sending.add(sending)
    this.#count(size)
    return {
      [Symbol.dispose]: () => {
        this.#sending.delete(sending)
        this.#count(-size)
      },
    }
  }

  #heldBy(peer: string): number {
    let bytes = 0
    for (const sending of this.#sending) if (sending.peer === peer) bytes += sending.size
    return bytes
  }

  #cutOffStalled(nowMs: number): void {
    const [oldest] = this.#sending
    if (oldest !== undefined && nowMs - oldest.sinceMs > STALLED_MS) oldest.cutOff()
  }

  #count(bytes: number): void {
    this.#bytes += bytes
    this.#memory.unsent = this.#bytes
    this.#onChange(this.#bytes)
  }
}
