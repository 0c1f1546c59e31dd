const MAX = 16

/** How many frames of a stream come before their turn: what a decoder must hold back. Learnt from the packets, as cameras do not say. */
export class Reorder {
  #recentPts: number[] = []
  #frames = 0

  /** Takes the next packet's pts, in decoding order. */
  push(pts: number): void {
    const ahead = this.#recentPts.filter(other => other > pts).length
    this.#recentPts = [...this.#recentPts.slice(1 - MAX), pts]
    this.#frames = Math.max(this.#frames, Math.min(ahead, MAX))
  }

  get frames(): number {
    return this.#frames
  }
}
