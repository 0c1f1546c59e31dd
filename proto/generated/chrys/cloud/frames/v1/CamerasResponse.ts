// Original file: proto/frames.proto

import type { Camera as _chrys_cloud_frames_v1_Camera, Camera__Output as _chrys_cloud_frames_v1_Camera__Output } from '../../../../chrys/cloud/frames/v1/Camera.ts';

export interface CamerasResponse {
  'camera'?: (_chrys_cloud_frames_v1_Camera | null);
  'gone'?: (string);
  'synced'?: (boolean);
  'event'?: "camera"|"gone"|"synced";
}

export interface CamerasResponse__Output {
  'camera'?: (_chrys_cloud_frames_v1_Camera__Output | null);
  'gone'?: (string);
  'synced'?: (boolean);
  'event'?: "camera"|"gone"|"synced";
}
