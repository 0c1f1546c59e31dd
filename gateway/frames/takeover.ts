import type { LiveFrame } from '../../proto/rendition.ts'
import type { OnFrame, Upstream } from './upstream.ts'

/** The upstream of a camera and, while it moves, the one that is to take over: frames come from the old one until the new one has given its first. */
export class Takeover {
  readonly #onFrame: OnFrame
  #current: Upstream | undefined
  #next: Upstream | undefined
  readonly #ending = new Set<Promise<void>>()

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame
  }

  /** Where frames come from, or are to come from soon. */
  get wanted(): Upstream | undefined {
    return this.#next ?? this.#current
  }

  get all(): Upstream[] {
    return [this.#current, this.#next].filter(upstream => upstream !== undefined)
  }

  /** Frames are to come from the upstream of this key, which is made where there is none. */
  use(key: string, make: (onFrame: OnFrame) => Upstream): void {
    if (this.wanted?.key === key && !this.wanted.isClosed) return
    this.#endNext()
    if (this.#current?.key === key && !this.#current.isClosed) return
    if (this.#current?.isClosed === true) this.#endCurrent()
    const upstream = make((rendition, frame) => this.#frame(upstream, rendition, frame))
    if (this.#current === undefined) this.#current = upstream
    else this.#next = upstream
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

  #frame(upstream: Upstream, rendition: string, frame: LiveFrame): void {
    if (upstream === this.#next) {
      this.#end(this.#current)
      this.#current = upstream
      this.#next = undefined
    }
    if (upstream === this.#current) this.#onFrame(rendition, frame)
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

  #end(upstream: Upstream | undefined): void {
    if (upstream === undefined) return
    const ending = upstream.end()
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }
}
