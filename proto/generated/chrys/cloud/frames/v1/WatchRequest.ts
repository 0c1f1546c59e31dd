// Original file: proto/frames.proto

import type { Wish as _chrys_cloud_frames_v1_Wish, Wish__Output as _chrys_cloud_frames_v1_Wish__Output } from '../../../../chrys/cloud/frames/v1/Wish.ts';

export interface WatchRequest {
  'wish'?: (_chrys_cloud_frames_v1_Wish | null);
  'credit'?: (number);
}

export interface WatchRequest__Output {
  'wish': (_chrys_cloud_frames_v1_Wish__Output | null);
  'credit': (number);
}
