// Frames of one rendition → NATS, newest wins. They are small: a gateway asks a sidecar for no others.
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { RAW_FRAME_BYTES_MAX } from '../../proto/frame.ts'
import { renditionMessages } from '../../proto/messages.ts'
import type { LiveFrame } from '../../proto/rendition.ts'
import { renditionSubject, type CameraRef } from '../../proto/subjects.ts'
import type { Metrics } from '../metrics.ts'

const IN_FLIGHT_MAX = 2
/** Headers count towards the server's max_payload too. */
const HEADER_ROOM = 8_192

type Outgoing = { frame: LiveFrame; seq: number }

export class RenditionPublisher {
  readonly #nats: Nats
  readonly #subject: string
  readonly #uid: string
  readonly #metrics: Metrics
  readonly #warn: (message: string) => void
  #waiting: Outgoing | undefined
  #inFlight = 0

  constructor(nats: Nats, camera: CameraRef & { uid: string }, key: string, metrics: Metrics, log: Logger) {
    this.#nats = nats
    this.#subject = renditionSubject(camera, key)
    this.#uid = camera.uid
    this.#metrics = metrics
    this.#warn = everyMinute((count, error) => log.warn({ count, error }, 'could not publish frames'))
  }

  offer(frame: LiveFrame, seq: number): void {
    if (!this.#nats.connected()) return this.#drop(frame, 'nats_unreachable')
    if (frame.data.length > RAW_FRAME_BYTES_MAX) return this.#drop(frame, 'too_large')
    if (this.#inFlight < IN_FLIGHT_MAX) return void this.#send({ frame, seq })
    if (this.#waiting !== undefined) this.#drop(this.#waiting.frame, 'link_busy')
    this.#waiting = { frame, seq }
  }

  #drop({ lease }: LiveFrame, reason: string): void {
    lease?.release()
    this.#metrics.framesDropped.inc({ reason })
  }

  async #send({ frame, seq }: Outgoing): Promise<void> {
    this.#inFlight++
    const end = this.#metrics.publishSeconds.startTimer()
    try {
      const { nc } = this.#nats
      const messages = renditionMessages(this.#uid, frame, seq, (nc.info?.max_payload ?? 2 ** 20) - HEADER_ROOM)
      for (const { headers, payload } of messages) nc.publish(this.#subject, payload, { headers })
      await nc.flush() // or the connection ends
      end()
      this.#metrics.framesPublished.inc()
      frame.lease?.release() // the server has taken it, so it was sent
    } catch (error) {
      this.#metrics.framesDropped.inc({ reason: 'publish_failed' })
      frame.lease?.forfeit()
      this.#warn(messageOf(error))
    } finally {
      this.#inFlight--
    }
    const next = this.#waiting
    this.#waiting = undefined
    if (next !== undefined) this.offer(next.frame, next.seq)
  }
}
