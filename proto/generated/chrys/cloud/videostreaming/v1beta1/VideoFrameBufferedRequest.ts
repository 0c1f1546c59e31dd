// Original file: proto/video_streaming.proto

import type { Long } from '@grpc/proto-loader';

export interface VideoFrameBufferedRequest {
  'device_id'?: (string);
  'timestamp_from'?: (number | string | Long);
  'timestamp_to'?: (number | string | Long);
}

export interface VideoFrameBufferedRequest__Output {
  'device_id': (string);
  'timestamp_from': (number);
  'timestamp_to': (number);
}
