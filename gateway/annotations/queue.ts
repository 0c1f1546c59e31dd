// Annotations are stored before they are acknowledged, and stay stored until the cloud has decided on them; see delivery.ts.
import {
  DiscardPolicy,
  headers as newHeaders,
  nanos,
  NatsError,
  RetentionPolicy,
  StorageType,
  type JetStreamManager,
  type NatsConnection,
} from 'nats'
import { backoffMs } from '../../common/backoff.ts'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import { replicasOf, type Nats } from '../../common/nats/connect.ts'
import { sleep } from '../../common/abort.ts'
import { ensureStream, forbiddenIn, isQuotaRefusal, isStreamMissing } from '../../common/nats/streams.ts'
import {
  annotationSubject,
  ANNOTATION_STREAM,
  ANNOTATION_SUBJECTS,
  RECENT_COPIES,
  DEAD_LETTER_STREAM,
  DEAD_LETTER_SUBJECT,
  HEADER,
  type CameraRef,
} from '../../proto/subjects.ts'
import type { Cause, Reason } from '../../proto/reasons.ts'
import { Allowance } from '../access/allowance.ts'
import type { AnnotationMetrics, Unstored } from './metrics.ts'
import { QueueHealth } from './queue-health.ts'
import { Refusal } from '../refusal.ts'

export type QueueOptions = {
  messagesMax: number
  bytesMax: number
  /** Without it no gateway takes annotations out: the oldest make room for new ones. */
  isDelivered: boolean
}

/** What is stored of an annotation besides itself. `frameId`: of the frame that it is about. */
export type About = { readonly id: string; readonly camera: CameraIdentity | undefined; readonly frameId: string | undefined }
export type CameraIdentity = { readonly ref: CameraRef; readonly uid: string }

/** For so long an annotation that comes again with its key is stored once. */
const REPETITION_MS = 3_600_000
const DEAD_LETTERS_MAX = 10_000
const DEAD_LETTER_BYTES_MAX = 16 * 2 ** 20

const queueConfig = ({ messagesMax, bytesMax, isDelivered }: QueueOptions, replicas: number) => ({
  num_replicas: replicas,
  name: ANNOTATION_STREAM,
  subjects: [ANNOTATION_SUBJECTS],
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: isDelivered ? DiscardPolicy.New : DiscardPolicy.Old,
  max_msgs: messagesMax,
  max_bytes: bytesMax,
  duplicate_window: nanos(REPETITION_MS),
  allow_direct: true,
  republish: RECENT_COPIES,
})

const deadLetterConfig = (replicas: number) => ({
  num_replicas: replicas,
  name: DEAD_LETTER_STREAM,
  subjects: [DEAD_LETTER_SUBJECT],
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  max_msgs: DEAD_LETTERS_MAX,
  max_bytes: DEAD_LETTER_BYTES_MAX,
  duplicate_window: nanos(REPETITION_MS),
})

/** Of NATS's max_payload, what is left for headers, those of a dead letter too. */
export const HEADERS_ROOM = 2_048

/** How long an annotation is tried to be stored, and each try of it. */
const STORE_MS = 30_000
const TRY_MS = 2_500
const PAUSE = { minMs: 1_000, maxMs: 8_000 }
const UPKEEP_MS = 5_000
const RETRY_MS = 1_000

/** A caller may fill an eighth of the queue at once, and an eighth in ten minutes. It holds while the queue is more than half full. */
const SHARE = 1 / 8
const SHARE_BYTES_MIN = 256 * 2 ** 10
const SHARE_SECONDS = 600

export class AnnotationQueue {
  readonly #options: QueueOptions
  readonly #shares: Allowance
  /** In the queue, as measured last, and stored since. */
  #bytesHeld = 0
  readonly #link: () => Nats | undefined
  readonly #metrics: AnnotationMetrics
  readonly #health = new QueueHealth()
  #lost = 0

  constructor(options: QueueOptions, link: () => Nats | undefined, metrics: AnnotationMetrics) {
    this.#options = options
    const burst = Math.max(options.bytesMax * SHARE, SHARE_BYTES_MIN)
    this.#shares = new Allowance({ burst, perSecond: burst / SHARE_SECONDS }, { burst: Infinity, perSecond: 0 })
    this.#link = link
    this.#metrics = metrics
  }

  /** Why annotations are not stored, or what was lost of them; undefined where all is well. */
  problem(): Cause | undefined {
    return this.#health.problem(performance.now())
  }

