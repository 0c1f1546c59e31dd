// Original file: proto/video_streaming.proto


export interface StorageRequest {
  'device_id'?: (string);
  'start'?: (boolean);
}

export interface StorageRequest__Output {
  'device_id': (string);
  'start': (boolean);
}
