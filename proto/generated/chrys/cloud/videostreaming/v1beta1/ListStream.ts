// Original file: proto/video_streaming.proto

import type { Long } from '@grpc/proto-loader';

export interface ListStream {
  'name'?: (string);
  'status'?: (string);
  'failing_streak'?: (number | string | Long);
  'health_status'?: (string);
  'dead'?: (boolean);
  'exit_code'?: (number | string | Long);
  'pid'?: (number);
  'running'?: (boolean);
  'paused'?: (boolean);
  'restarting'?: (boolean);
  'oomkilled'?: (boolean);
  'error'?: (string);
}

export interface ListStream__Output {
  'name': (string);
  'status': (string);
  'failing_streak': (number);
  'health_status': (string);
  'dead': (boolean);
  'exit_code': (number);
  'pid': (number);
  'running': (boolean);
  'paused': (boolean);
  'restarting': (boolean);
  'oomkilled': (boolean);
  'error': (string);
}
