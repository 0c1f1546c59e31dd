// Which stretches of time a camera's buffer holds. What was found out once is kept: the past does not change, but for its end.
import type { KnownCamera } from '../cameras.ts'
import type { PacketStream } from './packet-reader.ts'
import type { Run } from './runs.ts'
import { clipped, gapsBetween, joined, without, type Point, type TimeRange } from './stretches.ts'

/** Of runs that are not asked about any more, the oldest are forgotten. */
const RUNS_MAX = 256

type Searched = { readonly upTo: Point; readonly gaps: readonly TimeRange[] }

export class BufferRanges {
  readonly #searched = new Map<string, Searched>()

  /** In order. Throws a Refusal while NATS is unreachable. */
  async of(camera: KnownCamera, stream: PacketStream, signal: AbortSignal): Promise<TimeRange[]> {
    const extent = await stream.extent(signal)
    const found: TimeRange[] = []
    for (const run of extent?.runs ?? []) {
      // The last one grows, the others stay as they are.
      const key = run.lastSeq === extent?.last.seq ? camera.uid : `${camera.uid} ${run.lastSeq}`
      found.push(...(await this.#ofRun(key, run, camera.report?.state.fps ?? 0, async seq => await stream.timeAt(seq, signal))))
    }
    return joined(found)
  }

  async #ofRun(key: string, run: Run, fps: number, timeAt: (seq: number) => Promise<number | undefined>): Promise<TimeRange[]> {
    const { firstSeq, startMs, lastSeq, endMs } = run
    const known = this.#searched.get(key)
    const isOfUse = known !== undefined && known.upTo.seq >= firstSeq && known.upTo.seq <= lastSeq
    const from = isOfUse ? known.upTo : { seq: firstSeq, ms: startMs }
    const stepMs = fps > 0 ? 1_000 / fps : (endMs - startMs) / Math.max(1, lastSeq - firstSeq)
    const upTo = { seq: lastSeq, ms: endMs }
    const found = await gapsBetween(from, upTo, stepMs, timeAt)
    const whole = { fromMs: startMs, toMs: endMs }
    const gaps = [...clipped(isOfUse ? known.gaps : [], whole), ...found]
    this.#keep(key, { upTo, gaps })
    return without(whole, gaps)
  }

  #keep(key: string, searched: Searched): void {
    this.#searched.delete(key)
    this.#searched.set(key, searched)
    const [oldest] = this.#searched.keys()
    if (this.#searched.size > RUNS_MAX && oldest !== undefined) this.#searched.delete(oldest)
  }
}
