// How many reads of the past that decode are served at once, in all and of one caller.
import type { Metrics } from '../metrics.ts'
import { decoderWeight } from '../frames/placement.ts'
import { decoderBytes, type MemoryBudget } from '../memory-budget.ts'
import { Refusal } from '../refusal.ts'
import { Shares, type Room } from '../shares.ts'

/** A reader that has taken nothing for so long is cut off when another needs its room. */
const STALLED_MS = 10_000

/** Who reads. */
export type Reader = {
  /** By what it is known (shares.ts). */
  readonly keys: readonly string[]
  /** Ends what it is being sent. */
  readonly cutOff: () => void
}

/** A read of the past, until it is disposed of. */
export type PastRead = Disposable & {
  /** The reader has taken something. */
  took(): void
}

type Running = Reader & { readonly room: Room; readonly memory: Disposable; tookMs: number }

export class PastReads {
  /** In reads of 1080p: each is a decoder. */
  readonly #shares: Shares
  readonly #metrics: Metrics
  readonly #memory: MemoryBudget
  readonly #running = new Set<Running>()

  constructor(max: number, memory: MemoryBudget, metrics: Metrics) {
    this.#memory = memory
    this.#shares = new Shares(max, 2)
    this.#metrics = metrics
  }

  /** Takes the room of one read. Throws a Refusal where there is none. */
  enter(codec: { width: number; height: number } | undefined, reader: Reader): PastRead {
    const bytes = decoderBytes(codec)
    if (!this.#memory.hasRoom(bytes) && !this.#cutOffStalled()) {
      throw new Refusal('exhausted', 'the gateway has no memory left for another buffered read: try again when fewer cameras are watched')
    }
    const room = this.#room(decoderWeight(codec), reader.keys)
    const running: Running = { ...reader, room, memory: this.#memory.reads.enter(bytes), tookMs: performance.now() }
    this.#running.add(running)
    this.#metrics.bufferedReads.inc()
    return {
      took: () => (running.tookMs = performance.now()),
      [Symbol.dispose]: () => this.#end(running),
    }
  }

  /** A picture larger than all room is read alone. */
  #room(weight: number, keys: readonly string[]): Room {
    const size = Math.min(weight, this.#shares.max)
    for (;;) {
      const room = this.#shares.enter(keys, size)
      if (typeof room === 'object') return room
      if (room === 'share')
        throw new Refusal('exhausted', 'too many buffered reads of one caller: others need the rest; end some of yours first')
      if (!this.#cutOffStalled()) throw this.#full()
    }
  }

  /** True: there is more room now. */
  #cutOffStalled(): boolean {
    const nowMs = performance.now()
    const stalled = [...this.#running].filter(({ tookMs }) => nowMs - tookMs > STALLED_MS).sort((a, b) => a.tookMs - b.tookMs)[0]
    if (stalled === undefined) return false
    this.#end(stalled)
    stalled.cutOff()
    return true
  }

  #end(running: Running): void {
    if (!this.#running.delete(running)) return
    running.room[Symbol.dispose]()
    running.memory[Symbol.dispose]()
    this.#metrics.bufferedReads.dec()
  }

  #full(): Refusal {
    return new Refusal(
      'exhausted',
      `too many buffered reads, at most ${this.#shares.max} are served at once, fewer of larger frames: try again when one has ended`,
    )
  }
}
