// Original file: proto/frames.proto

import type { Long } from '@grpc/proto-loader';

// Original file: proto/frames.proto

export const _chrys_cloud_frames_v1_CameraTime_Source = {
  SOURCE_UNSPECIFIED: 'SOURCE_UNSPECIFIED',
  SOURCE_NONE: 'SOURCE_NONE',
  SOURCE_RTCP: 'SOURCE_RTCP',
} as const;

export type _chrys_cloud_frames_v1_CameraTime_Source =
  | 'SOURCE_UNSPECIFIED'
  | 0
  | 'SOURCE_NONE'
  | 1
  | 'SOURCE_RTCP'
  | 2

export type _chrys_cloud_frames_v1_CameraTime_Source__Output = typeof _chrys_cloud_frames_v1_CameraTime_Source[keyof typeof _chrys_cloud_frames_v1_CameraTime_Source]

export interface CameraTime {
  'ms'?: (number | string | Long);
  'source'?: (_chrys_cloud_frames_v1_CameraTime_Source);
  'uncertainty_ms'?: (number);
}

export interface CameraTime__Output {
  'ms': (number);
  'source': (_chrys_cloud_frames_v1_CameraTime_Source__Output);
  'uncertainty_ms': (number);
}
