// A camera's frames as its sidecar decodes them.
import type { Msg, Subscription } from 'nats'
import { messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import type { Seal } from '../../proto/frame.ts'
import { BadMessage, Reassembly, type Frame } from '../../proto/messages.ts'
import { frameSubject, refText, renditionSubject } from '../../proto/subjects.ts'
import { frameInPlace } from '../../common/patches/grpc-framing.ts'
import { frameBytes, IMAGE_KEY, type Geometry, type LiveFrame, type RenditionDemand } from '../../proto/rendition.ts'
import type { KnownCamera } from '../cameras.ts'
import type { Metrics } from '../metrics.ts'
import { ORDER_FORGOTTEN_MS } from './rendition-frames.ts'
import type { Upstream, UpstreamEvents } from './upstream.ts'

export type Place = { readonly epoch: number; readonly seq: number }

export type SidecarEvents = UpstreamEvents & {
  /** From here on NATS sends what the sidecar publishes. */
  onListening: () => void
  /** The frame has come, whole, and is off the link. */
  onTaken: (place: Place) => void
}

export class SidecarFrames implements Upstream {
  readonly where = 'Sidecar'
  readonly key = 'Sidecar'
  readonly #known: KnownCamera
  readonly #camera: string
  readonly #events: SidecarEvents
  readonly #metrics: Metrics
  readonly #reassembly: Reassembly
  readonly #subscription: Subscription
  readonly #reconnected: Disposable
  readonly #link: Disposable & { readonly nats: Nats }
  /** What is heard of renditions, by their keys. */
  readonly #renditions = new Map<string, Subscription>()
  /** Since it last began to listen. */
  #hasAny = false
  #last: Last

  constructor(link: Disposable & { readonly nats: Nats }, known: KnownCamera, events: SidecarEvents, metrics: Metrics, log: Logger) {
    const { ref, uid } = known
    const { nats } = link
    this.#link = link
    this.#known = known
    this.#camera = refText(ref)
    this.#events = events
    this.#metrics = metrics
    this.#reassembly = new Reassembly(uid)
    // A callback, since an iterator would queue without bound.
    this.#subscription = nats.nc.subscribe(frameSubject(ref), {
      callback: (error, message) => {
        if (error === null) this.#receive(message)
        else log.error({ camera: this.#camera, error: messageOf(error) }, 'could not subscribe to the camera’s frames')
      },
    })
    // The sidecar may have been told sooner: what it sent meanwhile does not come.
    const listen = () => void nats.nc.flush().then(events.onListening, () => {})
    listen()
    this.#reconnected = nats.onReconnect(() => {
      this.#hasAny = false
      listen()
    })
  }

  get isClosed(): boolean {
    return this.#subscription.isClosed()
  }

  /** The FrameSource tells the sidecar; here it is listened to what that gives. */
  want(demand: readonly RenditionDemand[]): void {
    for (const [key, subscription] of this.#renditions) {
      if (demand.some(other => other.key === key)) continue
      subscription.unsubscribe()
      this.#renditions.delete(key)
    }
    for (const { key } of demand) if (key !== IMAGE_KEY && !this.#renditions.has(key)) this.#listen(key)
  }

  tick(): void {}

  end(): Promise<void> {
    this.#reconnected[Symbol.dispose]()
    this.#subscription.unsubscribe()
    this.want([])
    this.#link[Symbol.dispose]()
    return Promise.resolve()
  }

  #listen(key: string): void {
    const reassembly = new Reassembly(this.#known.uid)
    let hasAny = false
    let last: Last
    const subscription = this.#link.nats.nc.subscribe(renditionSubject(this.#known.ref, key), {
      callback: (error, message) => {
        if (error !== null) return
        try {
          const frame = reassembly.rendition(message)
          if (frame === undefined) return
          hasAny = true
          last = inTurn(last, frame, performance.now())
          this.#metrics.framesReceived.inc({ camera: this.#camera })
          this.#metrics.bytesReceived.inc({ camera: this.#camera }, frame.data.length)
          this.#events.onFrame(key, frame)
        } catch (bad) {
          if (!(bad instanceof BadMessage)) throw bad
          if (bad.reason !== 'incomplete' || hasAny) this.#events.onBad(bad)
        }
      },
    })
    this.#renditions.set(key, subscription)
  }

  #receive(message: Msg): void {
    try {
      const frame = this.#reassembly.frame(message)
      if (frame === undefined) return
      this.#hasAny = true
      this.#events.onTaken({ epoch: frame.epoch, seq: frame.seq })
      this.#last = inTurn(this.#last, frame, performance.now())
      this.#metrics.framesReceived.inc({ camera: this.#camera })
      this.#metrics.bytesReceived.inc({ camera: this.#camera }, frame.message.length)
      // Over the end of its NATS headers, which have been read. What came in parts was put together elsewhere.
      if (frame.message.buffer === message.data.buffer) frameInPlace(frame.message)
      this.#events.onFrame(IMAGE_KEY, this.#liveFrame(frame))
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      // A listener may begin in the middle of a frame.
      if (error.reason !== 'incomplete' || this.#hasAny) this.#events.onBad(error)
    }
  }

  #liveFrame({ epoch, timestamp, camera, key, width, height, message, lease, seal }: Frame & { seal: Seal }): LiveFrame {
    const codec = this.#known.report?.state.codec
    const source =
      codec === undefined || codec.width === 0 || codec.height === 0 ? { width, height } : { width: codec.width, height: codec.height }
    const data = message.subarray(seal.dataOffset, seal.dataOffset + (frameBytes('BGR24', width, height) ?? 0))
    const geometry: Geometry = {
      ...{ source, region: { x: 0, y: 0, ...source }, padLeft: 0, padTop: 0 },
      ...{ scaleX: width / source.width, scaleY: height / source.height },
    }
    return {
      ...{ epoch, keyframe: seal.keyframe, index: seal.packet, timestamp, camera, key, corrupt: seal.isCorrupt, gap: false },
      ...{ width, height, format: 'BGR24', data, geometry, message, lease },
    }
  }
}

type Last = { epoch: number; seq: number; receivedMs: number } | undefined

/** Throws BadMessage for a frame that comes after its turn. */
function inTurn(last: Last, { epoch, seq }: { epoch: number; seq: number }, nowMs: number): Last {
  const rises = last === undefined || epoch > last.epoch || (epoch === last.epoch && seq > last.seq)
  if (!rises && nowMs - last.receivedMs < ORDER_FORGOTTEN_MS) {
    throw new BadMessage('sequence', `frame ${epoch}/${seq} after ${last.epoch}/${last.seq}`)
  }
  return { epoch, seq, receivedMs: nowMs }
}
