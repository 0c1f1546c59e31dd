// Original file: proto/frames.proto

import type { Frame as _chrys_cloud_frames_v1_Frame, Frame__Output as _chrys_cloud_frames_v1_Frame__Output } from '../../../../chrys/cloud/frames/v1/Frame.ts';

export interface SnapshotResponse {
  'frame'?: (_chrys_cloud_frames_v1_Frame | null);
}

export interface SnapshotResponse__Output {
  'frame': (_chrys_cloud_frames_v1_Frame__Output | null);
}
