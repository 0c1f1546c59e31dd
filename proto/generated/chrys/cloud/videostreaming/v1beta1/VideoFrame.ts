// Original file: proto/video_streaming.proto

import type { ShapeProto as _chrys_cloud_videostreaming_v1beta1_ShapeProto, ShapeProto__Output as _chrys_cloud_videostreaming_v1beta1_ShapeProto__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/ShapeProto.ts';
import type { Long } from '@grpc/proto-loader';

export interface VideoFrame {
  'width'?: (number | string | Long);
  'height'?: (number | string | Long);
  'data'?: (Buffer | Uint8Array | string);
  'timestamp'?: (number | string | Long);
  'is_keyframe'?: (boolean);
  'pts'?: (number | string | Long);
  'dts'?: (number | string | Long);
  'frame_type'?: (string);
  'is_corrupt'?: (boolean);
  'time_base'?: (number | string);
  'shape'?: (_chrys_cloud_videostreaming_v1beta1_ShapeProto | null);
  'device_id'?: (string);
  'packet'?: (number | string | Long);
  'keyframe'?: (number | string | Long);
  'extradata'?: (Buffer | Uint8Array | string);
  'codec_name'?: (string);
  'pix_fmt'?: (string);
}

export interface VideoFrame__Output {
  'width': (number);
  'height': (number);
  'data': (Buffer);
  'timestamp': (number);
  'is_keyframe': (boolean);
  'pts': (number);
  'dts': (number);
  'frame_type': (string);
  'is_corrupt': (boolean);
  'time_base': (number);
  'shape': (_chrys_cloud_videostreaming_v1beta1_ShapeProto__Output | null);
  'device_id': (string);
  'packet': (number);
  'keyframe': (number);
  'extradata': (Buffer);
  'codec_name': (string);
  'pix_fmt': (string);
}
