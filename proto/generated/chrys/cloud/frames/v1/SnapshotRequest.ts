// Original file: proto/frames.proto

import type { Rendition as _chrys_cloud_frames_v1_Rendition, Rendition__Output as _chrys_cloud_frames_v1_Rendition__Output } from '../../../../chrys/cloud/frames/v1/Rendition.ts';
import type { Stream as _chrys_cloud_frames_v1_Stream, Stream__Output as _chrys_cloud_frames_v1_Stream__Output } from '../../../../chrys/cloud/frames/v1/Stream.ts';
import type { Long } from '@grpc/proto-loader';

export interface SnapshotRequest {
  'camera'?: (string);
  'at_ms'?: (number | string | Long);
  'rendition'?: (_chrys_cloud_frames_v1_Rendition | null);
  'max_age_ms'?: (number);
  'stream'?: (_chrys_cloud_frames_v1_Stream);
  '_at_ms'?: "at_ms";
}

export interface SnapshotRequest__Output {
  'camera': (string);
  'at_ms'?: (number);
  'rendition': (_chrys_cloud_frames_v1_Rendition__Output | null);
  'max_age_ms': (number);
  'stream': (_chrys_cloud_frames_v1_Stream__Output);
  '_at_ms'?: "at_ms";
}
