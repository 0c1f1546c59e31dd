// VideoLatestImage: one answer for each request, in order: the client's next frame, or after 48 ms one without data.
import type { VideoFrameRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrameRequest.ts'
import { refText } from '../../proto/subjects.ts'
import type { LiveFrame } from '../../proto/rendition.ts'
import type { Caller } from './calls.ts'
import type { VisibleCameras } from '../access/visible-cameras.ts'
import type { KnownCamera } from '../cameras.ts'
import { ClientPace } from '../frames/client-pace.ts'
import { newCursor, type ClientCursors, type Cursor, type Position, type Reading } from '../frames/cursor.ts'
import type { How, RenditionFrames } from '../frames/rendition-frames.ts'
import type { FrameSource } from '../frames/source.ts'
import type { Unsent } from '../frames/unsent.ts'
import type { Metrics } from '../metrics.ts'
import { Refusal } from '../refusal.ts'

/** How long a request waits for a new frame. */
const WAIT_MS = 16 * 3
/** The id by which a client that makes a call for each request may be known, instead of by its connection. */
const CLIENT_ID = 'client-id'
const CLIENT_ID_LENGTH_MAX = 128
/** `every`: each frame, in order. `newest`: the newest each time. Otherwise the client's requests tell. */
const FRAMES = 'frames'
/** Frames that were captured longer ago are not given. */
const MAX_AGE = 'max-age-ms'

export type LatestImageParts = {
  cameras: VisibleCameras
  frames: FrameSource
  cursors: ClientCursors
  metrics: Metrics
  unsent: Unsent
  /** A serialized VideoFrame with nothing but its device_id. */
  emptyFrame: (deviceId: string) => Buffer
}

export class LatestImages {
  readonly #parts: LatestImageParts

  constructor(parts: LatestImageParts) {
    this.#parts = parts
  }

  async *answer(requests: AsyncIterable<VideoFrameRequest__Output>, caller: Caller): AsyncGenerator<Buffer> {
    const cursors = new CallCursors(this.#parts.cursors, caller)
    const wanted = wantedIn(caller)
    for await (const { device_id: deviceId, key_frame_only: keyframesOnly } of requests) {
      const camera = await this.#parts.cameras.resolve(caller, deviceId, 'frames')
      const frames = this.#parts.frames.ask(camera, { rendition: undefined, keyframesOnly })
      yield* this.#send(camera, deviceId, await cursors.next(camera, frames, { ...wanted, keyframesOnly, waitMs: WAIT_MS }), caller)
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
    const { cameras, metrics, unsent, emptyFrame } = this.#parts
    const camera = refText(ref)
    if (missed > 0) metrics.framesMissed.inc({ camera }, missed)
    const message = frame?.message
    const size = message?.length ?? 0
    const room = message && unsent.take(caller, size, performance.now())
    if (frame === undefined || message === undefined || room === undefined) {
      if (message !== undefined) metrics.framesWithheld.inc({ camera })
      yield emptyFrame(deviceId)
      metrics.emptyServed.inc({ camera })
      return
    }
    metrics.frameAge.observe({ camera }, ageSeconds(frame))
    {
      using _ = room
      // The decoder says its camera's canonical id. Of a field that comes twice the last one counts, so that a client that
      // asked by another id gets that one.
      yield deviceId === cameras.deviceId(ref) ? message : Buffer.concat([message, emptyFrame(deviceId)])
    }
    metrics.framesServed.inc({ camera })
    metrics.bytesServed.inc({ camera }, size)
    metrics.delivery.observe({ camera }, ageSeconds(frame))
  }
}

const ageSeconds = ({ timestamp }: LiveFrame): number => Math.max(0, Date.now() - timestamp) / 1000

/** Which frames the client's metadata asks for. Throws a Refusal. */
function wantedIn({ metadata }: Caller): Pick<How, 'mode' | 'maxAgeMs'> {
  const [mode, ...modes] = metadata.get(FRAMES).map(String)
  if (modes.length > 0 || (mode !== undefined && mode !== 'every' && mode !== 'newest')) {
    throw new Refusal('invalid', `metadata ${FRAMES} must be "every" or "newest"`)
  }
  const [age, ...ages] = metadata.get(MAX_AGE).map(String)
  if (ages.length > 0 || (age !== undefined && !/^[1-9]\d{0,8}$/.test(age))) {
    throw new Refusal('invalid', `metadata ${MAX_AGE} must be a number of milliseconds from 1 to 999999999`)
  }
  return { mode: mode ?? 'adaptive', maxAgeMs: age === undefined ? undefined : Number(age) }
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

  async next({ uid }: KnownCamera, frames: RenditionFrames, how: How): Promise<Reading> {
    const { signal } = this.#caller
    if (this.#first !== undefined) return await frames.next(this.#ownCursor(this.#first, uid), how, signal)
    const cursor = this.#clients.of(clientOf(this.#caller, how.keyframesOnly), uid, performance.now())
    const before = cursor.position
    const reading = await frames.next(cursor, how, signal)
    this.#first = { uid, cursor, before, after: reading.position }
    return reading
  }

  #ownCursor({ uid: firstUid, cursor: shared, before, after }: First, uid: string): Cursor {
    if (this.#own === undefined) {
      this.#own = new Map([[firstUid, { ...newCursor(after), pace: shared.pace }]])
      if (shared.position === after) shared.position = before
      shared.pace = new ClientPace()
    }
    const known = this.#own.get(uid)
    if (known !== undefined) return known
    const cursor = newCursor()
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
