// Frames → NATS, newest wins: at most two frames are on their way, one waits, and a newer one takes its place.
import { messageOf } from '../common/errors.ts'
import { everyMinute, type Logger } from '../common/log.ts'
import { isConfined, type Nats } from '../common/nats.ts'
import { ensureFrameStream } from '../common/shared-streams.ts'
import { within } from '../common/stop.ts'
import { isStreamMissing } from '../common/streams.ts'
import { frameMessages, type Frame } from '../proto/messages.ts'
import { frameSubject, type CameraRef } from '../proto/subjects.ts'
import type { Metrics } from './metrics.ts'

const IN_FLIGHT_MAX = 2
const ACK_TIMEOUT_MS = 2_000
/** Headers count towards the server's max_payload too. */
const HEADER_ROOM = 8_192
const RETRY_MS = 5_000

export class FramePublisher {
  readonly #nats: Nats
  readonly #subject: string
  readonly #uid: string
  readonly #metrics: Metrics
  readonly #warn: (message: string) => void
  #waiting: Frame | undefined
  #inFlight = 0
  /** The stream is there, for all that is known. A subject without its stream would not be acknowledged by anyone. */
  #ready = false
  #ensuring: Promise<void> | undefined
  #tryAfter = 0

  constructor(nats: Nats, camera: CameraRef & { uid: string }, metrics: Metrics, log: Logger) {
    this.#nats = nats
    this.#subject = frameSubject(camera)
    this.#uid = camera.uid
    this.#metrics = metrics
    this.#warn = everyMinute((count, error) => log.warn({ count, error }, 'frames could not be published'))
    void this.#ensure() // before the first client asks
  }

  offer(frame: Frame): void {
    if (!this.#nats.connected()) {
      frame.lease?.release()
      return this.#drop('nats_away')
    }
    if (this.#inFlight < IN_FLIGHT_MAX) return void this.#send(frame)
    if (this.#waiting !== undefined) this.#drop('link_busy')
    this.#waiting?.lease?.release()
    this.#waiting = frame
  }

  #drop(cause: string): void {
    this.#metrics.framesDropped.inc({ cause })
  }

  async #send(frame: Frame): Promise<void> {
    this.#inFlight++
    const end = this.#metrics.publishSeconds.startTimer()
    try {
      await this.#ensure()
      const { nc } = this.#nats
      const messages = frameMessages(this.#uid, frame, (nc.info?.max_payload ?? 2 ** 20) - HEADER_ROOM)
      if (this.#ready) {
        const js = nc.jetstream()
        await Promise.all(messages.map(({ headers, payload }) => js.publish(this.#subject, payload, { headers, timeout: ACK_TIMEOUT_MS })))
      } else {
        // JetStream has no room: gateways that listen get the frame all the same.
        for (const { headers, payload } of messages) nc.publish(this.#subject, payload, { headers })
        await within(ACK_TIMEOUT_MS, 'NATS', nc.flush())
      }
      end()
      this.#metrics.framesPublished.inc()
      frame.lease?.release() // acknowledged, so it was sent
    } catch (error) {
      // The message itself may have reached gateways; without an acknowledgement nobody knows.
      this.#drop('publish_failed')
      frame.lease?.forfeit()
      this.#ready = false // memory streams go with their server
      // Who may not make it waits for those who do.
      this.#tryAfter = isConfined(this.#nats.nc) && isStreamMissing(error) ? performance.now() + RETRY_MS : 0
      this.#warn(messageOf(error))
    } finally {
      this.#inFlight--
    }
    const next = this.#waiting
    this.#waiting = undefined
    if (next !== undefined) this.offer(next)
  }

  /** Makes the stream where it may be missing; one that is refused is tried again later. */
  async #ensure(): Promise<void> {
    if (this.#ready || performance.now() < this.#tryAfter) return
    await (this.#ensuring ??= this.#make().finally(() => (this.#ensuring = undefined)))
  }

  async #make(): Promise<void> {
    try {
      if (!isConfined(this.#nats.nc)) await ensureFrameStream(this.#nats.nc)
      this.#ready = true
    } catch (error) {
      this.#tryAfter = performance.now() + RETRY_MS
      this.#warn(messageOf(error))
    }
  }
}
