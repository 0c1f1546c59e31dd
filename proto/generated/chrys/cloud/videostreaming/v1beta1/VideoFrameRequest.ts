// Original file: proto/video_streaming.proto


export interface VideoFrameRequest {
  'key_frame_only'?: (boolean);
  'device_id'?: (string);
}

export interface VideoFrameRequest__Output {
  'key_frame_only': (boolean);
  'device_id': (string);
}
