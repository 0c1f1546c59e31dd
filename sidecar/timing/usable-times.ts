// Cameras' times that can't be used: they stand still, begin again with each keyframe, or go back. ffmpeg flattens them: each is a tick later
// than the one before. Packets then get the times at which they came, which go on where the camera's own ended.
import type { DemuxedPacket } from '../../common/media/demux.ts'

/** After so many steps that are too small times are taken to stand still. */
const STUCK_MAX = 2
/** No camera has so many frames a second. */
const CRAWL_MS = 2
/** Between packets that come at once. Half of it may be taken back (CaptureClock), and timestamps rise by 1 ms at least. */
const STEP_MS = 2
/** Times that rise as arrival does, within RISE_OFF, are used again after this. */
const TRUST_MS = 30_000
const RISE_OFF = 0.2

type Mark = { own: number; arrivedAt: number }

export class UsableTimes {
  /** Packets whose times may stand still: passed on when it turns out whether they do. */
  readonly #suspects: DemuxedPacket[] = []
  #isArrival: boolean
  #lastOwn: number | undefined
  /** Ticks, as they were passed on. */
  #lastOut: number | undefined
  #lastArrivedAt = 0
  /** What the camera's own times lack, since times of arrival took their place. */
  #offset = 0
  /** Since when own times have risen as arrival does. */
  #risingSince: Mark | undefined
  #goodSince: number | undefined

  /** `isArrival`: an earlier session found that this camera's times can't be used. */
  constructor(isArrival: boolean) {
    this.#isArrival = isArrival
  }

  /** Packets get the times at which they came. */
  get isArrival(): boolean {
    return this.#isArrival
  }

  /** How long own times have been good, in ms. */
  get goodMs(): number {
    return this.#goodSince === undefined ? 0 : this.#lastArrivedAt - this.#goodSince
  }

  /** Takes a packet; returns those that may go on, and whether their times stand still: `useArrival` or `drop` says what to do then. */
  push(packet: DemuxedPacket, tickMs: number): { packets: DemuxedPacket[]; stuck: boolean } {
    const own = packet.dts ?? packet.pts ?? 0
    const crawls = this.#lastOwn !== undefined && (own - this.#lastOwn) * tickMs < CRAWL_MS
    this.#lastOwn = own
    if (this.#isArrival) {
      this.#watch(own, packet.arrivedAt, tickMs, crawls)
      return { packets: [this.#isArrival ? this.#arrived(packet, tickMs) : this.#shifted(packet)], stuck: false }
    }
    this.#suspects.push(packet)
    if (!crawls) return { packets: this.#suspects.splice(0).map(each => this.#shifted(each)), stuck: false }
    return { packets: [], stuck: this.#suspects.length > STUCK_MAX }
  }

  /** Takes the times of arrival from now on; returns the packets that were held. */
  useArrival(tickMs: number): DemuxedPacket[] {
    this.#isArrival = true
    this.#risingSince = undefined
    this.#goodSince = undefined
    return this.#suspects.splice(0).map(packet => this.#arrived(packet, tickMs))
  }

  /** Forgets the packets that were held. Returns how many. */
  drop(): number {
    this.#goodSince = undefined
    return this.#suspects.splice(0).length
  }

  #shifted(packet: DemuxedPacket): DemuxedPacket {
    const { pts, dts } = packet
    this.#lastArrivedAt = packet.arrivedAt
    this.#goodSince ??= packet.arrivedAt
    this.#lastOut = Math.max(this.#lastOut ?? -Infinity, (pts ?? dts ?? 0) + this.#offset)
    if (this.#offset === 0) return packet
    return { ...packet, pts: pts === undefined ? undefined : pts + this.#offset, dts: dts === undefined ? undefined : dts + this.#offset }
  }

  #arrived(packet: DemuxedPacket, tickMs: number): DemuxedPacket {
    const time = this.#next(packet.arrivedAt, tickMs, packet.dts ?? packet.pts ?? 0)
    this.#lastOut = time
    this.#lastArrivedAt = packet.arrivedAt
    return { ...packet, pts: time, dts: time }
  }

  /** Own times are used again when they have been good for long: a camera's clock was set back once. */
  #watch(own: number, arrivedAt: number, tickMs: number, crawls: boolean): void {
    const since = (this.#risingSince ??= { own, arrivedAt })
    const passedMs = arrivedAt - since.arrivedAt
    const offMs = Math.abs((own - since.own) * tickMs - passedMs)
    if (crawls || passedMs < 0 || offMs > RISE_OFF * Math.max(passedMs, TRUST_MS / 2)) this.#risingSince = { own, arrivedAt }
    else if (passedMs >= TRUST_MS) {
      this.#isArrival = false
      this.#offset = this.#next(arrivedAt, tickMs, own) - own
    }
  }

  /** `first`: where nothing was passed on before. */
  #next(arrivedAt: number, tickMs: number, first: number): number {
    if (this.#lastOut === undefined) return first
    return this.#lastOut + Math.max(1, Math.round(Math.max(STEP_MS, arrivedAt - this.#lastArrivedAt) / tickMs))
  }
}
