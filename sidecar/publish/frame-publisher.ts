// Frames → NATS, newest wins: two are on their way to NATS at most, a few to gateways that take them; one waits, and a newer one takes its place.
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { RAW_FRAME_BYTES_MAX } from '../../proto/frame.ts'
import { frameMessages, type Frame } from '../../proto/messages.ts'
import { frameSubject, type CameraRef } from '../../proto/subjects.ts'
import type { Metrics } from '../metrics.ts'
import { SendWindow, type Taken } from './send-window.ts'

const IN_FLIGHT_MAX = 2
/** Headers count towards the server's max_payload too. */
const HEADER_ROOM = 8_192

export class FramePublisher {
  readonly #nats: Nats
  readonly #subject: string
  readonly #uid: string
  readonly #metrics: Metrics
  readonly #warn: (message: string) => void
  readonly #window = new SendWindow()
  #waiting: Frame | undefined
  #inFlight = 0

  constructor(nats: Nats, camera: CameraRef & { uid: string }, metrics: Metrics, log: Logger) {
    this.#nats = nats
    this.#subject = frameSubject(camera)
    this.#uid = camera.uid
    this.#metrics = metrics
    this.#warn = everyMinute((count, error) => log.warn({ count, error }, 'could not publish frames'))
  }

  offer(frame: Frame): void {
    if (!this.#nats.connected()) {
      frame.lease?.release()
      return this.#drop('nats_unreachable')
    }
    if (frame.message.length > RAW_FRAME_BYTES_MAX) {
      frame.lease?.release()
      return this.#drop('too_large')
    }
    if (this.#mayGo(frame)) return void this.#send(frame)
    if (this.#waiting !== undefined) this.#drop('link_busy')
    this.#waiting?.lease?.release()
    this.#waiting = frame
  }

  /** What gateways have taken. */
  taken(takers: ReadonlyMap<string, Taken>): void {
    this.#window.note(takers)
    this.#sendWaiting()
  }

  #mayGo({ message }: Frame): boolean {
    return this.#inFlight < IN_FLIGHT_MAX && this.#window.hasRoom(message.length, performance.now())
  }

  #sendWaiting(): void {
    const next = this.#waiting
    if (next === undefined || !this.#mayGo(next)) return
    this.#waiting = undefined
    this.offer(next)
  }

  #drop(reason: string): void {
    this.#metrics.framesDropped.inc({ reason })
  }

  async #send(frame: Frame): Promise<void> {
    this.#inFlight++
    this.#window.sent(frame, frame.message.length, performance.now())
    const end = this.#metrics.publishSeconds.startTimer()
    try {
      const { nc } = this.#nats
      const messages = frameMessages(this.#uid, frame, (nc.info?.max_payload ?? 2 ** 20) - HEADER_ROOM)
      for (const { headers, payload } of messages) nc.publish(this.#subject, payload, { headers })
      await nc.flush() // or the connection ends: who gave up earlier would send more than a slow link takes
      end()
      this.#metrics.framesPublished.inc()
      frame.lease?.release() // the server has taken it, so it was sent
    } catch (error) {
      this.#drop('publish_failed')
      frame.lease?.forfeit()
      this.#warn(messageOf(error))
    } finally {
      this.#inFlight--
    }
    this.#sendWaiting()
  }
}
