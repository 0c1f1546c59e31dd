// Original file: proto/video_streaming.proto

import type { VideoCodec as _chrys_cloud_videostreaming_v1beta1_VideoCodec, VideoCodec__Output as _chrys_cloud_videostreaming_v1beta1_VideoCodec__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/VideoCodec.ts';
import type { VideoBuffer as _chrys_cloud_videostreaming_v1beta1_VideoBuffer, VideoBuffer__Output as _chrys_cloud_videostreaming_v1beta1_VideoBuffer__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/VideoBuffer.ts';

export interface VideoProbeResponse {
  'video_codec'?: (_chrys_cloud_videostreaming_v1beta1_VideoCodec | null);
  'buffer'?: (_chrys_cloud_videostreaming_v1beta1_VideoBuffer | null);
}

export interface VideoProbeResponse__Output {
  'video_codec': (_chrys_cloud_videostreaming_v1beta1_VideoCodec__Output | null);
  'buffer': (_chrys_cloud_videostreaming_v1beta1_VideoBuffer__Output | null);
}
