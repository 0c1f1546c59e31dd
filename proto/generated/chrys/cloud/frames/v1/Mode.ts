// Original file: proto/frames.proto

export const Mode = {
  MODE_UNSPECIFIED: 'MODE_UNSPECIFIED',
  MODE_NEWEST: 'MODE_NEWEST',
  MODE_EVERY: 'MODE_EVERY',
} as const;

export type Mode =
  | 'MODE_UNSPECIFIED'
  | 0
  | 'MODE_NEWEST'
  | 1
  | 'MODE_EVERY'
  | 2

export type Mode__Output = typeof Mode[keyof typeof Mode]
