// A camera's frames as its sidecar decodes them.
import type { Msg, Subscription } from 'nats'
import { messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { BadMessage, Reassembly, type Frame } from '../../proto/messages.ts'
import { frameSubject, refText } from '../../proto/subjects.ts'
import type { Feed, FeedEvents } from './upstream.ts'
import { frameInPlace } from '../../common/patches/grpc-framing.ts'
import type { Metrics } from '../metrics.ts'
import type { Source } from '../past/packet-reader.ts'

/** A camera whose every frame comes out of order was set back in time: after this long without one in order, its new order is taken. */
export const ORDER_FORGOTTEN_MS = 10_000

export class FrameFeed implements Feed {
  readonly where = 'Sidecar'
  readonly key = 'Sidecar'
  readonly #camera: string
  readonly #events: FeedEvents
  readonly #metrics: Metrics
  readonly #reassembly: Reassembly
  readonly #subscription: Subscription
  readonly #reconnected: Disposable
  /** Since it began to listen, or did so anew. */
  #hasAny = false
  #last: { epoch: number; seq: number; receivedMs: number } | undefined

  constructor(nats: Nats, { ref, uid }: Source, events: FeedEvents, metrics: Metrics, log: Logger) {
    this.#camera = refText(ref)
    this.#events = events
    this.#metrics = metrics
    this.#reassembly = new Reassembly(uid)
    // A callback, since an iterator would queue without bound.
    this.#subscription = nats.nc.subscribe(frameSubject(ref), {
      callback: (error, message) => {
        if (error === null) this.#receive(message)
        else log.error({ camera: this.#camera, error: messageOf(error) }, 'the subscription to a camera’s frames failed')
      },
    })
    this.#reconnected = nats.onReconnect(() => (this.#hasAny = false))
  }

  get isClosed(): boolean {
    return this.#subscription.isClosed()
  }

  /** The sidecar is told by whoever keeps up the demand. */
  want(): void {}

  tick(): void {}

  end(): Promise<void> {
    this.#reconnected[Symbol.dispose]()
    this.#subscription.unsubscribe()
    return Promise.resolve()
  }

  #receive(message: Msg): void {
    try {
      const frame = this.#reassembly.frame(message)
      if (frame === undefined) return
      this.#hasAny = true
      this.#check(frame, performance.now())
      this.#metrics.framesReceived.inc({ camera: this.#camera })
      this.#metrics.bytesReceived.inc({ camera: this.#camera }, frame.message.length)
      // Over the end of its NATS headers, which have been read. What came in parts was put together elsewhere.
      if (frame.message.buffer === message.data.buffer) frameInPlace(frame.message)
      this.#events.onFrame(frame)
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      // Whoever begins to listen may come in the middle of a frame.
      if (error.reason !== 'incomplete' || this.#hasAny) this.#events.onBad(error)
    }
  }

  /** Throws BadMessage for a frame that comes after its turn. */
  #check({ epoch, seq }: Frame, nowMs: number): void {
    const last = this.#last
    const rises = last === undefined || epoch > last.epoch || (epoch === last.epoch && seq > last.seq)
    if (!rises && nowMs - last.receivedMs < ORDER_FORGOTTEN_MS) {
      throw new BadMessage('sequence', `frame ${epoch}/${seq} after ${last.epoch}/${last.seq}`)
    }
    this.#last = { epoch, seq, receivedMs: nowMs }
  }
}
