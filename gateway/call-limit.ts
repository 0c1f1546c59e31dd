// How many calls are served at once, over all transports and of one caller.
import { Refusal } from './refusal.ts'
import { Shares, type Room } from './shares.ts'

/** What a caller has at least. */
const LEAST = 8

export class CallLimit {
  readonly #shares: Shares

  constructor(max: number) {
    this.#shares = new Shares(max, LEAST)
  }

  /** Takes the place of one call, until it is disposed of; undefined where there is none for anyone. Throws a Refusal where the caller has its share. */
  tryEnter(keys: readonly string[]): Room | undefined {
    const room = this.#shares.enter(keys)
    if (room === 'full') return undefined
    if (room === 'share') throw new Refusal('exhausted', 'too many calls of one caller: others need the rest; end some of yours first')
    return room
  }

  /** Throws a Refusal where there is no place. */
  enter(keys: readonly string[]): Room {
    const room = this.tryEnter(keys)
    if (room === undefined) throw this.full()
    return room
  }

  full(): Refusal {
    return new Refusal('exhausted', `too many calls, at most ${this.#shares.max} are served at once`)
  }
}
