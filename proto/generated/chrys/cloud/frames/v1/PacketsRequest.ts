// Original file: proto/frames.proto

import type { Long } from '@grpc/proto-loader';

export interface PacketsRequest {
  'camera'?: (string);
  'from_ms'?: (number | string | Long);
  '_from_ms'?: "from_ms";
}

export interface PacketsRequest__Output {
  'camera': (string);
  'from_ms'?: (number);
  '_from_ms'?: "from_ms";
}
