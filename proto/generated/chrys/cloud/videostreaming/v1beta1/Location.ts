// Original file: proto/video_streaming.proto


export interface Location {
  'lat'?: (number | string);
  'lon'?: (number | string);
}

export interface Location__Output {
  'lat': (number);
  'lon': (number);
}
