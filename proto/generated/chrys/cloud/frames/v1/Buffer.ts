// Original file: proto/frames.proto

import type { Long } from '@grpc/proto-loader';

export interface Buffer {
  'from_ms'?: (number | string | Long);
  'to_ms'?: (number | string | Long);
  'packets'?: (number | string | Long);
  'bytes'?: (number | string | Long);
}

export interface Buffer__Output {
  'from_ms': (number);
  'to_ms': (number);
  'packets': (number);
  'bytes': (number);
}
