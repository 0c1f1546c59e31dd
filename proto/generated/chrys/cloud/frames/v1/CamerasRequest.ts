// Original file: proto/frames.proto


export interface CamerasRequest {
  'cameras'?: (string)[];
  'selector'?: (string);
  '_selector'?: "selector";
}

export interface CamerasRequest__Output {
  'cameras': (string)[];
  'selector'?: (string);
  '_selector'?: "selector";
}
