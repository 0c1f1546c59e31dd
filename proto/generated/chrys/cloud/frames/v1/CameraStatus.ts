// Original file: proto/frames.proto

import type { Severity as _chrys_cloud_frames_v1_Severity, Severity__Output as _chrys_cloud_frames_v1_Severity__Output } from '../../../../chrys/cloud/frames/v1/Severity.ts';

// Original file: proto/frames.proto

export const _chrys_cloud_frames_v1_CameraStatus_State = {
  STATE_UNSPECIFIED: 'STATE_UNSPECIFIED',
  STATE_STREAMING: 'STATE_STREAMING',
  STATE_NO_FRAMES: 'STATE_NO_FRAMES',
  STATE_GONE: 'STATE_GONE',
} as const;

export type _chrys_cloud_frames_v1_CameraStatus_State =
  | 'STATE_UNSPECIFIED'
  | 0
  | 'STATE_STREAMING'
  | 1
  | 'STATE_NO_FRAMES'
  | 2
  | 'STATE_GONE'
  | 3

export type _chrys_cloud_frames_v1_CameraStatus_State__Output = typeof _chrys_cloud_frames_v1_CameraStatus_State[keyof typeof _chrys_cloud_frames_v1_CameraStatus_State]

export interface CameraStatus {
  'camera'?: (string);
  'state'?: (_chrys_cloud_frames_v1_CameraStatus_State);
  'reason'?: (string);
  'message'?: (string);
  'severity'?: (_chrys_cloud_frames_v1_Severity);
}

export interface CameraStatus__Output {
  'camera': (string);
  'state': (_chrys_cloud_frames_v1_CameraStatus_State__Output);
  'reason': (string);
  'message': (string);
  'severity': (_chrys_cloud_frames_v1_Severity__Output);
}
