// Original file: proto/frames.proto

import type { CameraTime as _chrys_cloud_frames_v1_CameraTime, CameraTime__Output as _chrys_cloud_frames_v1_CameraTime__Output } from '../../../../chrys/cloud/frames/v1/CameraTime.ts';
import type { Long } from '@grpc/proto-loader';

export interface Packet {
  'id'?: (string);
  'capture_time_ms'?: (number | string | Long);
  'pts'?: (number | string | Long);
  'dts'?: (number | string | Long);
  'keyframe'?: (boolean);
  'corrupt'?: (boolean);
  'gap'?: (boolean);
  'past'?: (boolean);
  'data'?: (Buffer | Uint8Array | string);
  'camera_time'?: (_chrys_cloud_frames_v1_CameraTime | null);
}

export interface Packet__Output {
  'id': (string);
  'capture_time_ms': (number);
  'pts': (number);
  'dts': (number);
  'keyframe': (boolean);
  'corrupt': (boolean);
  'gap': (boolean);
  'past': (boolean);
  'data': (Buffer);
  'camera_time': (_chrys_cloud_frames_v1_CameraTime__Output | null);
}
