// A camera's frames as JPEGs: one by one, or as a stream for everything that opens a URL.
import { frameId } from '../../proto/frame-id.ts'
import type { LiveFrame, Rendition } from '../../proto/rendition.ts'
import { refText } from '../../proto/subjects.ts'
import type { KnownCamera } from '../cameras.ts'
import { newCursor, type Cursor } from '../frames/cursor.ts'
import { streamOf } from '../frames/substream.ts'
import { checkedRendition } from '../frames/rendition.ts'
import type { RenditionFrames } from '../frames/rendition-frames.ts'
import type { FrameSource } from '../frames/source.ts'
import type { Unsent } from '../frames/unsent.ts'
import type { Metrics } from '../metrics.ts'
import { frameOf, type PastPacket } from '../past/frame-at.ts'
import type { Past } from '../past/past.ts'
import type { PastReads } from '../past/reads.ts'
import { keysOf } from '../shares.ts'
import { Refusal } from '../refusal.ts'
import { answerProblem, HEADERS, STREAM_HEADERS } from './answer.ts'
import { whyNoFrame } from './cameras.ts'
import type { FrameQuery } from './request.ts'
import { sent, type Exchange } from './sending.ts'

/** How long a request waits for a frame: a camera that nothing watched has to be decoded from its last keyframe first. */
const WAIT_MS = 3_000
const BOUNDARY = 'frame'

/** Nothing that a camera captured longer ago is still on its way. */
const SETTLED_MS = 10_000

export type FrameParts = {
  frames: FrameSource
  past: Past
  reads: PastReads
  unsent: Unsent
  metrics: Metrics
  isConnected: () => boolean
}

const renditionOf = ({ width, height, fit, quality, stream }: FrameQuery, camera: KnownCamera): Rendition => {
  const { codec } = streamOf(camera, stream).report?.state ?? {}
  return checkedRendition({ width, height, fit, quality, format: 'JPEG' }, codec && { width: codec.width, height: codec.height })
}

export class HttpFrames {
  readonly #parts: FrameParts

  constructor(parts: FrameParts) {
    this.#parts = parts
  }

  /** The newest frame, or 503 with the reason: never an old frame as if it were new. */
  async jpeg(camera: KnownCamera, query: FrameQuery, exchange: Exchange): Promise<void> {
    const { request, response, signal } = exchange
    const rendition = renditionOf(query, camera)
    const { stream } = query
    const frames = this.#parts.frames.ask(camera, { rendition, keyframesOnly: false, stream, isBrief: true })
    const frame = await newest(frames, newCursor(), query.maxAgeMs, signal)
    if (signal.aborted) return frame?.lease?.release()
    if (frame === undefined)
      return answerProblem(response, 503, whyNoFrame(streamOf(camera, stream), this.#parts.isConnected(), frames.why()))
    const etag = `"${frameId(frame)}"`
    const headers = { ...HEADERS, etag, ...aboutOf(frame) }
    if (request.headers['if-none-match'] === etag) {
      frame.lease?.release()
      return void response.writeHead(304, headers).end()
    }
    await this.#send(camera, frame, exchange, done => {
      response.writeHead(200, { ...headers, 'content-type': 'image/jpeg', 'content-length': frame.data.length })
      response.end(frame.data, done)
    })
  }

