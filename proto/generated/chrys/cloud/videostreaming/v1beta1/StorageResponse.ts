// Original file: proto/video_streaming.proto


export interface StorageResponse {
  'device_id'?: (string);
  'start'?: (boolean);
}

export interface StorageResponse__Output {
  'device_id': (string);
  'start': (boolean);
}
