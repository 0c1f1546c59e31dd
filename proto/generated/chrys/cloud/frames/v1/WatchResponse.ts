// Original file: proto/frames.proto

import type { Frame as _chrys_cloud_frames_v1_Frame, Frame__Output as _chrys_cloud_frames_v1_Frame__Output } from '../../../../chrys/cloud/frames/v1/Frame.ts';
import type { CameraStatus as _chrys_cloud_frames_v1_CameraStatus, CameraStatus__Output as _chrys_cloud_frames_v1_CameraStatus__Output } from '../../../../chrys/cloud/frames/v1/CameraStatus.ts';

export interface WatchResponse {
  'frame'?: (_chrys_cloud_frames_v1_Frame | null);
  'status'?: (_chrys_cloud_frames_v1_CameraStatus | null);
  'event'?: "frame"|"status";
}

export interface WatchResponse__Output {
  'frame'?: (_chrys_cloud_frames_v1_Frame__Output | null);
  'status'?: (_chrys_cloud_frames_v1_CameraStatus__Output | null);
  'event'?: "frame"|"status";
}
