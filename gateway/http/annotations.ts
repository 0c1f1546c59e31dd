// GET …/annotations: what models and people annotated of a camera, of a time; or as it comes, as server-sent events.
import { ByteQueue } from '../../common/queue.ts'
import type { AnnotationMetrics } from '../annotations/metrics.ts'
import type { RecentAnnotations, Seen } from '../annotations/recent.ts'
import type { KnownCamera } from '../cameras.ts'
import { answerJson } from './answer.ts'
import type { AnnotationsQuery } from './request.ts'
import { httpOutlet, sendPiece, type Exchange, type StreamParts } from './sending.ts'

/** That wait for one client: a slow one loses the oldest. */
const WAITING_MAX = 2_000
const WAITING_BYTES_MAX = 2 ** 20
/** Something is sent at least so often, so that a connection which is gone is noticed. */
const BEAT_MS = 15_000
const BEGIN = Buffer.from('retry: 2000\n\n')
const BEAT = Buffer.from(': still here\n\n')

export type AnnotationParts = StreamParts & { recent: RecentAnnotations; annotationMetrics: AnnotationMetrics }

export async function sendAnnotations({ uid }: KnownCamera, query: AnnotationsQuery, parts: AnnotationParts, exchange: Exchange) {
  if (/text\/event-stream/.test(exchange.request.headers.accept ?? '')) return await sendEvents(uid, parts, exchange)
  const { fromMs = 0, toMs = Infinity, limit } = query
  answerJson(exchange.response, 200, parts.recent.of(uid, { fromMs, toMs, limit }))
}

async function sendEvents(uid: string, parts: AnnotationParts, exchange: Exchange): Promise<void> {
  const outlet = httpOutlet(exchange)
  const { signal } = exchange
  const queue = new ByteQueue<string>({ bytesMax: WAITING_BYTES_MAX, itemsMax: WAITING_MAX })
  const listener = (seen: Seen) => {
    const event = `data: ${JSON.stringify(seen)}\n\n`
    while (!queue.push(event, event.length)) {
      queue.shift()
      parts.annotationMetrics.withheld.inc()
    }
  }
  using _ = parts.recent.listen(uid, listener)
  outlet.begin('text/event-stream')
  await sendPiece(outlet, parts, BEGIN)
  while (!signal.aborted) {
    await queue.wait(AbortSignal.any([signal, AbortSignal.timeout(BEAT_MS)]))
    const events: string[] = []
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) events.push(event)
    const piece = events.length === 0 ? BEAT : Buffer.from(events.join(''))
    if (!signal.aborted && !(await sendPiece(outlet, parts, piece))) parts.annotationMetrics.withheld.inc(events.length)
  }
}
