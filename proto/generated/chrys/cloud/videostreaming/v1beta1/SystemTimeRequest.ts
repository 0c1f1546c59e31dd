// Original file: proto/video_streaming.proto


export interface SystemTimeRequest {
}

export interface SystemTimeRequest__Output {
}
