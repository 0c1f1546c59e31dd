// Original file: proto/frames.proto

export const Fit = {
  FIT_UNSPECIFIED: 'FIT_UNSPECIFIED',
  FIT_STRETCH: 'FIT_STRETCH',
  FIT_LETTERBOX: 'FIT_LETTERBOX',
  FIT_CROP: 'FIT_CROP',
} as const;

export type Fit =
  | 'FIT_UNSPECIFIED'
  | 0
  | 'FIT_STRETCH'
  | 1
  | 'FIT_LETTERBOX'
  | 2
  | 'FIT_CROP'
  | 3

export type Fit__Output = typeof Fit[keyof typeof Fit]
