// Original file: proto/video_streaming.proto


export interface VideoProbeRequest {
  'device_id'?: (string);
}

export interface VideoProbeRequest__Output {
  'device_id': (string);
}
