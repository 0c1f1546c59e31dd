// Original file: proto/video_streaming.proto


export interface BoudingBox {
  'top'?: (number);
  'left'?: (number);
  'width'?: (number);
  'height'?: (number);
}

export interface BoudingBox__Output {
  'top': (number);
  'left': (number);
  'width': (number);
  'height': (number);
}
