// Original file: proto/frames.proto

import type { Severity as _chrys_cloud_frames_v1_Severity, Severity__Output as _chrys_cloud_frames_v1_Severity__Output } from '../../../../chrys/cloud/frames/v1/Severity.ts';
import type { Buffer as _chrys_cloud_frames_v1_Buffer, Buffer__Output as _chrys_cloud_frames_v1_Buffer__Output } from '../../../../chrys/cloud/frames/v1/Buffer.ts';
import type { Substream as _chrys_cloud_frames_v1_Substream, Substream__Output as _chrys_cloud_frames_v1_Substream__Output } from '../../../../chrys/cloud/frames/v1/Substream.ts';

export interface Camera {
  'name'?: (string);
  'namespace'?: (string);
  'labels'?: ({[key: string]: string});
  'status'?: (string);
  'health'?: (string);
  'reason'?: (string);
  'message'?: (string);
  'severity'?: (_chrys_cloud_frames_v1_Severity);
  'codec'?: (string);
  'width'?: (number);
  'height'?: (number);
  'fps'?: (number | string);
  'bits_per_second'?: (number | string);
  'buffer'?: (_chrys_cloud_frames_v1_Buffer | null);
  'substream'?: (_chrys_cloud_frames_v1_Substream | null);
}

export interface Camera__Output {
  'name': (string);
  'namespace': (string);
  'labels': ({[key: string]: string});
  'status': (string);
  'health': (string);
  'reason': (string);
  'message': (string);
  'severity': (_chrys_cloud_frames_v1_Severity__Output);
  'codec': (string);
  'width': (number);
  'height': (number);
  'fps': (number);
  'bits_per_second': (number);
  'buffer': (_chrys_cloud_frames_v1_Buffer__Output | null);
  'substream': (_chrys_cloud_frames_v1_Substream__Output | null);
}
