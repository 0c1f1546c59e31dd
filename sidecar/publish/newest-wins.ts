// Frames → NATS, newest wins: two are on their way to NATS at most; one waits, and a newer one takes its place.
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { RAW_FRAME_BYTES_MAX } from '../../proto/frame.ts'
import type { MemoryLease, Outgoing } from '../../proto/messages.ts'
import type { Metrics } from '../metrics.ts'

const IN_FLIGHT_MAX = 2
/** Headers count towards the server's max_payload too. */
const HEADER_ROOM = 8_192

export type Publishing<F> = {
  nats: Nats
  subject: string
  bytesOf: (frame: F) => number
  messagesOf: (frame: F, payloadMax: number) => Outgoing[]
  /** Whether it may go to those who take frames now; always unless given. */
  hasRoom?: (frame: F) => boolean
  /** It is being sent. */
  onSend?: (frame: F) => void
  metrics: Metrics
  log: Logger
}

export class NewestWins<F extends { readonly lease?: MemoryLease | undefined }> {
  readonly #options: Publishing<F>
  readonly #warn: (message: string) => void
  #waiting: F | undefined
  #inFlight = 0

  constructor(options: Publishing<F>) {
    this.#options = options
    this.#warn = everyMinute((count, error) => options.log.warn({ count, error }, 'could not publish frames'))
  }

  offer(frame: F): void {
    const { nats, bytesOf } = this.#options
    if (!nats.connected()) return this.#drop(frame, 'nats_unreachable')
    if (bytesOf(frame) > RAW_FRAME_BYTES_MAX) return this.#drop(frame, 'too_large')
    if (this.#mayGo(frame)) return void this.#send(frame)
    if (this.#waiting !== undefined) this.#drop(this.#waiting, 'link_busy')
    this.#waiting = frame
  }

  /** Sends the frame that waits, where it may go now. */
  sendWaiting(): void {
    const next = this.#waiting
    if (next === undefined || !this.#mayGo(next)) return
    this.#waiting = undefined
    this.offer(next)
  }

  #mayGo(frame: F): boolean {
    return this.#inFlight < IN_FLIGHT_MAX && (this.#options.hasRoom?.(frame) ?? true)
  }

  #drop({ lease }: F, reason: string): void {
    lease?.release()
    this.#options.metrics.framesDropped.inc({ reason })
  }

  async #send(frame: F): Promise<void> {
    const { nats, subject, messagesOf, onSend, metrics } = this.#options
    this.#inFlight++
    onSend?.(frame)
    const end = metrics.publishSeconds.startTimer()
    try {
      const { nc } = nats
      const messages = messagesOf(frame, (nc.info?.max_payload ?? 2 ** 20) - HEADER_ROOM)
      for (const { headers, payload } of messages) nc.publish(subject, payload, { headers })
      await nc.flush() // or the connection ends: who gave up earlier would send more than a slow link takes
      end()
      metrics.framesPublished.inc()
      frame.lease?.release() // the server has taken it, so it was sent
    } catch (error) {
      metrics.framesDropped.inc({ reason: 'publish_failed' })
      frame.lease?.forfeit()
      this.#warn(messageOf(error))
    } finally {
      this.#inFlight--
    }
    this.sendWaiting()
  }
}
