// Original file: proto/video_streaming.proto

import type { BoudingBox as _chrys_cloud_videostreaming_v1beta1_BoudingBox, BoudingBox__Output as _chrys_cloud_videostreaming_v1beta1_BoudingBox__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/BoudingBox.ts';
import type { Location as _chrys_cloud_videostreaming_v1beta1_Location, Location__Output as _chrys_cloud_videostreaming_v1beta1_Location__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/Location.ts';
import type { Coordinate as _chrys_cloud_videostreaming_v1beta1_Coordinate, Coordinate__Output as _chrys_cloud_videostreaming_v1beta1_Coordinate__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/Coordinate.ts';
import type { Long } from '@grpc/proto-loader';

export interface AnnotateRequest {
  'device_name'?: (string);
  'remote_stream_id'?: (string);
  'type'?: (string);
  'start_timestamp'?: (number | string | Long);
  'end_timestamp'?: (number | string | Long);
  'object_type'?: (string);
  'object_id'?: (string);
  'object_tracking_id'?: (string);
  'confidence'?: (number | string);
  'object_bouding_box'?: (_chrys_cloud_videostreaming_v1beta1_BoudingBox | null);
  'location'?: (_chrys_cloud_videostreaming_v1beta1_Location | null);
  'object_coordinate'?: (_chrys_cloud_videostreaming_v1beta1_Coordinate | null);
  'mask'?: (_chrys_cloud_videostreaming_v1beta1_Coordinate)[];
  'object_signature'?: (number | string)[];
  'ml_model'?: (string);
  'ml_model_version'?: (string);
  'width'?: (number);
  'height'?: (number);
  'is_keyframe'?: (boolean);
  'video_type'?: (string);
  'offset_timestamp'?: (number | string | Long);
  'offset_duration'?: (number | string | Long);
  'offset_frame_id'?: (number | string | Long);
  'offset_packet_id'?: (number | string | Long);
  'custom_meta_1'?: (string);
  'custom_meta_2'?: (string);
  'custom_meta_3'?: (string);
  'custom_meta_4'?: (string);
  'custom_meta_5'?: (string);
}

export interface AnnotateRequest__Output {
  'device_name': (string);
  'remote_stream_id': (string);
  'type': (string);
  'start_timestamp': (number);
  'end_timestamp': (number);
  'object_type': (string);
  'object_id': (string);
  'object_tracking_id': (string);
  'confidence': (number);
  'object_bouding_box': (_chrys_cloud_videostreaming_v1beta1_BoudingBox__Output | null);
  'location': (_chrys_cloud_videostreaming_v1beta1_Location__Output | null);
  'object_coordinate': (_chrys_cloud_videostreaming_v1beta1_Coordinate__Output | null);
  'mask': (_chrys_cloud_videostreaming_v1beta1_Coordinate__Output)[];
  'object_signature': (number)[];
  'ml_model': (string);
  'ml_model_version': (string);
  'width': (number);
  'height': (number);
  'is_keyframe': (boolean);
  'video_type': (string);
  'offset_timestamp': (number);
  'offset_duration': (number);
  'offset_frame_id': (number);
  'offset_packet_id': (number);
  'custom_meta_1': (string);
  'custom_meta_2': (string);
  'custom_meta_3': (string);
  'custom_meta_4': (string);
  'custom_meta_5': (string);
}
