import { whenAborted } from './abort.ts'

/** Wakes those who wait. Look first whether there is something to wait for, and wait in the same turn of the event loop. */
export class Wakeup {
  #next: PromiseWithResolvers<void> | undefined

  /** Resolves at the next `wake`. */
  get next(): Promise<void> {
    this.#next ??= Promise.withResolvers()
    return this.#next.promise
  }

  wake(): void {
    this.#next?.resolve()
    this.#next = undefined
  }
}

type Entry<T> = { item: T; bytes: number }

/** First in, first out, for one reader. Bounded in bytes and in items: what does not fit is refused. */
export class ByteQueue<T> {
  readonly #bytesMax: number
  readonly #itemsMax: number
  readonly #wakeup = new Wakeup()
  #entries: Entry<T>[] = []
  #bytes = 0

  constructor({ bytesMax, itemsMax }: { bytesMax: number; itemsMax: number }) {
    this.#bytesMax = bytesMax
    this.#itemsMax = itemsMax
  }

  get bytes(): number {
    return this.#bytes
  }

  get newest(): T | undefined {
    return this.#entries.at(-1)?.item
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bytesMax && this.#entries.length < this.#itemsMax
  }

  /** False: the queue is full, and the item is not in it. */
  push(item: T, bytes: number): boolean {
    if (!this.hasRoom(bytes)) return false
    this.#entries.push({ item, bytes })
    this.#bytes += bytes
    this.#wakeup.wake()
    return true
  }

  shift(): T | undefined {
    const entry = this.#entries.shift()
    if (entry === undefined) return undefined
    this.#bytes -= entry.bytes
    return entry.item
  }

  /** Returns how many items it throws away. */
  clear(): number {
    const count = this.#entries.length
    this.#entries = []
    this.#bytes = 0
    return count
  }

  /** Resolves when there is an item to take, or `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    using _ = whenAborted(signal, () => this.#wakeup.wake())
    while (this.#entries.length === 0 && !signal.aborted) await this.#wakeup.next
  }
}
