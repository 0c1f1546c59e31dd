// Original file: proto/video_streaming.proto

import type { Long } from '@grpc/proto-loader';

export interface _chrys_cloud_videostreaming_v1beta1_ShapeProto_Dim {
  'size'?: (number | string | Long);
  'name'?: (string);
}

export interface _chrys_cloud_videostreaming_v1beta1_ShapeProto_Dim__Output {
  'size': (number);
  'name': (string);
}

export interface ShapeProto {
  'dim'?: (_chrys_cloud_videostreaming_v1beta1_ShapeProto_Dim)[];
}

export interface ShapeProto__Output {
  'dim': (_chrys_cloud_videostreaming_v1beta1_ShapeProto_Dim__Output)[];
}
