// Original file: proto/video_streaming.proto


export interface ProxyRequest {
  'device_id'?: (string);
  'passthrough'?: (boolean);
}

export interface ProxyRequest__Output {
  'device_id': (string);
  'passthrough': (boolean);
}
