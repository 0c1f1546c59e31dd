// How many cameras are decoded in this gateway at once.
import { hasRoom } from './placement.ts'

export class DecoderAdmission {
  /** In cameras of 1080p. */
  readonly #max: number
  #load = 0

  constructor(max: number) {
    this.#max = max
  }

  hasRoom(weight: number): boolean {
    return hasRoom(this.#load, weight, this.#max)
  }

  /** Takes the room of one decoder, until it is disposed of. */
  enter(weight: number): Disposable {
    this.#load += weight
    return { [Symbol.dispose]: () => void (this.#load -= weight) }
  }

  get busy(): string {
    return `all ${this.#max} decoders of the gateway are in use`
  }
}
