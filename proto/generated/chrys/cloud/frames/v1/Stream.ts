// Original file: proto/frames.proto

export const Stream = {
  STREAM_UNSPECIFIED: 'STREAM_UNSPECIFIED',
  STREAM_MAIN: 'STREAM_MAIN',
  STREAM_SUB: 'STREAM_SUB',
} as const;

export type Stream =
  | 'STREAM_UNSPECIFIED'
  | 0
  | 'STREAM_MAIN'
  | 1
  | 'STREAM_SUB'
  | 2

export type Stream__Output = typeof Stream[keyof typeof Stream]
