// So many at once, the others after them in the order in which they came. Pure.

export class Turns {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(max: number) {
    this.#free = max
  }

  /** Held until it is disposed of. Undefined: `over` came before the turn did. */
  async take(over: Promise<unknown>): Promise<Disposable | undefined> {
    if (this.#free > 0) this.#free--
    else {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.add(resolve)
      await Promise.race([promise, over])
      if (this.#waiting.delete(resolve)) return undefined
    }
    let isHeld = true
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.#pass()
        isHeld = false
      },
    }
  }

  #pass(): void {
    const [next] = this.#waiting
    if (next === undefined) this.#free++
    else if (this.#waiting.delete(next)) next()
  }
}
