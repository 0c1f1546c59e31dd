// Frames of the Image service → NATS, as many as gateways take.
import type { Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { frameMessages, type Frame } from '../../proto/messages.ts'
import { frameSubject, type CameraRef } from '../../proto/subjects.ts'
import type { Metrics } from '../metrics.ts'
import { NewestWins } from './newest-wins.ts'
import { SendWindow, type Taken } from './send-window.ts'

export class FramePublisher {
  readonly #window = new SendWindow()
  readonly #frames: NewestWins<Frame>

  constructor(nats: Nats, camera: CameraRef & { uid: string }, metrics: Metrics, log: Logger) {
    this.#frames = new NewestWins<Frame>({
      ...{ nats, subject: frameSubject(camera), metrics, log },
      bytesOf: ({ message }) => message.length,
      messagesOf: (frame, payloadMax) => frameMessages(camera.uid, frame, payloadMax),
      hasRoom: ({ message }) => this.#window.hasRoom(message.length, performance.now()),
      onSend: frame => this.#window.sent(frame, frame.message.length, performance.now()),
    })
  }

  offer(frame: Frame): void {
    this.#frames.offer(frame)
  }

  /** What gateways have taken. */
  taken(takers: ReadonlyMap<string, Taken>): void {
    this.#window.note(takers)
    this.#frames.sendWaiting()
  }
}
