// Original file: proto/frames.proto


// Original file: proto/frames.proto

export const _chrys_cloud_frames_v1_Codec_Packaging = {
  PACKAGING_UNSPECIFIED: 'PACKAGING_UNSPECIFIED',
  PACKAGING_RAW: 'PACKAGING_RAW',
  PACKAGING_ANNEX_B: 'PACKAGING_ANNEX_B',
  PACKAGING_LENGTH_PREFIXED: 'PACKAGING_LENGTH_PREFIXED',
} as const;

export type _chrys_cloud_frames_v1_Codec_Packaging =
  | 'PACKAGING_UNSPECIFIED'
  | 0
  | 'PACKAGING_RAW'
  | 1
  | 'PACKAGING_ANNEX_B'
  | 2
  | 'PACKAGING_LENGTH_PREFIXED'
  | 3

export type _chrys_cloud_frames_v1_Codec_Packaging__Output = typeof _chrys_cloud_frames_v1_Codec_Packaging[keyof typeof _chrys_cloud_frames_v1_Codec_Packaging]

export interface Codec {
  'name'?: (string);
  'width'?: (number);
  'height'?: (number);
  'extradata'?: (Buffer | Uint8Array | string);
  'packaging'?: (_chrys_cloud_frames_v1_Codec_Packaging);
  'time_base_num'?: (number);
  'time_base_den'?: (number);
  'reorder'?: (number);
}

export interface Codec__Output {
  'name': (string);
  'width': (number);
  'height': (number);
  'extradata': (Buffer);
  'packaging': (_chrys_cloud_frames_v1_Codec_Packaging__Output);
  'time_base_num': (number);
  'time_base_den': (number);
  'reorder': (number);
}
