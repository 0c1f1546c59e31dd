import type { Frame } from '../../proto/messages.ts'
import type { Feed } from './upstream.ts'

/** The feed of a camera and, while it moves, the one that is to take over: frames come from the old until the new has given its first. */
export class Feeds {
  readonly #onFrame: (frame: Frame) => void
  #current: Feed | undefined
  #next: Feed | undefined
  readonly #ending = new Set<Promise<void>>()

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame
  }

  /** Where frames come from, or are to come from soon. */
  get wanted(): Feed | undefined {
    return this.#next ?? this.#current
  }

  get all(): Feed[] {
    return [this.#current, this.#next].filter(feed => feed !== undefined)
  }

  /** Frames are to come from the feed of this key, which is made where there is none. */
  use(key: string, make: (onFrame: (frame: Frame) => void) => Feed): void {
    if (this.wanted?.key === key && !this.wanted.isClosed) return
    this.#endNext()
    if (this.#current?.key === key && !this.#current.isClosed) return
    if (this.#current?.isClosed === true) this.#endCurrent()
    const feed = make(frame => this.#frame(feed, frame))
    if (this.#current === undefined) this.#current = feed
    else this.#next = feed
  }

  /** No frames are to come. */
  useNone(): void {
    this.#endNext()
    this.#endCurrent()
  }

  /** Ends all of them; resolves when nothing of them is left. */
  async end(): Promise<void> {
    this.useNone()
    await Promise.all(this.#ending)
  }

  #frame(feed: Feed, frame: Frame): void {
    if (feed === this.#next) {
      this.#end(this.#current)
      this.#current = feed
      this.#next = undefined
    }
    if (feed === this.#current) this.#onFrame(frame)
    else frame.lease?.release()
  }

  #endNext(): void {
    this.#end(this.#next)
    this.#next = undefined
  }

  #endCurrent(): void {
    this.#end(this.#current)
    this.#current = undefined
  }

  #end(feed: Feed | undefined): void {
    if (feed === undefined) return
    const ending = feed.end()
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }
}
