// Packets' times on one timeline that begins at 0, across epochs: what lies between two frames is what lay between their captures.
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'

/** Ticks a second of media times. */
export const TIMESCALE = 90_000
const TICKS_PER_MS = TIMESCALE / 1000

/** In ticks: when a frame is decoded, which rises, and when it is shown. */
export type MediaTime = { readonly decode: number; readonly show: number }

export class Timeline {
  #epoch: number | undefined
  #offset = 0
  #last: (MediaTime & { timestamp: number }) | undefined

  place({ epoch, pts, dts, timestamp }: Packet, { timeBase: [num, den] }: Pick<Codec, 'timeBase'>): MediaTime {
    const ticks = (time: number) => Math.round((time * TIMESCALE * num) / den)
    const earliest = ticks(Math.min(pts, dts))
    const last = this.#last
    if (last === undefined) this.#offset = -earliest
    else if (epoch !== this.#epoch) {
      const passed = Math.max(1, Math.round((timestamp - last.timestamp) * TICKS_PER_MS))
      this.#offset = Math.max(last.show + passed - ticks(pts), last.decode + 1 - earliest)
    }
    this.#epoch = epoch
    const decode = Math.max(earliest + this.#offset, (last?.decode ?? -1) + 1)
    this.#last = { decode, show: ticks(pts) + this.#offset, timestamp }
    return this.#last
  }
}
