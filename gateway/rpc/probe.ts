import type { VideoBuffer } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoBuffer.ts'
import type { VideoCodec } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoCodec.ts'
import type { VideoProbeResponse } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoProbeResponse.ts'
import type { Codec } from '../../proto/state.ts'
import type { KnownCamera } from '../cameras.ts'
import type { Extent, PacketStream, Source } from '../past/packet-reader.ts'
import { Refusal } from '../refusal.ts'

/** What is known of the camera's stream; without a codec before the first connection, without a buffer where nothing is stored. */
export async function probe(
  camera: KnownCamera,
  packets: (source: Source) => PacketStream,
  signal: AbortSignal,
): Promise<VideoProbeResponse> {
  const { report } = camera
  const buffer = await videoBuffer(camera, packets, signal)
  return { video_codec: report?.state.codec === undefined ? null : videoCodec(report.state.codec), buffer }
}

/** A probe tells what is known: while NATS is unreachable that is the codec. */
async function videoBuffer(
  camera: KnownCamera,
  packets: (source: Source) => PacketStream,
  signal: AbortSignal,
): Promise<VideoBuffer | null> {
  try {
    const stream = packets(camera)
    const extent = await stream.extent(signal)
    return extent === undefined ? null : bufferOf(extent, await stream.frames(extent, signal))
  } catch (error) {
    if (error instanceof Refusal) return null
    throw error
  }
}

function bufferOf({ startMs, endMs, runs }: Extent, frames: number): VideoBuffer {
  const seconds = runs.reduce((sum, run) => sum + run.endMs - run.startMs, 0) / 1000
  return {
    start_time: startMs,
    end_time: endMs,
    duration_seconds: Math.round(seconds),
    // As many frames as there are gaps between them, and one more.
    approximate_fps: seconds > 0 ? Math.round((frames - 1) / seconds) : 0,
    frames,
  }
}

function videoCodec(codec: Codec): VideoCodec {
  const extradata = Buffer.from(codec.extradata, 'base64')
  return {
    name: codec.name,
    long_name: codec.longName,
    width: codec.width,
    height: codec.height,
    pix_fmt: codec.pixFmt,
    extradata,
    extradata_size: extradata.length,
  }
}
