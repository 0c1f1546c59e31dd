// Whether a client keeps up with its camera, told from its requests. Pure.
//
// A client that keeps up has to wait for a frame now and then. One whose requests always find an unread frame is slower than the camera, and
// what it is given in order gets older and older. A client that falls behind for a moment finds fewer unread frames with each request.

/** What a request finds. */
export type Found = {
  /** Unread frames. */
  unread: number
  /** Since the arrival of the oldest of them. */
  oldestMs: number
  /** From frame to frame. */
  intervalMs: number
}

/** Requests that are looked back at. */
const LOOK_BACK = 8
/** No frame is left out that a client gets in time: after one interval and this. */
const IN_TIME_MS = 25
/** With so many more unread frames than so many requests before a client falls behind. */
const FALLS_BEHIND = [
  { requests: 2, frames: 3 },
  { requests: 4, frames: 2 },
]
/** A slow client keeps up again when it has asked soon and waited this often in a row. */
const WAITS = 2
/** A client that pauses for so long before there is any frame does not show that it would keep up. */
const PAUSE_MS = 100

export class ClientPace {
  #isSlow = false
  /** It has waited for a frame. */
  #isProven = false
  #hasFrame = false
  #waits = 0
  /** Unread frames at its last requests, since it waited. */
  #unread: number[] = []
  #answeredMs: number | undefined

  /** It is given the newest frame each time. */
  get isSlow(): boolean {
    return this.#isSlow
  }

  /** A request of the client, by performance.now(). */
  asked({ unread, oldestMs, intervalMs }: Found, nowMs: number): void {
    const pauseMs = nowMs - (this.#answeredMs ?? nowMs)
    if (!this.#hasFrame && pauseMs > PAUSE_MS) this.#isProven = false
    if (unread === 0) return this.#waited(pauseMs < intervalMs)
    this.#waits = 0
    this.#unread = [...this.#unread.slice(-LOOK_BACK), unread]
    const isLate = oldestMs > intervalMs + IN_TIME_MS
    this.#isSlow ||= isLate && (!this.#isProven || this.#fallsBehind())
  }

  answered(hasFrame: boolean, nowMs: number): void {
    this.#hasFrame ||= hasFrame
    this.#answeredMs = nowMs
  }

  /** `isFast`: it asked sooner after its last answer than frames come. A slow client may have to wait because of the camera. */
  #waited(isFast: boolean): void {
    this.#unread = []
    if (this.#isSlow && (!isFast || ++this.#waits < WAITS)) return
    this.#isSlow = false
    this.#isProven = true
  }

  #fallsBehind(): boolean {
    const unread = this.#unread
    const now = unread.at(-1) ?? 0
    const grows = FALLS_BEHIND.some(({ requests, frames }) => now - (unread.at(-1 - requests) ?? Infinity) >= frames)
    return grows || (unread.length > LOOK_BACK && now > 1 && now >= (unread[0] ?? 0))
  }
}
