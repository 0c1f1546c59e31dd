// VideoLatestImage: one answer for each request, in order: the client's next frame, or after 48 ms one without data.
import type { VideoFrameRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrameRequest.ts'
import { refText } from '../../proto/subjects.ts'
import type { Caller } from './calls.ts'
import type { Cameras, KnownCamera } from '../cameras.ts'
import { read, type ClientCursors, type Cursor, type Position, type Reading } from '../frames/cursor.ts'
import type { Metrics } from '../metrics.ts'
import type { Subscription } from '../frames/camera-frames.ts'
import type { Subscriptions } from '../frames/source.ts'
import { Unsent } from '../frames/unsent.ts'

/** How long a request waits for a new frame. */
const WAIT_MS = 16 * 3
/** The id by which a client that makes a call for each request may be known, instead of by its connection. */
const CLIENT_ID = 'client-id'
const CLIENT_ID_LENGTH_MAX = 128

export type LatestImageParts = {
  cameras: Cameras
  subscriptions: Subscriptions
  cursors: ClientCursors
  metrics: Metrics
  /** Frames handed to the transport and not yet sent, over all clients: beyond these bytes no more are. */
  unsentBytesMax: number
  /** A serialized VideoFrame with nothing but its device_id. */
  emptyFrame: (deviceId: string) => Buffer
}

export class LatestImages {
  readonly #parts: LatestImageParts
  readonly #unsent: Unsent

  constructor(parts: LatestImageParts) {
    this.#parts = parts
    this.#unsent = new Unsent(parts.unsentBytesMax, bytes => parts.metrics.unsentBytes.set(bytes))
  }

  async *answer(requests: AsyncIterable<VideoFrameRequest__Output>, caller: Caller): AsyncGenerator<Buffer> {
    const cursors = new CallCursors(this.#parts.cursors, caller)
    for await (const { device_id: deviceId, key_frame_only: keyframesOnly } of requests) {
      const camera = this.#parts.cameras.resolve(deviceId)
      const subscription = this.#parts.subscriptions.ask(camera, keyframesOnly)
      yield* this.#send(camera, deviceId, await cursors.next(camera, subscription, keyframesOnly), caller)
    }
  }

  async *#send(camera: KnownCamera, deviceId: string, reading: Reading, caller: Caller): AsyncGenerator<Buffer> {
    const lease = reading.frame?.lease
    let isSent = false
    try {
      yield* this.#answerWith(camera, deviceId, reading, caller)
      isSent = true
    } finally {
      // The transport of a call that was cut off doesn't say when it is through with what it has.
      if (isSent) lease?.release()
      else lease?.forfeit()
    }
  }

  async *#answerWith({ ref }: KnownCamera, deviceId: string, { frame, missed }: Reading, caller: Caller): AsyncGenerator<Buffer> {
    const { cameras, metrics, emptyFrame } = this.#parts
    const camera = refText(ref)
    if (missed > 0) metrics.framesMissed.inc({ camera }, missed)
    const size = frame?.message.length ?? 0
    const room = frame && this.#unsent.take(caller, size, performance.now())
    if (frame === undefined || room === undefined) {
      if (frame !== undefined) metrics.framesWithheld.inc({ camera })
      yield emptyFrame(deviceId)
      metrics.emptyServed.inc({ camera })
      return
    }
    const { message } = frame
    {
      using _ = room
      // The decoder says its camera's canonical id. Of a field that comes twice the last one counts, so that a client that
      // asked by another id gets that one.
      yield deviceId === cameras.deviceId(ref) ? message : Buffer.concat([message, emptyFrame(deviceId)])
    }
    metrics.framesServed.inc({ camera })
    metrics.bytesServed.inc({ camera }, size)
    metrics.delivery.observe({ camera }, Math.max(0, Date.now() - frame.timestamp) / 1000)
  }
}

/** The client's next frame, which is held for it, or none when it did not come in time. The cursor moves on. */
async function nextReading(subscription: Subscription, cursor: Cursor, keyframesOnly: boolean, signal: AbortSignal): Promise<Reading> {
  for (let looks = 0, endMs = performance.now() + WAIT_MS; ; looks++) {
    const nowMs = performance.now()
    // Read anew each time: two calls may share the cursor.
    const reading = read(subscription.ring, cursor.position, keyframesOnly, nowMs)
    cursor.position = reading.position
    reading.frame?.lease?.hold()
    if (looks === 0) subscription.asked(cursor, reading.frame !== undefined)
    if (reading.frame !== undefined || nowMs >= endMs || signal.aborted || subscription.isOver) return reading
    await subscription.changed(endMs - nowMs, signal)
  }
}

type First = { uid: string; cursor: Cursor; before: Position | undefined; after: Position }

/**
 * The cursors of one call. Its first request looks the same whether the call is one of many that a client makes, each for one frame, or a
 * stream of its own: it is served from the client's cursor. A second request proves the stream; the client's cursor is then put back,
 * unless another call has moved it since, and the stream goes on with cursors of its own.
 */
class CallCursors {
  readonly #clients: ClientCursors
  readonly #caller: Caller
  #first: First | undefined
  #own: Map<string, Cursor> | undefined

  constructor(clients: ClientCursors, caller: Caller) {
    this.#clients = clients
    this.#caller = caller
  }

  async next({ uid }: KnownCamera, subscription: Subscription, keyframesOnly: boolean): Promise<Reading> {
    const { signal } = this.#caller
    if (this.#first !== undefined) {
      return await nextReading(subscription, this.#ownCursor(this.#first, uid, subscription), keyframesOnly, signal)
    }
    const cursor = this.#clients.of(clientOf(this.#caller, keyframesOnly), uid, performance.now())
    const before = cursor.position
    const reading = await nextReading(subscription, cursor, keyframesOnly, signal)
    this.#first = { uid, cursor, before, after: reading.position }
    return reading
  }

  #ownCursor({ uid: firstUid, cursor: shared, before, after }: First, uid: string, { leisure }: Subscription): Cursor {
    if (this.#own === undefined) {
      this.#own = new Map([[firstUid, { position: after }]])
      if (shared.position === after) shared.position = before
      leisure.forget(shared)
    }
    const known = this.#own.get(uid)
    if (known !== undefined) return known
    const cursor: Cursor = { position: undefined }
    this.#own.set(uid, cursor)
    return cursor
  }
}

/**
 * Clients that share a connection, as channels of one process to one address do, share a cursor, unless they give ids; but those that
 * want keyframes only take none from those that want all.
 */
function clientOf({ metadata, peer }: Caller, keyframesOnly: boolean): string {
  const [id = ''] = metadata.get(CLIENT_ID)
  return id === '' ? `peer ${keyframesOnly ? 'keyframes' : 'all'} ${peer}` : `id ${String(id).slice(0, CLIENT_ID_LENGTH_MAX)}`
}
