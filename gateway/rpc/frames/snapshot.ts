// Snapshot: one frame, the newest or the one at a past time.
import type { SnapshotRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/SnapshotRequest.ts'
import type { StreamName } from '../../../proto/camera.ts'
import type { LiveFrame, Rendition } from '../../../proto/rendition.ts'
import { refText } from '../../../proto/subjects.ts'
import type { KnownCamera } from '../../cameras.ts'
import { newCursor } from '../../frames/cursor.ts'
import { streamOf } from '../../frames/substream.ts'
import { checkedRendition } from '../../frames/rendition.ts'
import { frameOf } from '../../past/frame-at.ts'
import { Refusal } from '../../refusal.ts'
import type { Caller } from '../calls.ts'
import { obstacleOf } from './camera-status.ts'
import { FrameEncoder } from './encode.ts'
import type { FramesParts } from './parts.ts'
import { checkedTime, extentBefore, notStored } from './past-range.ts'
import { renditionOf, streamIn } from './wish.ts'

/** How long the newest frame is waited for: a decoder may have to start. */
const WAIT_MS = 5_000
const MAX_AGE_MS = 3_000
/** A frame of the buffer that was older then is looked for in the archive too. */
const ARCHIVE_AGE_MS = 10_000

export type SnapshotParts = Pick<FramesParts, 'cameras' | 'frames' | 'packets' | 'past' | 'reads' | 'metrics' | 'isConnected'>

export async function snapshot(request: SnapshotRequest__Output, parts: SnapshotParts, caller: Caller): Promise<Buffer> {
  const wanted = renditionOf(request.rendition)
  const atMs = request.at_ms === undefined ? undefined : checkedTime('at_ms', request.at_ms)
  const camera = await parts.cameras.resolve(caller, request.camera, atMs === undefined ? 'frames' : 'past', 'camera')
  const stream = streamIn(request.stream)
  if (atMs !== undefined && stream === 'sub')
    throw new Refusal('invalid', 'stream must not be STREAM_SUB with at_ms: the substream has no past')
  const { codec } = streamOf(camera, stream).report?.state ?? {}
  const rendition = codec === undefined ? wanted : checkedRendition(wanted, codec)
  const how = { stream, maxAgeMs: request.max_age_ms || MAX_AGE_MS }
  if (atMs === undefined) return await newest(camera, rendition, how, parts, caller)
  return await past(camera, rendition, atMs, parts, caller)
}

const encoded = (frame: LiveFrame, camera: KnownCamera): Buffer =>
  new FrameEncoder().encode(frame, { camera: camera.deviceId, skipped: 0, gap: false, wish: 0 }, Date.now()).message

type How = { stream: StreamName | undefined; maxAgeMs: number }

async function newest(camera: KnownCamera, rendition: Rendition, wish: How, parts: SnapshotParts, caller: Caller): Promise<Buffer> {
  const { frames: source, metrics, isConnected } = parts
  const { stream, maxAgeMs } = wish
  const frames = source.ask(camera, { rendition, keyframesOnly: false, stream, isBrief: true })
  // A substream is connected now, for this.
  const obstacle = () => (stream === 'sub' ? undefined : obstacleOf(camera, frames.why(), isConnected(), performance.now()))
  const waitMs = obstacle() === undefined ? WAIT_MS : 0
  const how = { mode: 'newest', keyframesOnly: false, maxAgeMs, waitMs } as const
  const { frame } = await frames.next(newCursor(), how, caller.signal)
  if (frame === undefined) {
    const { reason, message } = obstacleOf(streamOf(camera, stream), frames.why(), isConnected(), performance.now()) ?? {
      reason: 'NoFrame',
      message: `none younger than ${maxAgeMs} ms came within ${WAIT_MS} ms`,
    }
    throw new Refusal('unavailable', `camera "${camera.deviceId}" gives no frame: ${reason}: ${message}`)
  }
  const message = encoded(frame, camera)
  frame.lease?.release()
  const label = { camera: refText(camera.ref) }
  metrics.frameAge.observe(label, Math.max(0, Date.now() - frame.timestamp) / 1000)
  metrics.framesServed.inc(label)
  metrics.bytesServed.inc(label, message.length)
  return message
}

/** The last frame that Replay gives up to then. */
async function past(camera: KnownCamera, rendition: Rendition, atMs: number, parts: SnapshotParts, caller: Caller): Promise<Buffer> {
  const { packets, reads, metrics } = parts
  const { signal } = caller
  using _ = reads.enter(camera.report?.state.codec, caller)
  const extent = await extentBefore(camera, packets(camera), atMs, signal)
  const found = await parts.past.frameAt(camera, atMs, ARCHIVE_AGE_MS, signal)
  if (found === undefined && (extent === undefined || atMs < extent.startMs)) throw notStored(camera, extent)
  const onBad = ({ reason }: { reason: string }) => metrics.badMessages.inc({ reason })
  const message = found && (await frameOf(found.place, found.packet, { rendition, onBad }, signal, frame => encoded(frame, camera)))
  if (message === undefined) throw new Refusal('unavailable', `camera "${camera.deviceId}" has no frame at ${atMs} that can be decoded`)
  metrics.bufferedServed.inc({ camera: refText(camera.ref) })
  return message
}
