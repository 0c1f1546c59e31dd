// Original file: proto/frames.proto

import type { Stream as _chrys_cloud_frames_v1_Stream, Stream__Output as _chrys_cloud_frames_v1_Stream__Output } from '../../../../chrys/cloud/frames/v1/Stream.ts';
import type { Long } from '@grpc/proto-loader';

export interface PacketsRequest {
  'camera'?: (string);
  'from_ms'?: (number | string | Long);
  'stream'?: (_chrys_cloud_frames_v1_Stream);
  '_from_ms'?: "from_ms";
}

export interface PacketsRequest__Output {
  'camera': (string);
  'from_ms'?: (number);
  'stream': (_chrys_cloud_frames_v1_Stream__Output);
  '_from_ms'?: "from_ms";
}
