// Room that is shared among all who ask for it, so that one alone cannot take it from the others.

export type Room = Disposable

/**
 * A caller is known by keys, such as a connection and a user. Each key always has an eighth, as far as there is room, and more only as
 * long as it leaves as much to the others.
 */
export class Shares {
  readonly max: number
  readonly #least: number
  readonly #held = new Map<string, number>()
  #taken = 0

  /** `least`: what a key has at least of a small `max`. */
  constructor(max: number, least: number) {
    this.max = max
    this.#least = Math.max(least, Math.floor(max / 8))
  }

  get taken(): number {
    return this.#taken
  }

  /** Room until it is disposed of. `full`: there is none for anyone; `share`: these keys have their share. */
  enter(keys: readonly string[], size = 1): Room | 'full' | 'share' {
    const free = this.max - this.#taken
    if (size > free) return 'full'
    const isOver = keys.some(key => {
      const next = (this.#held.get(key) ?? 0) + size
      return next > this.#least && next > free
    })
    return isOver ? 'share' : this.#take(keys, size)
  }

  #take(keys: readonly string[], size: number): Room {
    this.#count(keys, size)
    let isOver = false
    return {
      [Symbol.dispose]: () => {
        if (!isOver) this.#count(keys, -size)
        isOver = true
      },
    }
  }

  #count(keys: readonly string[], size: number): void {
    this.#taken += size
    for (const key of keys) {
      const next = (this.#held.get(key) ?? 0) + size
      if (next === 0) this.#held.delete(key)
      else this.#held.set(key, next)
    }
  }
}

/** Without the port, which is another one for each connection. */
export const addressOf = (peer: string): string => peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')

export const isLoopback = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host)

/** By what the sender of a request is known: its connection, and its user or, where there is none, its address. */
export function keysOf(peer: string, user?: string): string[] {
  const address = addressOf(peer)
  if (user !== undefined) return [`connection ${peer}`, `user ${user}`]
  // Programs on this machine share its address and trust each other.
  return isLoopback(address.replace(/^::ffff:/, '')) ? [`connection ${peer}`] : [`connection ${peer}`, `address ${address}`]
}
