// Original file: proto/frames.proto

import type { Region as _chrys_cloud_frames_v1_Region, Region__Output as _chrys_cloud_frames_v1_Region__Output } from '../../../../chrys/cloud/frames/v1/Region.ts';

export interface Geometry {
  'source_width'?: (number);
  'source_height'?: (number);
  'region'?: (_chrys_cloud_frames_v1_Region | null);
  'scale_x'?: (number | string);
  'scale_y'?: (number | string);
  'pad_left'?: (number);
  'pad_top'?: (number);
}

export interface Geometry__Output {
  'source_width': (number);
  'source_height': (number);
  'region': (_chrys_cloud_frames_v1_Region__Output | null);
  'scale_x': (number);
  'scale_y': (number);
  'pad_left': (number);
  'pad_top': (number);
}