  /**
   * Returns when the annotation is stored: on disk, to be delivered, whatever ends then. `id`: a second one with the same id is not
   * stored again. `camera`: undefined for a name that is no camera's. `caller`: who has its share of the queue. Throws a Refusal.
   */
  async store(bytes: Uint8Array, about: About, caller: string, signal: AbortSignal): Promise<void> {
    this.#checkShare(bytes.length, caller)
    const endMs = performance.now() + STORE_MS
    for (let attempt = 0, cause = ''; ; attempt++) {
      const pauseMs = attempt === 0 ? 0 : backoffMs(attempt - 1, PAUSE)
      if (performance.now() + pauseMs + TRY_MS > endMs) throw this.#unstored('timeout', unavailable(cause))
      await sleep(pauseMs, signal)
      const nats = this.#link()
      if (nats === undefined || !nats.connected()) throw this.#unstored('nats', unavailable('NATS is unreachable'))
      if (signal.aborted) throw this.#unstored('cancelled', unavailable(cause))
      const bytesMax = (nats.nc.info?.max_payload ?? Infinity) - HEADERS_ROOM
      if (bytes.length > bytesMax) throw this.#unstored('size', new Refusal('invalid', `an annotation may have at most ${bytesMax} bytes`))
      try {
        return await this.#publish(nats.nc, bytes, about)
      } catch (error) {
        if (isFull(error)) throw this.#unstored('full', new Refusal('exhausted', 'annotation queue full'))
        cause = forbiddenIn(error) ?? messageOf(error)
        if (isStreamMissing(error)) cause = await this.#make(nats.nc).then(() => cause, messageOf)
      }
    }
  }

  /** Keeps the streams as configured, and the gauges true, until `signal` aborts. */
  async keep(nats: Nats, log: Logger, signal: AbortSignal): Promise<void> {
    const sayFailed = everyMinute((count, error) => log.warn({ count, error }, 'cannot create or update the annotation queue'))
    let isMade = false
    using _ = nats.onReconnect(() => (isMade = false))
    while (!signal.aborted) {
      let isFine = false
      try {
        if (nats.connected()) {
          if (!isMade) await this.#make(nats.nc)
          isMade = true
          await this.#measure(await nats.nc.jetstreamManager({ checkAPI: false }), log)
          isFine = true
        }
      } catch (error) {
        isMade = false
        this.#health.failed(messageOf(error), performance.now())
        if (nats.connected()) sayFailed(messageOf(error))
      }
      await sleep(isFine ? UPKEEP_MS : RETRY_MS, signal)
    }
  }

  async #publish(nc: NatsConnection, bytes: Uint8Array, { id, camera, frameId }: About): Promise<void> {
    const headers = newHeaders()
    if (frameId !== undefined) headers.set(HEADER.frameId, frameId)
    if (camera !== undefined) headers.set(HEADER.camera, camera.uid)
    const { duplicate, seq } = await nc.jetstream().publish(annotationSubject(camera?.ref), bytes, { msgID: id, timeout: TRY_MS, headers })
    this.#health.stored(seq)
    if (duplicate) this.#metrics.repeated.inc()
    else this.#metrics.accepted.inc()
    if (!duplicate) this.#bytesHeld += bytes.length
  }

  #checkShare(bytes: number, caller: string): void {
    const { isDelivered, bytesMax } = this.#options
    const hasShare = this.#shares.take(caller, performance.now(), bytes)
    if (hasShare || !isDelivered || this.#bytesHeld <= bytesMax / 2) return
    throw this.#unstored(
      'share',
      new Refusal('exhausted', 'the annotation queue is more than half full, and you have filled your share: try again later'),
    )
  }

  async #make(nc: NatsConnection): Promise<void> {
    const jsm = await nc.jetstreamManager({ checkAPI: false })
    const replicas = replicasOf(nc)
    await ensureStream(jsm, queueConfig(this.#options, replicas))
    if (this.#options.isDelivered) await ensureStream(jsm, deadLetterConfig(replicas))
  }

  async #measure(jsm: JetStreamManager, log: Logger): Promise<void> {
    const { known } = this.#health
    const { state, ts } = await jsm.streams.info(ANNOTATION_STREAM)
    const lost = this.#health.measured(state, known, performance.now())
    if (lost > this.#lost) log.error({ reason: 'StoreDamaged' satisfies Reason, lost }, 'NATS has lost acknowledged annotations')
    this.#lost = lost
    this.#metrics.lost.set(lost)
    const nowMs = ts === undefined ? Date.now() : Date.parse(ts)
    this.#metrics.queued.set(state.messages)
    this.#bytesHeld = state.bytes
    this.#metrics.oldest.set(state.messages === 0 ? 0 : Math.max(0, nowMs - Date.parse(state.first_ts)) / 1_000)
    if (!this.#options.isDelivered) return
    this.#metrics.deadLetters.set((await jsm.streams.info(DEAD_LETTER_STREAM)).state.messages)
  }

  #unstored(reason: Unstored, refusal: Refusal): Refusal {
    if (reason === 'full' || reason === 'nats' || reason === 'timeout') this.#health.failed(refusal.message, performance.now())
    this.#metrics.unstored.inc({ reason })
    return refusal
  }
}

const unavailable = (cause: string) =>
  new Refusal('unavailable', `the annotation could not be stored: ${cause === '' ? 'no answer' : cause}`)

/** JetStream has no room, and says so; an error of its disk is none of these. */
function isFull(error: unknown): boolean {
  if (!(error instanceof NatsError) || !isQuotaRefusal(error)) return false
  return /maximum|insufficient|exceeded|limits/i.test(error.api_error?.description ?? error.message)
}
