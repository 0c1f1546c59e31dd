// GET …/past: which stretches of a camera's past exist, and the gaps between them, for a timeline.
import type { KnownCamera } from '../cameras.ts'
import type { Past } from '../past/past.ts'
import { GAP_MIN_MS, type TimeRange } from '../past/stretches.ts'
import type { PastQuery } from './request.ts'

type Stretch = { from: number; to: number; source: 'buffer' | 'archive' }

export async function pastJson(camera: KnownCamera, { fromMs, toMs }: PastQuery, past: Past, signal: AbortSignal) {
  const window = { fromMs: fromMs ?? 0, toMs: toMs ?? Date.now() }
  const { buffer, archive } = await past.ranges(camera, window, signal)
  const stretches = [...stretchesOf(typeof archive === 'string' ? [] : archive, 'archive'), ...stretchesOf(buffer, 'buffer')].sort(
    (a, b) => a.from - b.from,
  )
  return {
    ...{ from: fromMs ?? stretches[0]?.from ?? window.toMs, to: window.toMs, archive: typeof archive === 'string' ? archive : 'read' },
    ...{ stretches, gaps: gapsIn(stretches) },
  }
}

const stretchesOf = (ranges: readonly TimeRange[], source: Stretch['source']): Stretch[] =>
  ranges.map(({ fromMs, toMs }) => ({ from: fromMs, to: toMs, source }))

const gapsIn = (stretches: readonly Stretch[]) =>
  stretches.slice(1).flatMap(({ from }, i) => {
    const { to } = stretches[i] ?? { to: from }
    return from - to < GAP_MIN_MS ? [] : [{ from: to, to: from }]
  })
