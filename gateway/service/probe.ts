import type { VideoCodec } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoCodec.ts'
import type { VideoProbeResponse } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoProbeResponse.ts'
import type { Codec } from '../../proto/state.ts'
import type { KnownCamera } from '../cameras.ts'

/** What is known of the camera's stream; without a codec before the first connection. */
export function probe({ report }: KnownCamera): VideoProbeResponse {
  return { video_codec: report?.state.codec === undefined ? null : videoCodec(report.state.codec) }
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
