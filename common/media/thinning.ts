// Which pictures are wanted, where fewer a second are enough than come. Pure.

/** More than the pictures that stand out of order in a stream. */
const REMEMBERED = 32

/** Of each period the first picture that comes, so that there is one in any stretch of two periods, also where pictures come out of order. */
export class Thinning {
  #fps: number | undefined
  #taken: number[] = []

  /** Pictures a second; undefined: all. */
  set fps(fps: number | undefined) {
    if (fps !== this.#fps) this.#taken = []
    this.#fps = fps
  }

  /** `timestamp`: when the picture was captured, in ms. To be called once for each. */
  takes(timestamp: number): boolean {
    if (this.#fps === undefined) return true
    const period = Math.floor((timestamp * this.#fps) / 1000)
    if (this.#taken.includes(period)) return false
    this.#taken = [...this.#taken.slice(1 - REMEMBERED), period]
    return true
  }
}
