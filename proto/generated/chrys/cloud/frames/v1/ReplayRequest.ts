// Original file: proto/frames.proto

import type { Rendition as _chrys_cloud_frames_v1_Rendition, Rendition__Output as _chrys_cloud_frames_v1_Rendition__Output } from '../../../../chrys/cloud/frames/v1/Rendition.ts';
import type { Long } from '@grpc/proto-loader';

export interface ReplayRequest {
  'camera'?: (string);
  'from_ms'?: (number | string | Long);
  'to_ms'?: (number | string | Long);
  'rendition'?: (_chrys_cloud_frames_v1_Rendition | null);
  'keyframes_only'?: (boolean);
  'max_fps'?: (number | string);
}

export interface ReplayRequest__Output {
  'camera': (string);
  'from_ms': (number);
  'to_ms': (number);
  'rendition': (_chrys_cloud_frames_v1_Rendition__Output | null);
  'keyframes_only': (boolean);
  'max_fps': (number);
}
