// Original file: proto/frames.proto

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
}
