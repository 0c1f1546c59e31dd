// Answers that are kept for a while: at most so many, one question at a time per key, and old answers while no new one can be had.

export type CacheOptions<Answer> = {
  /** Entries at most; the longest unused goes first. */
  max: number
  /** How long an answer holds, in ms. */
  freshMs: (answer: Answer) => number
  /** How long an answer holds while the question cannot be asked, in ms since it was given. */
  staleMs: (answer: Answer) => number
  /** In ms, monotonic. */
  now: () => number
}

type Entry<Answer> = { answer?: Answer; atMs: number; asking?: Promise<Answer> }

export class AnswerCache<Answer> {
  readonly #options: CacheOptions<Answer>
  readonly #entries = new Map<string, Entry<Answer>>()

  constructor(options: CacheOptions<Answer>) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /** The answer while it is fresh, without asking. */
  known(key: string): Answer | undefined {
    const entry = this.#entries.get(key)
    if (entry?.answer === undefined || this.#options.now() - entry.atMs > this.#options.freshMs(entry.answer)) return undefined
    this.#use(key, entry)
    return entry.answer
  }

  /** The last answer, however old. */
  last(key: string): Answer | undefined {
    return this.#entries.get(key)?.answer
  }

  /** A fresh answer; asks where there is none. When `ask` rejects, an old answer that is not stale holds, else the error is thrown. */
  async get(key: string, ask: () => Promise<Answer>): Promise<Answer> {
    const known = this.known(key)
    if (known !== undefined) return known
    const entry = this.#entries.get(key) ?? { atMs: this.#options.now() }
    this.#use(key, entry)
    entry.asking ??= this.#ask(entry, ask)
    try {
      return await entry.asking
    } catch (error) {
      if (entry.answer !== undefined && this.#options.now() - entry.atMs <= this.#options.staleMs(entry.answer)) return entry.answer
      if (entry.answer === undefined) this.#entries.delete(key)
      throw error
    }
  }

  async #ask(entry: Entry<Answer>, ask: () => Promise<Answer>): Promise<Answer> {
    try {
      entry.answer = await ask()
      entry.atMs = this.#options.now()
      return entry.answer
    } finally {
      delete entry.asking
    }
  }

  #use(key: string, entry: Entry<Answer>): void {
    this.#entries.delete(key)
    this.#entries.set(key, entry) // last in the map: the most recently used
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > this.#options.max && oldest !== undefined) this.#entries.delete(oldest)
  }
}
