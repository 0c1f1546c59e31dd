// Original file: proto/frames.proto


export interface Region {
  'x'?: (number);
  'y'?: (number);
  'width'?: (number);
  'height'?: (number);
}

export interface Region__Output {
  'x': (number);
  'y': (number);
  'width': (number);
  'height': (number);
}
