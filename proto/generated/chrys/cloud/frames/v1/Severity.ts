// Original file: proto/frames.proto

export const Severity = {
  SEVERITY_UNSPECIFIED: 'SEVERITY_UNSPECIFIED',
  SEVERITY_OK: 'SEVERITY_OK',
  SEVERITY_TRANSIENT: 'SEVERITY_TRANSIENT',
  SEVERITY_NEEDS_A_PERSON: 'SEVERITY_NEEDS_A_PERSON',
} as const;

export type Severity =
  | 'SEVERITY_UNSPECIFIED'
  | 0
  | 'SEVERITY_OK'
  | 1
  | 'SEVERITY_TRANSIENT'
  | 2
  | 'SEVERITY_NEEDS_A_PERSON'
  | 3

export type Severity__Output = typeof Severity[keyof typeof Severity]
