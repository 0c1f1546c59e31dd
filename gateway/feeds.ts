import type { Frame } from '../proto/messages.ts'
import type { Feed } from './feed.ts'

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

  /** Frames are to come from the feed of this key; undefined: none are to come. */
  use(key: string | undefined, make: (onFrame: (frame: Frame) => void) => Feed): void {
    if (key !== undefined && this.wanted?.key === key && !this.wanted.isClosed) return
    this.#end(this.#next)
    this.#next = undefined
    if (key !== undefined && this.#current?.key === key && !this.#current.isClosed) return
    if (key === undefined || this.#current?.isClosed === true) {
      this.#end(this.#current)
      this.#current = undefined
    }
    if (key === undefined) return
    const feed = make(frame => this.#frame(feed, frame))
    if (this.#current === undefined) this.#current = feed
    else this.#next = feed
  }

  /** Ends all of them; resolves when nothing of them is left. */
  async end(): Promise<void> {
    this.use(undefined, () => {
      throw new Error('no feed is to be made')
    })
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

  #end(feed: Feed | undefined): void {
    if (feed === undefined) return
    const ending = feed.end()
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }
}
