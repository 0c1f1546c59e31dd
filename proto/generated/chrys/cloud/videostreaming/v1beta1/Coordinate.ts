// Original file: proto/video_streaming.proto


export interface Coordinate {
  'x'?: (number | string);
  'y'?: (number | string);
  'z'?: (number | string);
}

export interface Coordinate__Output {
  'x': (number);
  'y': (number);
  'z': (number);
}
