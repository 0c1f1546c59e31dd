// Which stretches of time a packet stream holds: gaps are searched by halving, so that not every packet has to be read.

/** Capture times in ms. */
export type TimeRange = { readonly fromMs: number; readonly toMs: number }
export type Point = { readonly seq: number; readonly ms: number }

/** Shorter ones are no gap to a viewer. */
export const GAP_MIN_MS = 2_000
/** Packets are counted as shorter than they are usually: rates vary, and large packets are several messages. */
const STEP_SHARE = 0.8
/** Beyond so many, what is left is taken to have no gaps. */
const LOOKS_MAX = 4_000
/** Messages that say nothing are passed by, so many in a row. */
const PASSED_MAX = 4

/** `look` gives the capture time of the packet at a sequence; `stepMs`: between packets, as usual. */
export async function gapsBetween(
  first: Point,
  last: Point,
  stepMs: number,
  look: (seq: number) => Promise<number | undefined>,
): Promise<TimeRange[]> {
  let looks = 0
  const point = async (seq: number, end: number): Promise<Point | undefined> => {
    for (let at = seq; at < Math.min(end, seq + PASSED_MAX) && looks < LOOKS_MAX; at++) {
      looks++
      const ms = await look(at)
      if (ms !== undefined) return { seq: at, ms }
    }
    return undefined
  }
  const search = async (a: Point, b: Point): Promise<TimeRange[]> => {
    if (b.ms - a.ms - STEP_SHARE * stepMs * (b.seq - a.seq) < GAP_MIN_MS) return []
    const middle = await point(Math.floor((a.seq + b.seq) / 2), b.seq)
    if (middle === undefined || middle.seq === a.seq) {
      const isGap = b.seq - a.seq <= PASSED_MAX
      return isGap ? [{ fromMs: a.ms, toMs: b.ms }] : []
    }
    return [...(await search(a, middle)), ...(await search(middle, b))]
  }
  return await search(first, last)
}

/** What is left of `range` without the gaps, which are in order. */
export function without({ fromMs, toMs }: TimeRange, gaps: readonly TimeRange[]): TimeRange[] {
  const ends = [...gaps.map(gap => gap.fromMs), toMs]
  const begins = [fromMs, ...gaps.map(gap => gap.toMs)]
  return begins.map((begin, i) => ({ fromMs: begin, toMs: ends[i] ?? toMs }))
}

/** The parts of ranges that lie in `window`. */
export const clipped = (ranges: readonly TimeRange[], window: TimeRange): TimeRange[] =>
  ranges
    .map(({ fromMs, toMs }) => ({ fromMs: Math.max(fromMs, window.fromMs), toMs: Math.min(toMs, window.toMs) }))
    .filter(({ fromMs, toMs }) => fromMs <= toMs)

/** In order, and none inside another. */
export function joined(ranges: readonly TimeRange[]): TimeRange[] {
  const whole: TimeRange[] = []
  for (const range of [...ranges].sort((a, b) => a.fromMs - b.fromMs)) {
    const last = whole.at(-1)
    if (last === undefined || range.fromMs > last.toMs) whole.push(range)
    else whole[whole.length - 1] = { fromMs: last.fromMs, toMs: Math.max(last.toMs, range.toMs) }
  }
  return whole
}
