// Original file: proto/frames.proto

import type { Rendition as _chrys_cloud_frames_v1_Rendition, Rendition__Output as _chrys_cloud_frames_v1_Rendition__Output } from '../../../../chrys/cloud/frames/v1/Rendition.ts';
import type { Mode as _chrys_cloud_frames_v1_Mode, Mode__Output as _chrys_cloud_frames_v1_Mode__Output } from '../../../../chrys/cloud/frames/v1/Mode.ts';
import type { Stream as _chrys_cloud_frames_v1_Stream, Stream__Output as _chrys_cloud_frames_v1_Stream__Output } from '../../../../chrys/cloud/frames/v1/Stream.ts';

export interface Wish {
  'cameras'?: (string)[];
  'selector'?: (string);
  'rendition'?: (_chrys_cloud_frames_v1_Rendition | null);
  'mode'?: (_chrys_cloud_frames_v1_Mode);
  'max_fps'?: (number | string);
  'max_age_ms'?: (number);
  'keyframes_only'?: (boolean);
  'group'?: (string);
  'after'?: ({[key: string]: string});
  'stream'?: (_chrys_cloud_frames_v1_Stream);
  '_selector'?: "selector";
}

export interface Wish__Output {
  'cameras': (string)[];
  'selector'?: (string);
  'rendition': (_chrys_cloud_frames_v1_Rendition__Output | null);
  'mode': (_chrys_cloud_frames_v1_Mode__Output);
  'max_fps': (number);
  'max_age_ms': (number);
  'keyframes_only': (boolean);
  'group': (string);
  'after': ({[key: string]: string});
  'stream': (_chrys_cloud_frames_v1_Stream__Output);
  '_selector'?: "selector";
}
