// The camera's own clock: RTCP sender reports (RFC 3550 6.4.1) say which time of day an RTP timestamp was. Of frames ffmpeg tells pts, which
// count from the first timestamp that it made a frame of: where they begin is learnt from frames whose last bytes are those of an RTP packet.
import type { CameraTime } from '../../proto/messages.ts'

const TAIL_BYTES = 12
/** Timestamps of packets that went to ffmpeg: more than it holds back. */
const RECENT_MAX = 512
/** Frames that agree on where pts begin. */
const PROOFS = 2
const RTP_HZ = 90_000
const WRAP = 2 ** 32
/** From 1900, where NTP begins, to 1970. */
const NTP_TO_UNIX_S = 2_208_988_800
const YEAR_MS = 365.25 * 86_400_000
/** A clock that is off by more than this from what the last report foretold was set. */
const SET_MS = 1_000
/** How far a camera's two clocks, of day and of RTP, may part. */
const DRIFT = 0.000_5

type Sent = { timestamp: number; tail: Buffer; length: number }
type Report = { rtp: number; unixMs: number; offMs: number }

export class SenderClock {
  readonly #now: () => number
  readonly #recent = new Map<number, Sent>()
  #report: Report | undefined
  /** Where pts may begin: an RTP timestamp each. */
  #candidates: ReadonlySet<number> | undefined
  #proofs = 0

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** A new connection: its timestamps begin anywhere. */
  begin(): void {
    this.#recent.clear()
    this.#report = undefined
    this.#candidates = undefined
    this.#proofs = 0
  }

  /** An RTP packet that goes to ffmpeg. */
  packet(timestamp: number, payload: Buffer): void {
    const known = this.#recent.get(timestamp)
    const sent = known ?? { timestamp, tail: Buffer.alloc(TAIL_BYTES), length: 0 }
    if (known === undefined) {
      this.#recent.set(timestamp, sent)
      const [oldest] = this.#recent.keys()
      if (this.#recent.size > RECENT_MAX && oldest !== undefined) this.#recent.delete(oldest)
    }
    const tail = payload.subarray(-TAIL_BYTES)
    tail.copy(sent.tail)
    sent.length = tail.length
  }

  /** A sender report: `seconds` and `fraction` of NTP, at the RTP timestamp `rtp`. */
  report(seconds: number, fraction: number, rtp: number): void {
    const unixMs = this.#unixMs(seconds + fraction / WRAP)
    if (unixMs === undefined) return
    const before = this.#report
    const offMs = before === undefined ? 0 : Math.abs(unixMs - before.unixMs - between(before.rtp, rtp))
    this.#report = { rtp, unixMs, offMs: offMs > SET_MS ? 0 : offMs }
  }

  /** NTP starts again at 0 in 2036. Undefined for a clock that counts from its own start. */
  #unixMs(ntpS: number): number | undefined {
    const ms = 1000 * (ntpS - NTP_TO_UNIX_S)
    if (ms >= 0) return ms
    const nextMs = ms + 1000 * WRAP
    return Math.abs(nextMs - this.#now()) < YEAR_MS ? nextMs : undefined
  }

  /** When the camera captured the frame, by its own clock; undefined until that is known. Called for each frame that ffmpeg gives, in order. */
  timeOf({ pts, data }: { pts: number | undefined; data: Buffer }, [num, den]: readonly [number, number]): CameraTime | undefined {
    if (pts === undefined || num !== 1 || den !== RTP_HZ) return undefined
    this.#learn(pts, data)
    const [base] = this.#candidates ?? []
    if (base === undefined || this.#candidates?.size !== 1 || this.#proofs < PROOFS || this.#report === undefined) return undefined
    const { rtp, unixMs, offMs } = this.#report
    const sinceMs = between(rtp, wrapped(base + pts))
    return { ms: Math.round(unixMs + sinceMs), uncertaintyMs: Math.ceil(1 + offMs + Math.abs(sinceMs) * DRIFT) }
  }

  #learn(pts: number, data: Buffer): void {
    const matching = [...this.#recent.values()].filter(sent => sent.length > 0 && endsWith(data, sent))
    const possible = new Set(matching.map(({ timestamp }) => wrapped(timestamp - pts)))
    const known = this.#candidates
    // A frame that ends in other bytes than it was sent with proves nothing, unless its timestamp was never sent.
    if (possible.size === 0) {
      const isSent = known === undefined || [...known].some(base => this.#recent.has(wrapped(base + pts)))
      if (!isSent) this.#candidates = undefined
      return
    }
    const agreed = known === undefined ? possible : new Set([...known].filter(base => possible.has(base)))
    this.#proofs = agreed.size === 0 || known === undefined ? 1 : this.#proofs + 1
    this.#candidates = agreed.size === 0 ? possible : agreed
  }
}

const wrapped = (timestamp: number): number => ((timestamp % WRAP) + WRAP) % WRAP

/** From one RTP timestamp to another, in ms; backwards it is negative. */
const between = (from: number, to: number): number => ((to - from) | 0) / (RTP_HZ / 1000)

const endsWith = (data: Buffer, { tail, length }: Sent): boolean =>
  data.length >= length && data.compare(tail, 0, length, data.length - length) === 0
