// Which stretches of time a camera's buffer holds. What was found out once is kept: the past does not change, but for its end.
import type { KnownCamera } from '../cameras.ts'
import type { PacketStream } from './packet-reader.ts'
import { clipped, gapsBetween, without, type Point, type TimeRange } from './stretches.ts'

/** Of cameras that are not asked about any more, the oldest are forgotten. */
const CAMERAS_MAX = 256

type Searched = { readonly upTo: Point; readonly gaps: readonly TimeRange[] }

export class BufferRanges {
  readonly #searched = new Map<string, Searched>()

  /** Throws a Refusal while NATS is unreachable. */
  async of(camera: KnownCamera, stream: PacketStream, signal: AbortSignal): Promise<TimeRange[]> {
    const extent = await stream.extent(signal)
    if (extent === undefined) return []
    const { firstSeq, startMs, endMs, last } = extent
    const known = this.#searched.get(camera.uid)
    const isOfUse = known !== undefined && known.upTo.seq >= firstSeq && known.upTo.seq <= last.seq
    const from = isOfUse ? known.upTo : { seq: firstSeq, ms: startMs }
    const fps = camera.report?.state.fps ?? 0
    const stepMs = fps > 0 ? 1_000 / fps : (endMs - startMs) / Math.max(1, last.seq - firstSeq)
    const upTo = { seq: last.seq, ms: endMs }
    const found = await gapsBetween(from, upTo, stepMs, async seq => await stream.timeAt(seq, signal))
    const whole = { fromMs: startMs, toMs: endMs }
    const gaps = [...clipped(isOfUse ? known.gaps : [], whole), ...found]
    this.#keep(camera.uid, { upTo, gaps })
    return without(whole, gaps)
  }

  #keep(uid: string, searched: Searched): void {
    this.#searched.delete(uid)
    this.#searched.set(uid, searched)
    const [oldest] = this.#searched.keys()
    if (this.#searched.size > CAMERAS_MAX && oldest !== undefined) this.#searched.delete(oldest)
  }
}
