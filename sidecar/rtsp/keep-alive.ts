// How a camera is kept from ending a session (RFC 2326 12.37): most take any request for a sign of life, some only one, and not always one
// that they say they know.

const TIMEOUT_DEFAULT_S = 60
const TIMEOUT_MAX_S = 3_600
/** No camera is asked less often. */
const EVERY_MAX_MS = 30_000
const EVERY_MIN_MS = 500

type Method = 'OPTIONS' | 'GET_PARAMETER'

/** A session that ended so much earlier than the last one has another cause. */
const ALIKE = 0.2
const LAPSE_MIN_MS = 4_000

export type Lapses = {
  /** How many sessions with this camera ended after their timeout. */
  lapses: number
  /** How long the shortest of them lasted; how long the last session of any kind did. */
  lapsedAfterMs?: number
  lastPlayedMs?: number
}

export class KeepAlive {
  readonly #learnt: Readonly<Lapses>
  #first: Method = 'OPTIONS'
  #refused: Method | undefined
  #count = 0
  timeoutMs = TIMEOUT_DEFAULT_S * 1000

  constructor(learnt: Readonly<Lapses>) {
    this.#learnt = { ...learnt }
  }

  /** What the header Public says. */
  listed(methods: string): void {
    if (/\bGET_PARAMETER\b/i.test(methods)) this.#first = 'GET_PARAMETER'
  }

  /** What the header Session says: `12345678; timeout = 10`. */
  timeout(session: string): void {
    const seconds = Number(/;\s*timeout\s*=\s*"?(\d+)/i.exec(session)?.[1] ?? 0)
    if (seconds > 0) this.timeoutMs = Math.min(seconds, TIMEOUT_MAX_S) * 1000
  }

  get everyMs(): number {
    // Each of two methods comes as often as one alone.
    const every = Math.min(this.timeoutMs, this.#learnt.lapsedAfterMs ?? Infinity) / (this.#isBoth ? 4 : 2)
    return Math.max(EVERY_MIN_MS, Math.min(EVERY_MAX_MS, every))
  }

  next(): Method {
    const other: Method = this.#first === 'OPTIONS' ? 'GET_PARAMETER' : 'OPTIONS'
    const chosen = (this.#isBoth ? this.#count++ % 2 === 1 : this.#learnt.lapses === 1) ? other : this.#first
    return chosen === this.#refused ? (chosen === this.#first ? other : this.#first) : chosen
  }

  /** A method that the camera does not know is not used again while the other may be. */
  answered(method: string, status: number): void {
    if (this.#learnt.lapses === 0 && [400, 405, 501, 551].includes(status) && this.#refused === undefined) {
      if (method === 'OPTIONS' || method === 'GET_PARAMETER') this.#refused = method
    }
  }

  /** A session that played for so long may have ended of its timeout: of the announced one, or of one that is never told. */
  isLapse(playedMs: number): boolean {
    const last = this.#learnt.lastPlayedMs ?? 0
    const isAgain = playedMs >= LAPSE_MIN_MS && Math.abs(playedMs - last) <= ALIKE * last
    return isAgain || (playedMs >= this.timeoutMs * 0.75 && playedMs <= this.timeoutMs * 2.5 + 2_000)
  }

  get #isBoth(): boolean {
    return this.#learnt.lapses >= 2
  }
}
