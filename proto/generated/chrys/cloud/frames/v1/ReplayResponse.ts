// Original file: proto/frames.proto

import type { Frame as _chrys_cloud_frames_v1_Frame, Frame__Output as _chrys_cloud_frames_v1_Frame__Output } from '../../../../chrys/cloud/frames/v1/Frame.ts';
import type { Lost as _chrys_cloud_frames_v1_Lost, Lost__Output as _chrys_cloud_frames_v1_Lost__Output } from '../../../../chrys/cloud/frames/v1/Lost.ts';

export interface ReplayResponse {
  'frame'?: (_chrys_cloud_frames_v1_Frame | null);
  'lost'?: (_chrys_cloud_frames_v1_Lost | null);
  'event'?: "frame"|"lost";
}

export interface ReplayResponse__Output {
  'frame'?: (_chrys_cloud_frames_v1_Frame__Output | null);
  'lost'?: (_chrys_cloud_frames_v1_Lost__Output | null);
  'event'?: "frame"|"lost";
}
