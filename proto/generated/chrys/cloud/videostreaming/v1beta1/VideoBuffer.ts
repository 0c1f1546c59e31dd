// Original file: proto/video_streaming.proto

import type { Long } from '@grpc/proto-loader';

export interface VideoBuffer {
  'start_time'?: (number | string | Long);
  'end_time'?: (number | string | Long);
  'duration_seconds'?: (number | string | Long);
  'approximate_fps'?: (number);
  'frames'?: (number | string | Long);
}

export interface VideoBuffer__Output {
  'start_time': (number);
  'end_time': (number);
  'duration_seconds': (number);
  'approximate_fps': (number);
  'frames': (number);
}
