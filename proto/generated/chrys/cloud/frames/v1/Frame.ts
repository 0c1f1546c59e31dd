// Original file: proto/frames.proto

import type { PixelFormat as _chrys_cloud_frames_v1_PixelFormat, PixelFormat__Output as _chrys_cloud_frames_v1_PixelFormat__Output } from '../../../../chrys/cloud/frames/v1/PixelFormat.ts';
import type { Geometry as _chrys_cloud_frames_v1_Geometry, Geometry__Output as _chrys_cloud_frames_v1_Geometry__Output } from '../../../../chrys/cloud/frames/v1/Geometry.ts';
import type { CameraTime as _chrys_cloud_frames_v1_CameraTime, CameraTime__Output as _chrys_cloud_frames_v1_CameraTime__Output } from '../../../../chrys/cloud/frames/v1/CameraTime.ts';
import type { Stream as _chrys_cloud_frames_v1_Stream, Stream__Output as _chrys_cloud_frames_v1_Stream__Output } from '../../../../chrys/cloud/frames/v1/Stream.ts';
import type { Long } from '@grpc/proto-loader';

export interface Frame {
  'camera'?: (string);
  'id'?: (string);
  'capture_time_ms'?: (number | string | Long);
  'age_ms'?: (number);
  'skipped'?: (number | string | Long);
  'gap'?: (boolean);
  'keyframe'?: (boolean);
  'corrupt'?: (boolean);
  'width'?: (number);
  'height'?: (number);
  'format'?: (_chrys_cloud_frames_v1_PixelFormat);
  'strides'?: (number)[];
  'geometry'?: (_chrys_cloud_frames_v1_Geometry | null);
  'wish'?: (number);
  'data'?: (Buffer | Uint8Array | string);
  'camera_time'?: (_chrys_cloud_frames_v1_CameraTime | null);
  'stream'?: (_chrys_cloud_frames_v1_Stream);
}

export interface Frame__Output {
  'camera': (string);
  'id': (string);
  'capture_time_ms': (number);
  'age_ms': (number);
  'skipped': (number);
  'gap': (boolean);
  'keyframe': (boolean);
  'corrupt': (boolean);
  'width': (number);
  'height': (number);
  'format': (_chrys_cloud_frames_v1_PixelFormat__Output);
  'strides': (number)[];
  'geometry': (_chrys_cloud_frames_v1_Geometry__Output | null);
  'wish': (number);
  'data': (Buffer);
  'camera_time': (_chrys_cloud_frames_v1_CameraTime__Output | null);
  'stream': (_chrys_cloud_frames_v1_Stream__Output);
}
