// Original file: proto/video_streaming.proto

import type { Long } from '@grpc/proto-loader';

export interface SystemTimeResponse {
  'current_time'?: (number | string | Long);
}

export interface SystemTimeResponse__Output {
  'current_time': (number);
}
