// Annotations, from the queue to the cloud: in order, one batch in flight among all gateways. Who holds the consumer's one unacknowledged
// message, the oldest in the queue, reads on from there, delivers, and only then removes what it delivered. When it dies, the message
// comes to another gateway; what was sent twice has the same ids.
import { createHash } from 'node:crypto'
import { AckPolicy, DeliverPolicy, nanos, RequestStrategy, type Consumer, type JsMsg, type MsgHdrs, type NatsConnection } from 'nats'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { sleep, whenAborted } from '../../common/abort.ts'
import { isMessageMissing, isStreamMissing } from '../../common/nats/streams.ts'
import { ANNOTATION_CONSUMER, ANNOTATION_STREAM } from '../../proto/subjects.ts'
import { cloudJson, decodeAnnotation, problemWith } from './annotation.ts'
import type { AnnotationMetrics } from './metrics.ts'
import { describe, type Cloud } from './cloud.ts'
import { DeadLetters, type Letter } from './dead-letters.ts'
import { pauseMs, verdictOn } from './delivery-outcome.ts'

const BATCH_MAX = 299
/** Of annotations as stored; one alone may be larger. */
const BATCH_BYTES_MAX = 4 * 2 ** 20
/** How long a batch that isn't full waits for more. */
const GATHER_MS = 300
/** A gateway that has not been heard of for so long has lost its turn. */
const TURN_MS = 12_000
const HOLD_MS = 3_000
const WAIT_MS = 30_000
const RETRY_MS = 1_000
const ANSWER_MS = 5_000

type Queued = Letter & { readonly seq: number }
type Item = Queued & { readonly json: string }

export class Delivery {
  readonly #nats: Nats
  readonly #cloud: Cloud
  readonly #url: string
  readonly #metrics: AnnotationMetrics
  readonly #signal: AbortSignal
  readonly #dead: DeadLetters
  readonly #sayFailed: (message: string) => void
  readonly #sayLater: (message: string) => void

  constructor(nats: Nats, { cloud, url }: { cloud: Cloud; url: string }, metrics: AnnotationMetrics, log: Logger, signal: AbortSignal) {
    this.#nats = nats
    this.#cloud = cloud
    this.#url = url
    this.#metrics = metrics
    this.#signal = signal
    this.#dead = new DeadLetters(nats, metrics, log, signal)
    this.#sayFailed = everyMinute((count, error) => log.warn({ count, error }, 'could not read annotations from the queue'))
    this.#sayLater = everyMinute((count, error) => log.warn({ count, error }, 'the cloud does not accept annotations; they are kept'))
  }

  /** Until the signal aborts. What was not decided by then stays in the queue. */
  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        const consumer = await this.#consumer()
        while (!this.#signal.aborted) await this.#turn(consumer)
      } catch (error) {
        // The side that takes annotations makes the stream, and reports where it can't.
        if (this.#nats.connected() && !isStreamMissing(error)) this.#sayFailed(messageOf(error))
        await sleep(RETRY_MS, this.#signal)
      }
    }
  }

