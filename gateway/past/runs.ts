// In which parts of a packet stream capture times rise: one, unless the clock of the camera's node was set back. A time may then lie in several.
import type { TimeRange } from './stretches.ts'

/** Messages from `firstSeq`, a keyframe's, to `lastSeq`; capture times in ms. */
export type Run = { readonly firstSeq: number; readonly startMs: number; readonly lastSeq: number; readonly endMs: number }
/** A packet of the stream. Epochs rise, whatever the clock does. */
export type Place = { readonly seq: number; readonly ms: number; readonly epoch: number }
export type Look = (seq: number) => Promise<Place | undefined>

/** Frames may be presented so much later than the last packet's, and newer packets may be on their way. */
const SLACK_MS = 1_000
/** Beyond so many looks at packets, what is left is taken to have no steps. */
const LOOKS_MAX = 4_000
/** Messages that say nothing are passed by, so many in a row. */
const PASSED_MAX = 4
/** Of streams that nothing asks about any more, the oldest are forgotten. */
const STREAMS_MAX = 1_024

/** The clock went back between two packets. */
type Step = { readonly before: Place; readonly after: Place }
type Searched = { readonly upTo: Place; readonly steps: readonly Step[] }

/** Keeps what it found: the past does not change, but for its end. */
export class Runs {
  readonly #searched = new Map<string, Searched>()

  /** `stream`: changes when the stream is made again. `first`: its first keyframe. In the order in which they were stored. */
  async of(stream: string, first: Place, last: Place, look: Look): Promise<Run[]> {
    const known = this.#searched.get(stream)
    const isOfUse = known !== undefined && known.upTo.seq >= first.seq && known.upTo.seq <= last.seq
    const found = await stepsBetween(isOfUse ? known.upTo : first, last, look)
    const steps = [...(isOfUse ? known.steps : []), ...found].filter(({ before }) => before.seq >= first.seq)
    this.#keep(stream, { upTo: last, steps })
    const begins = [first, ...steps.map(({ after }) => after)]
    const ends = [...steps.map(({ before }) => before), last]
    return begins.map(({ seq, ms }, i) => {
      const end = ends[i] ?? last
      return { firstSeq: seq, startMs: ms, lastSeq: end.seq, endMs: Math.max(ms, end.ms) }
    })
  }

  #keep(stream: string, searched: Searched): void {
    this.#searched.delete(stream)
    this.#searched.set(stream, searched)
    const [oldest] = this.#searched.keys()
    if (this.#searched.size > STREAMS_MAX && oldest !== undefined) this.#searched.delete(oldest)
  }
}

/** Within an epoch times rise, so that only between two epochs there may be a step. */
async function stepsBetween(first: Place, last: Place, look: Look): Promise<Step[]> {
  let looks = 0
  const middleOf = async (a: Place, b: Place): Promise<Place | undefined> => {
    const middle = Math.floor((a.seq + b.seq) / 2)
    for (let seq = Math.max(middle, a.seq + 1); seq < Math.min(b.seq, middle + PASSED_MAX) && looks < LOOKS_MAX; seq++) {
      looks++
      const place = await look(seq)
      if (place !== undefined) return place
    }
    return undefined
  }
  const search = async (a: Place, b: Place): Promise<Step[]> => {
    if (a.epoch === b.epoch) return []
    const middle = await middleOf(a, b)
    if (middle !== undefined) return [...(await search(a, middle)), ...(await search(middle, b))]
    return b.ms < a.ms && b.seq - a.seq <= PASSED_MAX ? [{ before: a, after: b }] : []
  }
  return await search(first, last)
}

/** Those that may hold frames of the range. */
export const runsIn = (runs: readonly Run[], { fromMs, toMs }: TimeRange): Run[] =>
  runs.filter((run, i) => run.startMs <= toMs && (i === runs.length - 1 || run.endMs + SLACK_MS >= fromMs))

const at = (runs: readonly Run[], ms: number) => runs.findLast(({ startMs, endMs }) => startMs <= ms && ms <= endMs + SLACK_MS)

/** The one with the newest frame captured at or before `ms`; of several, the one that was stored last. */
export const runBefore = (runs: readonly Run[], ms: number): Run | undefined =>
  at(runs, ms) ??
  runs.filter(({ startMs }) => startMs <= ms).reduce<Run | undefined>((a, b) => (a === undefined || b.endMs >= a.endMs ? b : a), undefined)

/** The one from which reading goes on to the newest packet, when it begins with frames captured at `ms`. */
export const runFrom = (runs: readonly Run[], ms: number): Run | undefined =>
  at(runs, ms) ?? runs.find(({ startMs }) => startMs > ms) ?? runs.at(-1)
