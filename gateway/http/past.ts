// GET …/past: which stretches of a camera's past exist, and the gaps between them, for a timeline.
import type { KnownCamera } from '../cameras.ts'
import type { PacketStream, Source } from '../past/packet-reader.ts'
import type { BufferRanges } from '../past/buffer-ranges.ts'
import { clipped, GAP_MIN_MS } from '../past/stretches.ts'
import type { PastQuery } from './request.ts'

export type PastParts = { packetStream: (source: Source) => PacketStream; bufferRanges: BufferRanges }

type Stretch = { from: number; to: number; source: 'buffer' | 'archive' }

export async function pastJson(
  camera: KnownCamera,
  { fromMs, toMs }: PastQuery,
  { packetStream, bufferRanges }: PastParts,
  signal: AbortSignal,
) {
  const buffer = await bufferRanges.of(camera, packetStream(camera), signal)
  const window = { fromMs: fromMs ?? buffer[0]?.fromMs ?? 0, toMs: toMs ?? Date.now() }
  const stretches: Stretch[] = clipped(buffer, window).map(range => ({ from: range.fromMs, to: range.toMs, source: 'buffer' }))
  return { from: window.fromMs, to: window.toMs, archive: 'none', stretches, gaps: gapsIn(stretches) }
}

const gapsIn = (stretches: readonly Stretch[]) =>
  stretches.slice(1).flatMap(({ from }, i) => {
    const { to } = stretches[i] ?? { to: from }
    return from - to < GAP_MIN_MS ? [] : [{ from: to, to: from }]
  })