  async #consumer(): Promise<Consumer> {
    const jsm = await this.#nats.nc.jetstreamManager({ checkAPI: false })
    await jsm.consumers.add(ANNOTATION_STREAM, {
      durable_name: ANNOTATION_CONSUMER,
      deliver_policy: DeliverPolicy.All,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(TURN_MS),
      max_ack_pending: 1,
    })
    return await this.#nats.nc.jetstream().consumers.get(ANNOTATION_STREAM, ANNOTATION_CONSUMER)
  }

  async #turn(consumer: Consumer): Promise<void> {
    const head = await nextMessage(consumer, this.#signal)
    if (head === undefined) return
    const holding = setInterval(() => this.#nats.connected() && head.working(), HOLD_MS)
    const began = this.#metrics.batch.startTimer()
    let isDone = false
    try {
      const batch = await this.#gather(head)
      this.#metrics.delivering.set(batch.length)
      isDone = (await this.#deliver(await this.#sound(batch))) && (await this.#remove(batch))
      if (isDone) began()
    } finally {
      clearInterval(holding)
      this.#metrics.delivering.set(0)
      // Acknowledged only after removal: the next gateway finds nothing of this batch.
      if (this.#nats.connected() && isDone) head.ack()
      else if (this.#nats.connected()) head.nak()
    }
  }

  async #gather(head: JsMsg): Promise<Queued[]> {
    if (head.info.pending < BATCH_MAX - 1) await sleep(GATHER_MS, this.#signal)
    const first = { seq: head.seq, id: idOf(head.headers, head.seq), subject: head.subject, bytes: head.data }
    const room = BATCH_BYTES_MAX - head.data.length
    return [first, ...(room > 0 ? await readFrom(this.#nats.nc, head.seq + 1, BATCH_MAX - 1, room) : [])]
  }

  /** Without those that are no annotations, which are dead letters. */
  async #sound(batch: readonly Queued[]): Promise<Item[]> {
    const items: Item[] = []
    for (const queued of batch) {
      const json = jsonOf(queued)
      if ('problem' in json) await this.#dead.put(queued, 'malformed', json.problem)
      else items.push({ ...queued, ...json })
    }
    return items
  }

  /** True when each was accepted, or refused for good; false when the process is to end before that. */
  async #deliver(items: readonly Item[]): Promise<boolean> {
    const [first] = items
    if (first === undefined) return !this.#signal.aborted
    const call = { method: 'POST' as const, url: this.#url, body: bodyOf(items), headers: { 'Idempotency-Key': keyOf(items) } }
    for (let attempt = 0; !this.#signal.aborted; attempt++) {
      if (attempt > 0) this.#metrics.retried.inc(items.length)
      const outcome = await this.#cloud.call('annotations', call, this.#signal)
      if (this.#signal.aborted && outcome.kind === 'failed') return false
      const verdict = verdictOn(outcome)
      if (verdict === 'accepted') {
        this.#metrics.delivered.inc(items.length)
        return true
      }
      if (verdict === 'refused') {
        if (items.length > 1) return await this.#deliverHalves(items)
        const reason = outcome.kind === 'answered' ? String(outcome.status) : outcome.cause
        return await this.#dead.put(first, reason, describe(outcome))
      }
      const waitMs = pauseMs(attempt, outcome)
      this.#sayLater(`${describe(outcome)}; trying again in ${Math.ceil(waitMs / 1_000)} s`)
      await sleep(waitMs, this.#signal)
    }
    return false
  }

  async #deliverHalves(items: readonly Item[]): Promise<boolean> {
    const middle = Math.ceil(items.length / 2)
    return (await this.#deliver(items.slice(0, middle))) && (await this.#deliver(items.slice(middle)))
  }

  /** Takes the batch out of the queue. Its numbers are believed only while its last one is where it was: a lost stream starts again at 1. */
  async #remove(batch: readonly Queued[]): Promise<boolean> {
    const last = batch.at(-1)
    if (last === undefined) return true
    for (; !this.#signal.aborted; await sleep(RETRY_MS, this.#signal)) {
      try {
        const jsm = await this.#nats.nc.jetstreamManager({ checkAPI: false })
        const there = await jsm.streams.getMessage(ANNOTATION_STREAM, { seq: last.seq })
        if (idOf(there.header, there.seq) !== last.id) return false
        await jsm.streams.purge(ANNOTATION_STREAM, { seq: last.seq + 1 })
        return true
      } catch (error) {
        if (isMessageMissing(error)) return true // another gateway, taken for dead meanwhile or taking us for dead, was quicker
        if (this.#nats.connected()) this.#sayFailed(messageOf(error))
      }
    }
    return false
  }
}

/** The oldest in the queue, if no other gateway holds it. */
async function nextMessage(consumer: Consumer, signal: AbortSignal): Promise<JsMsg | undefined> {
  const startMs = performance.now()
  const messages = await consumer.fetch({ max_messages: 1, expires: WAIT_MS })
  using _ = whenAborted(signal, () => messages.stop())
  for await (const message of messages) return message
  if (performance.now() - startMs < RETRY_MS) await sleep(RETRY_MS, signal) // the server did not let us wait
  return undefined
}

/** What is stored from `seq` on, without a consumer: up to so many, and about so many bytes. */
async function readFrom(nc: NatsConnection, seq: number, max: number, bytesMax: number): Promise<Queued[]> {
  const ask = JSON.stringify({ seq, batch: max, max_bytes: bytesMax })
  const answers = await nc.requestMany(`$JS.API.DIRECT.GET.${ANNOTATION_STREAM}`, ask, {
    strategy: RequestStrategy.SentinelMsg,
    maxWait: ANSWER_MS,
  })
  const queued: Queued[] = []
  for await (const { headers, data } of answers) {
    const at = Number(headers?.get('Nats-Sequence'))
    if (data.length === 0 || !(at > 0)) break
    queued.push({ seq: at, id: idOf(headers, at), subject: headers?.get('Nats-Subject') ?? '', bytes: data })
  }
  return queued
}

/** An annotation without an id is told apart by its place in the queue. */
const idOf = (headers: MsgHdrs | undefined, seq: number): string => headers?.get('Nats-Msg-Id') || `seq-${seq}`

function jsonOf({ id, bytes }: Queued): { json: string } | { problem: string } {
  try {
    const annotation = decodeAnnotation(bytes)
    const problem = problemWith(annotation)
    return problem === undefined ? { json: cloudJson(annotation, id) } : { problem }
  } catch (error) {
    return { problem: `no AnnotateRequest: ${messageOf(error)}` }
  }
}

const bodyOf = (items: readonly Item[]): string => `{"data":[${items.map(({ json }) => json).join(',')}]}`

/** The same for the same annotations. */
function keyOf(items: readonly Item[]): string {
  const hash = createHash('sha256')
  for (const { id } of items) hash.update(id).update('\n')
  return hash.digest('hex').slice(0, 32)
}
