// What the cloud will never take: kept for a person to look at, the newest ones, each with the reason.
import { headers } from 'nats'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { sleep } from '../../common/abort.ts'
import { oneLine } from '../../common/text.ts'
import { DEAD_LETTER_SUBJECT, HEADER } from '../../proto/subjects.ts'
import type { AnnotationMetrics } from './metrics.ts'
import { HEADERS_ROOM } from './queue.ts'

const RETRY_MS = 1_000
const TEXT_LENGTH_MAX = 400

export type Letter = { readonly id: string; readonly subject: string; readonly bytes: Uint8Array }

export class DeadLetters {
  readonly #nats: Nats
  readonly #metrics: AnnotationMetrics
  readonly #signal: AbortSignal
  readonly #sayDead: (message: string) => void
  readonly #sayFailed: (message: string) => void

  constructor(nats: Nats, metrics: AnnotationMetrics, log: Logger, signal: AbortSignal) {
    this.#nats = nats
    this.#metrics = metrics
    this.#signal = signal
    this.#sayDead = everyMinute((count, error) => log.warn({ count, error }, 'the cloud refused an annotation; it is now a dead letter'))
    this.#sayFailed = everyMinute((count, error) => log.warn({ count, error }, 'a dead letter cannot be stored; trying again'))
  }

  /** `reason` labels the metric, `text` is for a person. False when the process is to end before the letter is stored. */
  async put({ id, subject, bytes }: Letter, reason: string, text: string): Promise<boolean> {
    const fields = headers()
    fields.set(HEADER.reason, oneLine(text, TEXT_LENGTH_MAX))
    fields.set(HEADER.subject, subject)
    // Stored by somebody with less around it than it gets here, it may be too large now.
    const isTooLarge = bytes.length + HEADERS_ROOM > (this.#nats.nc.info?.max_payload ?? 0)
    const kept = isTooLarge ? new Uint8Array() : bytes
    for (; !this.#signal.aborted; await sleep(RETRY_MS, this.#signal)) {
      if (!this.#nats.connected()) continue
      try {
        const { duplicate } = await this.#nats.nc.jetstream().publish(DEAD_LETTER_SUBJECT, kept, { msgID: id, headers: fields })
        if (!duplicate) this.#metrics.dead.inc({ reason })
        this.#sayDead(text)
        return true
      } catch (error) {
        if (this.#nats.connected()) this.#sayFailed(messageOf(error))
      }
    }
    return false
  }
}
