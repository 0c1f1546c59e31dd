// VideoBufferedImage: every stored frame of a stretch of time.
import type { VideoFrameBufferedRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrameBufferedRequest.ts'
import { refText } from '../../proto/subjects.ts'
import { bufferedFrames } from '../past/replay.ts'
import type { Caller } from './calls.ts'
import type { VisibleCameras } from '../access/visible-cameras.ts'
import { frameInPlace } from '../../common/patches/grpc-framing.ts'
import type { Metrics } from '../metrics.ts'
import { noBuffer, type PacketStream, type Source } from '../past/packet-reader.ts'
import type { PastReads } from '../past/reads.ts'
import { Refusal } from '../refusal.ts'

export type BufferedImageParts = {
  cameras: VisibleCameras
  /** Throws a Refusal while NATS is unreachable. */
  packets: (source: Source) => PacketStream
  metrics: Metrics
  reads: PastReads
}

export class BufferedImages {
  readonly #parts: BufferedImageParts

  constructor(parts: BufferedImageParts) {
    this.#parts = parts
  }

  async *answer(request: VideoFrameBufferedRequest__Output, caller: Caller): AsyncGenerator<Buffer> {
    const { signal } = caller
    const { cameras, packets, metrics, reads } = this.#parts
    const camera = await cameras.resolve(caller, request.device_id, 'past')
    const { timestamp_from: fromMs, timestamp_to } = request
    if (fromMs < 0 || fromMs > timestamp_to) throw new Refusal('invalid', 'timestamp_from must be >= 0 and <= timestamp_to')
    const stream = packets(camera)
    using read = reads.enter(camera.report?.state.codec, caller)
    const extent = await stream.extent(signal)
    if (extent === undefined) throw noBuffer(camera.ref)
    // What is yet to come is not waited for. Frames carry the time of the camera's node, whose clock may be ahead of ours.
    const toMs = Math.min(timestamp_to, Math.max(Date.now(), extent.endMs))
    if (fromMs > toMs) return // all of it is yet to come
    if (toMs < extent.startMs) throw new Refusal('outOfRange', `buffer starts at ${extent.startMs}`)
    const onBad = ({ reason }: { reason: string }) => metrics.badMessages.inc({ reason })
    const options = { deviceId: request.device_id, scale: camera.record.bufferScale, onBad }
    for await (const stretch of stream.stretches({ fromMs, toMs }, extent, signal)) {
      for await (const message of bufferedFrames(stream, stretch, options, signal)) {
        frameInPlace(message)
        yield message
        read.took()
        metrics.bufferedServed.inc({ camera: refText(camera.ref) })
      }
    }
  }
}
