// An amount that is shared. Pure.

/** What one takes of it, which may change; `isThinned`: by one that is given less than it wants, which takes nothing from the others. */
export type Holding = Disposable & { amount: number; isThinned: boolean }

export class Holdings {
  readonly #held = new Set<Holding>()

  enter(amount: number, isThinned = false): Holding {
    const holding: Holding = { amount, isThinned, [Symbol.dispose]: () => void this.#held.delete(holding) }
    this.#held.add(holding)
    return holding
  }

  /** What others than `own` take. */
  besides(own: Holding | undefined, isThinned = false): number {
    let sum = 0
    for (const holding of this.#held) if (holding !== own && holding.isThinned === isThinned) sum += holding.amount
    return sum
  }
}