  /** The newest frame at a past time, as a replay gives it. */
  async jpegAt(camera: KnownCamera, query: FrameQuery & { atMs: number }, exchange: Exchange): Promise<void> {
    const { request, response, signal } = exchange
    const { past, reads, metrics } = this.#parts
    const { atMs, maxAgeMs } = query
    const rendition = renditionOf(query, camera)
    using _ = reads.enter(camera.report?.state.codec, { keys: keysOf(exchange.peer), cutOff: exchange.cutOff })
    const found = await past.frameAt(camera, atMs, maxAgeMs, signal)
    if (found === undefined || atMs - found.packet.timestamp > maxAgeMs) throw noFrameAt(camera, query, found?.packet.timestamp)
    const { packet, place } = found
    const etag = `"${frameId(packet)}"`
    const isSettled = Date.now() - atMs > SETTLED_MS
    const headers = { ...HEADERS, etag, ...aboutOf(packet), ...(isSettled ? { 'cache-control': 'private, max-age=3600' } : {}) }
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304, headers).end()
    const onBad = ({ reason }: { reason: string }) => metrics.badMessages.inc({ reason })
    const jpeg = await frameOf(place, packet, { rendition, onBad }, signal, ({ data, ...frame }) => ({ ...frame, data: Buffer.from(data) }))
    if (signal.aborted) return
    if (jpeg === undefined) throw new Refusal('unavailable', `camera "${camera.deviceId}" has no frame at this time that can be decoded`)
    metrics.bufferedServed.inc({ camera: refText(camera.ref) })
    const own = {
      ...headers,
      etag: `"${frameId(jpeg)}"`,
      ...aboutOf(jpeg),
      'content-type': 'image/jpeg',
      'content-length': jpeg.data.length,
    }
    await sent(exchange, metrics, done => response.writeHead(200, own).end(jpeg.data, done))
  }

  /** JPEGs until the client leaves. A client that is slow gets fewer. */
  async mjpeg(camera: KnownCamera, query: FrameQuery, exchange: Exchange): Promise<void> {
    const { response, signal } = exchange
    const rendition = renditionOf(query, camera)
    const cursor = newCursor()
    const { fps: maxFps, stream } = query
    while (!signal.aborted) {
      const frames = this.#parts.frames.ask(camera, { rendition, keyframesOnly: false, maxFps, stream })
      const frame = await newest(frames, cursor, undefined, signal, maxFps)
      if (frame === undefined) {
        if (!response.headersSent)
          return answerProblem(response, 503, whyNoFrame(streamOf(camera, stream), this.#parts.isConnected(), frames.why()))
        continue
      }
      if (signal.aborted) return frame.lease?.release()
      if (!response.headersSent)
        response.writeHead(200, { ...STREAM_HEADERS, 'content-type': `multipart/x-mixed-replace; boundary=${BOUNDARY}` })
      await this.#send(camera, frame, exchange, done => {
        response.write(
          `--${BOUNDARY}\r\ncontent-type: image/jpeg\r\ncontent-length: ${frame.data.length}\r\nx-capture-time: ${new Date(frame.timestamp).toISOString()}\r\nx-frame-id: ${frameId(frame)}\r\n\r\n`,
        )
        response.write(frame.data)
        response.write('\r\n', done)
      })
    }
  }

  /** Writes the frame, and waits until the transport has taken it. */
  async #send(camera: KnownCamera, frame: LiveFrame, exchange: Exchange, write: (done: () => void) => void): Promise<void> {
    const { signal } = exchange
    const { unsent, metrics } = this.#parts
    const { data, lease } = frame
    const room = unsent.take(exchange, data.length, performance.now())
    if (room === undefined) {
      lease?.release()
      metrics.framesWithheld.inc({ camera: refText(camera.ref) })
      if (!exchange.response.headersSent) throw new Refusal('exhausted', 'too many unsent frames: clients do not read fast enough')
      return
    }
    using _ = room
    metrics.frameAge.observe({ camera: refText(camera.ref) }, Math.max(0, Date.now() - frame.timestamp) / 1000)
    metrics.framesServed.inc({ camera: refText(camera.ref) })
    metrics.bytesServed.inc({ camera: refText(camera.ref) }, data.length)
    await sent(exchange, metrics, write)
    // Of a request that was cut off Node does not say when it is through with what it has.
    if (signal.aborted) lease?.forfeit()
    else lease?.release()
  }
}

const aboutOf = (frame: PastPacket) => ({ 'x-frame-id': frameId(frame), 'x-capture-time': new Date(frame.timestamp).toISOString() })

function noFrameAt({ deviceId }: KnownCamera, { atMs, maxAgeMs }: { atMs: number; maxAgeMs: number }, lastMs: number | undefined): Refusal {
  const time = (ms: number) => new Date(ms).toISOString()
  const what = `camera "${deviceId}" has no frame of the ${maxAgeMs / 1000} s up to ${time(atMs)}`
  return new Refusal('notFound', lastMs === undefined ? `${what}, and none before` : `${what}; the last before is of ${time(lastMs)}`)
}

async function newest(
  frames: RenditionFrames,
  cursor: Cursor,
  maxAgeMs: number | undefined,
  signal: AbortSignal,
  maxFps?: number,
): Promise<LiveFrame | undefined> {
  const { frame } = await frames.next(cursor, { mode: 'newest', keyframesOnly: false, waitMs: WAIT_MS, maxAgeMs, maxFps }, signal)
  return frame
}
