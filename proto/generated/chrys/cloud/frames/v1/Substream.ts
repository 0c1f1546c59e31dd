// Original file: proto/frames.proto


export interface Substream {
  'connected'?: (boolean);
  'reason'?: (string);
  'message'?: (string);
  'codec'?: (string);
  'width'?: (number);
  'height'?: (number);
  'fps'?: (number | string);
}

export interface Substream__Output {
  'connected': (boolean);
  'reason': (string);
  'message': (string);
  'codec': (string);
  'width': (number);
  'height': (number);
  'fps': (number);
}
