// Original file: proto/video_streaming.proto


export interface ListStreamRequest {
}

export interface ListStreamRequest__Output {
}
