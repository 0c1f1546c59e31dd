import type { LiveFrame } from '../../proto/rendition.ts'
import type { OnFrame, Upstream } from './upstream.ts'

/** So long after the new upstream's first frame the old one goes on, where it gave renditions of which the new one has given none yet. */
const GRACE_MS = 1_000

/** The upstream of a camera and, while it moves, the one that is to take over: each rendition's frames come from the old one until the new one gives its first. */
export class Takeover {
  readonly #onFrame: OnFrame
  #current: Upstream | undefined
  #next: Upstream | undefined
  /** Renditions that the old one has given. */
  #given = new Set<string>()
  /** Those that the new one has given, and since when. */
  #taken: { readonly keys: Set<string>; readonly sinceMs: number } | undefined
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
    if (this.#taken !== undefined && performance.now() - this.#taken.sinceMs > GRACE_MS) this.#complete()
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
      this.#taken ??= { keys: new Set(), sinceMs: performance.now() }
      this.#taken.keys.add(rendition)
      if ([...this.#given].every(key => this.#taken?.keys.has(key))) this.#complete()
      this.#onFrame(rendition, frame)
    } else if (upstream === this.#current && this.#taken?.keys.has(rendition) !== true) {
      this.#given.add(rendition)
      this.#onFrame(rendition, frame)
    } else frame.lease?.release()
  }

  #complete(): void {
    this.#end(this.#current)
    this.#current = this.#next
    this.#next = undefined
    this.#given = this.#taken?.keys ?? new Set()
    this.#taken = undefined
  }

  #endNext(): void {
    this.#taken = undefined
    this.#end(this.#next)
    this.#next = undefined
  }

  #endCurrent(): void {
    this.#end(this.#current)
    this.#current = undefined
    this.#given = new Set()
  }

  #end(upstream: Upstream | undefined): void {
    if (upstream === undefined) return
    const ending = upstream.end()
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }
}
