// How fast a camera's clock runs against the clock of arrival, from what packets show of it.

type Point = { ptsMs: number; atMs: number }

/** Of so long a time the packet that waited least stands for all. */
const BUCKET_MS = 250
const BUCKETS_MAX = 32
/** Before a rate is judged. */
const SPAN_MIN_MS = 1_500
const BUCKETS_MIN = 4
const RECENT_BUCKETS = 8
/** A trend of less than this over all buckets may be jitter. */
const TREND_MIN_MS = 150
/** The two halves of a trend differ by no more than this factor. */
const HALVES_DIFFER_MAX = 2
/** A camera whose clock is this near to the arrival's runs right. */
const RIGHT = 0.01

/** Arrival time per time of the camera: 1 where the camera's clock is right, 1.25 for a camera that says 25 frames a second and sends 20. */
export class RateEstimate {
  readonly #points: Point[] = []
  #bucketFromMs = 0
  #rate: number

  constructor(rate = 1) {
    this.#rate = rate
  }

  get rate(): number {
    return this.#rate
  }

  /** Takes a packet; true when the rate has changed. */
  push(ptsMs: number, atMs: number): boolean {
    const last = this.#points.at(-1)
    const point = { ptsMs, atMs }
    if (last !== undefined && atMs - this.#bucketFromMs < BUCKET_MS) {
      if (this.#lag(point) < this.#lag(last)) this.#points[this.#points.length - 1] = point
      return false
    }
    // The last bucket is full.
    const before = this.#rate
    this.#rate = this.#judge()
    this.#points.push(point)
    this.#bucketFromMs = atMs
    if (this.#points.length > BUCKETS_MAX) this.#points.shift()
    return this.#rate !== before
  }

  /** Only what was seen last tells of what comes. */
  forget(): void {
    this.#points.splice(0, this.#points.length - RECENT_BUCKETS)
  }

  #lag({ ptsMs, atMs }: Point): number {
    return atMs - this.#rate * ptsMs
  }

  #judge(): number {
    const [first] = this.#points
    const last = this.#points.at(-1)
    if (first === undefined || last === undefined || this.#points.length < BUCKETS_MIN) return this.#rate
    const spanMs = last.atMs - first.atMs
    if (spanMs < SPAN_MIN_MS) return this.#rate
    const slopes = (points: readonly Point[]) => medianSlope(points.map(point => [point.ptsMs, this.#lag(point)]))
    const slope = slopes(this.#points)
    const rate = this.#rate + slope
    if (this.#points.length === BUCKETS_MAX && Math.abs(rate - 1) < RIGHT) return 1
    if (Math.abs(slope) * Math.abs(last.ptsMs - first.ptsMs) < TREND_MIN_MS) return this.#rate
    const middle = Math.ceil(this.#points.length / 2)
    const [early, late] = [slopes(this.#points.slice(0, middle)), slopes(this.#points.slice(middle - 1))]
    const isSteady = early * late > 0 && early / late <= HALVES_DIFFER_MAX && late / early <= HALVES_DIFFER_MAX
    return isSteady && rate > 0 ? rate : this.#rate
  }
}

/** The median of the slopes between any two points (Theil–Sen): a few points that are far off do not count. */
function medianSlope(points: readonly (readonly [number, number])[]): number {
  const slopes = points.flatMap(([x, y], i) => points.slice(i + 1).flatMap(([x2, y2]) => (x2 === x ? [] : [(y2 - y) / (x2 - x)])))
  slopes.sort((a, b) => a - b)
  return slopes[slopes.length >> 1] ?? 0
}
