// Original file: proto/video_streaming.proto

import type { Long } from '@grpc/proto-loader';

export interface AnnotateResponse {
  'device_name'?: (string);
  'remote_stream_id'?: (string);
  'type'?: (string);
  'start_timestamp'?: (number | string | Long);
}

export interface AnnotateResponse__Output {
  'device_name': (string);
  'remote_stream_id': (string);
  'type': (string);
  'start_timestamp': (number);
}
