// Original file: proto/frames.proto

import type { Fit as _chrys_cloud_frames_v1_Fit, Fit__Output as _chrys_cloud_frames_v1_Fit__Output } from '../../../../chrys/cloud/frames/v1/Fit.ts';
import type { Region as _chrys_cloud_frames_v1_Region, Region__Output as _chrys_cloud_frames_v1_Region__Output } from '../../../../chrys/cloud/frames/v1/Region.ts';
import type { PixelFormat as _chrys_cloud_frames_v1_PixelFormat, PixelFormat__Output as _chrys_cloud_frames_v1_PixelFormat__Output } from '../../../../chrys/cloud/frames/v1/PixelFormat.ts';

export interface Rendition {
  'width'?: (number);
  'height'?: (number);
  'fit'?: (_chrys_cloud_frames_v1_Fit);
  'pad_color'?: (number);
  'region'?: (_chrys_cloud_frames_v1_Region | null);
  'format'?: (_chrys_cloud_frames_v1_PixelFormat);
  'jpeg_quality'?: (number);
}

export interface Rendition__Output {
  'width': (number);
  'height': (number);
  'fit': (_chrys_cloud_frames_v1_Fit__Output);
  'pad_color': (number);
  'region': (_chrys_cloud_frames_v1_Region__Output | null);
  'format': (_chrys_cloud_frames_v1_PixelFormat__Output);
  'jpeg_quality': (number);
}
