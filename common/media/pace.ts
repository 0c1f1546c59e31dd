// Whether a decoder keeps up, from what it was fed and what came out. Pure.
import type { Packet } from '../../proto/messages.ts'

/** So much later than at its best a frame may come out. Live pictures are worth less the older they are. */
export const LAG_MAX_MS = 1_500
/** Packets remembered. */
const AWAITED_MAX = 1_024

type Place = Pick<Packet, 'pts'>

export class Pace {
  /** Undefined for those whose frame is not wanted, which does not come out. */
  readonly #fedAt = new Map<Place, number | undefined>()
  /** A decoder that begins with a long GOP is behind by as long as that takes, which is no reason to give it up. */
  #bestMs = Infinity
  #lastMs = 0
  /** Frames that the decoder always holds back, as for B-frames. */
  #heldBack = Infinity

  fed(packet: Place, nowMs: number, isWanted = true): void {
    if (this.#fedAt.size < AWAITED_MAX) this.#fedAt.set(packet, isWanted ? nowMs : undefined)
  }

  /** Frames come in presentation order. Returns how long this one took, in ms; undefined when that is not known. */
  delivered(packet: Place, nowMs: number): number | undefined {
    const fedAt = this.#fedAt.get(packet)
    for (const earlier of this.#fedAt.keys()) if (earlier.pts <= packet.pts) this.#fedAt.delete(earlier)
    this.#heldBack = Math.min(this.#heldBack, this.#fedAt.size)
    if (fedAt === undefined) return undefined
    this.#lastMs = nowMs - fedAt
    this.#bestMs = Math.min(this.#bestMs, this.#lastMs)
    return this.#lastMs
  }

  /** The last frame came too late. */
  get isBehind(): boolean {
    return this.#lastMs > this.#bestMs + LAG_MAX_MS
  }

  /** What went in has come out, but for what is always held back. */
  get isDrained(): boolean {
    return [...this.#fedAt.values()].filter(atMs => atMs !== undefined).length <= this.#heldBack
  }

  /** Judge what comes from now on. */
  resume(): void {
    this.#lastMs = 0
  }
}
