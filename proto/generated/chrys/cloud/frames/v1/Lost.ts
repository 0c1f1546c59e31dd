// Original file: proto/frames.proto

import type { Long } from '@grpc/proto-loader';

export interface Lost {
  'from_ms'?: (number | string | Long);
  'to_ms'?: (number | string | Long);
  'reason'?: (string);
  'message'?: (string);
}

export interface Lost__Output {
  'from_ms': (number);
  'to_ms': (number);
  'reason': (string);
  'message': (string);
}
