// Original file: proto/video_streaming.proto


export interface ProxyResponse {
  'device_id'?: (string);
  'passthrough'?: (boolean);
}

export interface ProxyResponse__Output {
  'device_id': (string);
  'passthrough': (boolean);
}
