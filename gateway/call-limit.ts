import { Refusal } from './refusal.ts'

/** How many calls are served at once, over all transports. */
export class CallLimit {
  readonly #max: number
  #running = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Takes the place of one call, until it is disposed of. Throws a Refusal where there is none. */
  enter(): Disposable {
    if (this.#running >= this.#max) throw new Refusal('exhausted', `too many calls, at most ${this.#max} are served at once`)
    this.#running++
    let isOver = false
    return {
      [Symbol.dispose]: () => {
        if (!isOver) this.#running--
        isOver = true
      },
    }
  }
}
