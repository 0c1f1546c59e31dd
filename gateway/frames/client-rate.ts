// How many of a camera's frames a second its clients take. Pure: a camera whose clients are all at leisure need not give every frame.

/** A client is at leisure once all its requests have found an unread frame at once for so long, and there were so many of them. */
const LEISURE_MS = 3_000
const REQUESTS_MIN = 4
/** A client's last requests, of which its rate is made. */
const REMEMBERED = 16
/** A client that does not ask for so long has gone. */
const GONE_MS = 10_000
const CLIENTS_MAX = 256
/** No fewer are made, however rarely clients ask: what one finds may be as old as the pause between two frames. */
const FPS_MIN = 10
/** Where this share of all frames or more is enough, all are made: to leave out so few is not worth it. */
const SHARE_MAX = 0.8
/** The rate is told in steps, so that a client's jitter changes nothing. */
const FPS_STEP = 5

/** Times by performance.now(), of requests that found a frame at once. */
type Client = { sinceMs: number; asked: number[] }

export class Leisure {
  readonly #clients = new Map<object, Client>()
  #fps: number | undefined
  #share = 1

  /** Frames a second that are enough for all clients; undefined: every frame is wanted. */
  get fps(): number | undefined {
    return this.#fps
  }

  /** What `fps` is of all frames, from 0 to 1. */
  get share(): number {
    return this.#fps === undefined ? 1 : this.#share
  }

  /** A request of `client`, which found a frame that it had not had, or has to wait. True: from now on all frames are wanted, and were not before. */
  asked(client: object, found: boolean, nowMs: number): boolean {
    const known = this.#clients.get(client)
    const lastMs = known?.asked.at(-1)
    // One that asks twice as fast as frames come is about to find none.
    const hastens = this.#fps !== undefined && lastMs !== undefined && nowMs - lastMs < 500 / this.#fps
    const goesOn = known !== undefined && found && !hastens
    const now = goesOn ? { ...known, asked: [...known.asked.slice(1 - REMEMBERED), nowMs] } : { sinceMs: nowMs, asked: [nowMs] }
    // One beyond the limit shows that there are too many.
    if (known !== undefined || this.#clients.size <= CLIENTS_MAX) this.#clients.set(client, now)
    if (goesOn || this.#fps === undefined) return false
    this.#fps = undefined
    return true
  }

  /** The client has gone. */
  forget(client: object): void {
    this.#clients.delete(client)
  }

  /** Looks anew, once a second, at how many are enough of `fps` that come. */
  settle(fps: number | undefined, nowMs: number): void {
    for (const [client, { asked }] of this.#clients) if (nowMs - (asked.at(-1) ?? 0) > GONE_MS) this.#clients.delete(client)
    const clients = [...this.#clients.values()]
    const isKnown = clients.length > 0 && clients.length <= CLIENTS_MAX
    const atLeisure = ({ sinceMs, asked }: Client) => nowMs - sinceMs >= LEISURE_MS && asked.length >= REQUESTS_MIN
    if (!isKnown || !clients.every(atLeisure)) return void (this.#fps = undefined)
    const enough = Math.max(FPS_MIN, Math.round((2 * Math.max(...clients.map(rate))) / FPS_STEP) * FPS_STEP)
    this.#share = enough / (fps ?? 0)
    this.#fps = this.#share < SHARE_MAX ? enough : undefined
  }
}

/** Requests a second. */
const rate = ({ asked }: Client): number => ((asked.length - 1) * 1_000) / Math.max(1, (asked.at(-1) ?? 0) - (asked[0] ?? 0))
