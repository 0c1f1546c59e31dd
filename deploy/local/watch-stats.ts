// What a client sees of a camera, summed up second by second.

export type SeenFrame = {
  width: number
  height: number
  /** Capture time, ms since the epoch. */
  timestamp: number
  pts: number
  frameType: string
  isCorrupt: boolean
  codec: string
}

const STEPS_MAX = 100
/** A step that is longer than the usual one by less than this is a camera's unsteadiness, not a missed frame. */
const GAP = 1.6

export class WatchStats {
  readonly #camera: string
  #frames: SeenFrame[] = []
  #latenciesMs: number[] = []
  #missed = 0
  #lastPts: number | undefined
  /** The latest distances between frames, in ticks. */
  #steps: number[] = []

  constructor(camera: string) {
    this.#camera = camera
  }

  add(frame: SeenFrame, nowMs: number): void {
    this.#frames.push(frame)
    this.#latenciesMs.push(nowMs - frame.timestamp)
    const step = this.#lastPts === undefined ? 0 : frame.pts - this.#lastPts
    this.#lastPts = frame.pts
    if (step < 0) this.#steps = [] // a new epoch
    if (step <= 0) return
    const usual = median(this.#steps)
    if (usual !== undefined && step > usual * GAP) this.#missed += Math.round(step / usual) - 1
    this.#steps = [...this.#steps.slice(1 - STEPS_MAX), step]
  }

  /** The line for what came since the last one; undefined when nothing did. */
  line(seconds: number): string | undefined {
    const last = this.#frames.at(-1)
    if (last === undefined) return undefined
    const types = ['I', 'P', 'B'].map(type => `${type} ${this.#frames.filter(({ frameType }) => frameType === type).length}`)
    const corrupt = this.#frames.filter(({ isCorrupt }) => isCorrupt).length
    const parts = [
      this.#camera,
      `${(this.#frames.length / seconds).toFixed(1)} fps`,
      `${last.width}x${last.height} ${last.codec}`,
      types.join(' '),
      `latency p50 ${Math.round(median(this.#latenciesMs) ?? 0)} ms max ${Math.round(Math.max(...this.#latenciesMs))} ms`,
      `missed ${this.#missed}`,
      ...(corrupt === 0 ? [] : [`corrupt ${corrupt}`]),
    ]
    this.#frames = []
    this.#latenciesMs = []
    this.#missed = 0
    return parts.join('   ')
  }
}

function median(numbers: readonly number[]): number | undefined {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
}
