// How many requests run at once: in all, and from one address. Streams count for as long as they last.
import { Refusal } from '../refusal.ts'

const REQUESTS_MAX = 512
const REQUESTS_EACH_MAX = 64

export class RequestLimit {
  readonly #running = new Map<string, number>()
  #requests = 0

  /** Takes the place of one request, until it is disposed of. Throws a Refusal where there is none. */
  enter(address: string): Disposable {
    const own = this.#running.get(address) ?? 0
    if (this.#requests >= REQUESTS_MAX) throw new Refusal('exhausted', `too many requests, at most ${REQUESTS_MAX} are served at once`)
    if (own >= REQUESTS_EACH_MAX) {
      throw new Refusal('exhausted', `too many requests from one address, at most ${REQUESTS_EACH_MAX} are served at once`)
    }
    this.#requests++
    this.#running.set(address, own + 1)
    return {
      [Symbol.dispose]: () => {
        this.#requests--
        const left = (this.#running.get(address) ?? 1) - 1
        if (left === 0) this.#running.delete(address)
        else this.#running.set(address, left)
      },
    }
  }
}
