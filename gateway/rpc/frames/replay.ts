// Replay: the frames of a past time range, in order, at the client's pace.
import type { ReplayRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/ReplayRequest.ts'
import type { ReplayResponse } from '../../../proto/generated/chrys/cloud/frames/v1/ReplayResponse.ts'
import { refText } from '../../../proto/subjects.ts'
import { checkedMaxFps, checkedRendition } from '../../frames/rendition.ts'
import { Losses, LOSS_MESSAGES, type Loss } from '../../past/losses.ts'
import { replayFrames, type PacketSource } from '../../past/replay.ts'
import { GAP_MIN_MS } from '../../past/stretches.ts'
import { Refusal } from '../../refusal.ts'
import type { Caller } from '../calls.ts'
import { FrameEncoder } from './encode.ts'
import type { FramesParts } from './parts.ts'
import { checkedTime, extentBefore, notStored } from './past-range.ts'
import { renditionOf } from './wish.ts'

export type ReplayParts = Pick<FramesParts, 'cameras' | 'packets' | 'past' | 'reads' | 'metrics'> & {
  serialize: (response: ReplayResponse) => Buffer
}

export async function* replay(request: ReplayRequest__Output, parts: ReplayParts, caller: Caller): AsyncGenerator<Buffer> {
  const { cameras, packets, past, reads, metrics, serialize } = parts
  const { signal } = caller
  const wantedMs = checkedTime('from_ms', request.from_ms)
  const untilMs = request.to_ms === 0 ? Infinity : checkedTime('to_ms', request.to_ms)
  if (wantedMs > untilMs) throw new Refusal('invalid', 'from_ms must be <= to_ms')
  const wanted = renditionOf(request.rendition)
  const maxFps = checkedMaxFps(request.max_fps)
  const camera = await cameras.resolve(caller, request.camera, 'past', 'camera')
  const codec = camera.report?.state.codec
  const rendition = codec === undefined ? wanted : checkedRendition(wanted, codec)
  using read = reads.enter(codec, caller)
  const extent = await extentBefore(camera, packets(camera), untilMs, signal)
  const bufferMs = extent?.startMs ?? Infinity
  // What is yet to come is not waited for. The clock of the camera's node may be ahead of ours.
  const toMs = Math.min(untilMs, Math.max(Date.now(), extent?.endMs ?? 0))
  const fromMs = wantedMs === 0 && extent !== undefined ? extent.startMs : wantedMs
  if (fromMs > toMs) return
  if (fromMs < bufferMs && !camera.record.archive) yield serialize(lost({ fromMs, toMs: bufferMs, reason: 'BufferOverrun' }))
  let isNone = true
  const onBad = ({ reason }: { reason: string }) => metrics.badMessages.inc({ reason })
  const wish = { rendition, keyframesOnly: request.keyframes_only, maxFps, onBad }
  const encoder = new FrameEncoder()
  let missing = new Losses()
  for await (const stretch of past.stretches(camera, { fromMs, toMs }, extent, signal)) {
    const losses: Loss[] = []
    for await (const frame of replayFrames(watched(stretch.source, missing, losses), stretch, wish, signal)) {
      // The archive says by its first frame how far back it reaches.
      if (isNone && camera.record.archive && wantedMs > 0 && frame.timestamp - fromMs > GAP_MIN_MS) {
        yield serialize(lost({ fromMs, toMs: frame.timestamp, reason: 'PacketsLost' }))
      }
      isNone = false
      let gap = false
      for (; losses[0] !== undefined && losses[0].toMs <= frame.timestamp; losses.shift()) {
        if (losses[0].toMs < stretch.fromMs) continue
        gap = true
        yield serialize(lost(losses[0]))
      }
      const encoded = encoder.encode(frame, { camera: camera.deviceId, skipped: 0, gap, wish: 0 }, Date.now())
      yield encoded.message
      read.took()
      encoder.sent(encoded)
      metrics.bufferedServed.inc({ camera: refText(camera.ref) })
    }
    for (const loss of losses) if (loss.toMs >= stretch.fromMs && loss.fromMs <= toMs) yield serialize(lost(loss))
    // The buffer goes on where the archive ends.
    if (!stretch.isArchived) missing = new Losses()
  }
  if (isNone && toMs < bufferMs) throw notStored(camera, extent)
}

const lost = ({ fromMs, toMs, reason }: Loss): ReplayResponse => ({
  lost: { from_ms: fromMs, to_ms: toMs, reason, message: LOSS_MESSAGES[reason] },
})

/** Notes what is missing among the packets that are read: as many losses as lie between reading and decoding. */
function watched(source: PacketSource, losses: Losses, found: Loss[]): PacketSource {
  return {
    async *read(...args) {
      for await (const read of source.read(...args)) {
        const { loss } = losses.see(read)
        if (loss !== undefined) found.push(loss)
        yield read
      }
    },
  }
}
