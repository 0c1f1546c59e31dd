// Original file: proto/frames.proto

import type { Codec as _chrys_cloud_frames_v1_Codec, Codec__Output as _chrys_cloud_frames_v1_Codec__Output } from '../../../../chrys/cloud/frames/v1/Codec.ts';
import type { Packet as _chrys_cloud_frames_v1_Packet, Packet__Output as _chrys_cloud_frames_v1_Packet__Output } from '../../../../chrys/cloud/frames/v1/Packet.ts';
import type { Lost as _chrys_cloud_frames_v1_Lost, Lost__Output as _chrys_cloud_frames_v1_Lost__Output } from '../../../../chrys/cloud/frames/v1/Lost.ts';
import type { CameraStatus as _chrys_cloud_frames_v1_CameraStatus, CameraStatus__Output as _chrys_cloud_frames_v1_CameraStatus__Output } from '../../../../chrys/cloud/frames/v1/CameraStatus.ts';

export interface PacketsResponse {
  'codec'?: (_chrys_cloud_frames_v1_Codec | null);
  'packet'?: (_chrys_cloud_frames_v1_Packet | null);
  'lost'?: (_chrys_cloud_frames_v1_Lost | null);
  'status'?: (_chrys_cloud_frames_v1_CameraStatus | null);
  'event'?: "codec"|"packet"|"lost"|"status";
}

export interface PacketsResponse__Output {
  'codec'?: (_chrys_cloud_frames_v1_Codec__Output | null);
  'packet'?: (_chrys_cloud_frames_v1_Packet__Output | null);
  'lost'?: (_chrys_cloud_frames_v1_Lost__Output | null);
  'status'?: (_chrys_cloud_frames_v1_CameraStatus__Output | null);
  'event'?: "codec"|"packet"|"lost"|"status";
}
