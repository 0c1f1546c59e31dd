// How many reads of the past that decode are served at once.
import type { Metrics } from '../metrics.ts'
import { decoderWeight, hasRoom } from '../frames/placement.ts'
import { Refusal } from '../refusal.ts'

export class PastReads {
  /** In reads of 1080p: each is a decoder. */
  readonly #max: number
  readonly #metrics: Metrics
  #load = 0

  constructor(max: number, metrics: Metrics) {
    this.#max = max
    this.#metrics = metrics
  }

  /** Takes the room of one read until it is disposed of. Throws a Refusal where there is none. */
  enter(codec: { width: number; height: number } | undefined): Disposable {
    const weight = decoderWeight(codec)
    if (!hasRoom(this.#load, weight, this.#max)) {
      throw new Refusal(
        'exhausted',
        `too many buffered reads, at most ${this.#max} are served at once, fewer of larger pictures: try again when one has ended`,
      )
    }
    this.#load += weight
    this.#metrics.bufferedReads.inc()
    return {
      [Symbol.dispose]: () => {
        this.#load -= weight
        this.#metrics.bufferedReads.dec()
      },
    }
  }
}
