// Keeps the stream of recent annotations, and follows it into memory: each gateway knows what clients of every gateway annotated.
import { DiscardPolicy, nanos, RetentionPolicy, StorageType, type JsMsg } from 'nats'
import { every, sleep, whenAborted } from '../../common/abort.ts'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import { replicasOf, type Nats } from '../../common/nats/connect.ts'
import { DUPLICATES_MS, ensureStream } from '../../common/nats/streams.ts'
import { placeOfFrame } from '../../proto/frame-id.ts'
import { HEADER, RECENT_STREAM, RECENT_SUBJECTS, refOfRecent } from '../../proto/subjects.ts'
import { decodeAnnotation, problemWith } from './annotation.ts'
import { RECENT_LIMITS, seenOf, type RecentAnnotations } from './recent.ts'

const BYTES_MAX = 32 * 2 ** 20
const RETRY_MS = 1_000
const CHECK_MS = 5_000

const recentConfig = (replicas: number) => ({
  num_replicas: replicas,
  name: RECENT_STREAM,
  subjects: [RECENT_SUBJECTS],
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  max_msgs: RECENT_LIMITS.all,
  max_msgs_per_subject: RECENT_LIMITS.each,
  max_bytes: BYTES_MAX,
  max_age: nanos(RECENT_LIMITS.ageMs),
  duplicate_window: nanos(DUPLICATES_MS),
})

/** Until `signal` aborts. After a reconnect, or where the stream was lost, it is read again from its start: what is known already is no news. */
export async function followRecent(
  nats: Nats,
  recent: RecentAnnotations,
  { onBad, log }: { onBad: () => void; log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const sayFailed = everyMinute((count, error) => log.warn({ count, error }, 'cannot follow recent annotations'))
  while (!signal.aborted) {
    try {
      if (nats.connected()) await followOnce(nats, recent, onBad, signal)
    } catch (error) {
      if (nats.connected()) sayFailed(messageOf(error))
    }
    await sleep(RETRY_MS, signal)
  }
}

/** Ends at a reconnect, and where the stream is not the one that it was. */
async function followOnce(nats: Nats, recent: RecentAnnotations, onBad: () => void, signal: AbortSignal): Promise<void> {
  const jsm = await nats.nc.jetstreamManager({ checkAPI: false })
  const { created } = await ensureStream(jsm, recentConfig(replicasOf(nats.nc)))
  const consumer = await nats.nc.jetstream().consumers.get(RECENT_STREAM)
  const messages = await consumer.consume()
  const over = new AbortController()
  using _reconnected = nats.onReconnect(() => over.abort())
  using _stopped = whenAborted(signal, () => over.abort())
  using _ended = whenAborted(over.signal, () => messages.stop())
  using _ = { [Symbol.dispose]: () => over.abort() }
  const isSame = async () => (await jsm.streams.info(RECENT_STREAM)).created === created
  const check = async () => {
    recent.expire(Date.now())
    if (!(await isSame().catch(() => !nats.connected()))) over.abort()
  }
  void every(CHECK_MS, check, over.signal)
  for await (const message of messages) if (!take(message, recent)) onBad()
}

/** False where it is no annotation of a camera. */
function take(message: JsMsg, recent: RecentAnnotations): boolean {
  const uid = message.headers?.get(HEADER.camera)
  if (uid === undefined || uid === '' || refOfRecent(message.subject) === undefined) return false
  try {
    const annotation = decodeAnnotation(message.data)
    if (problemWith(annotation) !== undefined) return false
    const id = message.headers?.get('Nats-Msg-Id') || `seq-${message.seq}`
    const frame = message.headers?.get(HEADER.frameId) ?? ''
    recent.add(uid, seenOf(annotation, id, placeOfFrame(frame) && frame), message.info.timestampNanos / 1e6)
    return true
  } catch {
    return false
  }
}
