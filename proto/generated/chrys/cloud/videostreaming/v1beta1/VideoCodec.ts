// Original file: proto/video_streaming.proto


export interface VideoCodec {
  'name'?: (string);
  'width'?: (number);
  'height'?: (number);
  'pix_fmt'?: (string);
  'extradata'?: (Buffer | Uint8Array | string);
  'extradata_size'?: (number);
  'long_name'?: (string);
}

export interface VideoCodec__Output {
  'name': (string);
  'width': (number);
  'height': (number);
  'pix_fmt': (string);
  'extradata': (Buffer);
  'extradata_size': (number);
  'long_name': (string);
}
