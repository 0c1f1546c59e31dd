// Original file: proto/video_streaming.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AnnotateRequest as _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, AnnotateRequest__Output as _chrys_cloud_videostreaming_v1beta1_AnnotateRequest__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/AnnotateRequest.ts';
import type { AnnotateResponse as _chrys_cloud_videostreaming_v1beta1_AnnotateResponse, AnnotateResponse__Output as _chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/AnnotateResponse.ts';
import type { ListStream as _chrys_cloud_videostreaming_v1beta1_ListStream, ListStream__Output as _chrys_cloud_videostreaming_v1beta1_ListStream__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/ListStream.ts';
import type { ListStreamRequest as _chrys_cloud_videostreaming_v1beta1_ListStreamRequest, ListStreamRequest__Output as _chrys_cloud_videostreaming_v1beta1_ListStreamRequest__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/ListStreamRequest.ts';
import type { ProxyRequest as _chrys_cloud_videostreaming_v1beta1_ProxyRequest, ProxyRequest__Output as _chrys_cloud_videostreaming_v1beta1_ProxyRequest__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/ProxyRequest.ts';
import type { ProxyResponse as _chrys_cloud_videostreaming_v1beta1_ProxyResponse, ProxyResponse__Output as _chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/ProxyResponse.ts';
import type { StorageRequest as _chrys_cloud_videostreaming_v1beta1_StorageRequest, StorageRequest__Output as _chrys_cloud_videostreaming_v1beta1_StorageRequest__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/StorageRequest.ts';
import type { StorageResponse as _chrys_cloud_videostreaming_v1beta1_StorageResponse, StorageResponse__Output as _chrys_cloud_videostreaming_v1beta1_StorageResponse__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/StorageResponse.ts';
import type { SystemTimeRequest as _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, SystemTimeRequest__Output as _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/SystemTimeRequest.ts';
import type { SystemTimeResponse as _chrys_cloud_videostreaming_v1beta1_SystemTimeResponse, SystemTimeResponse__Output as _chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/SystemTimeResponse.ts';
import type { VideoFrame as _chrys_cloud_videostreaming_v1beta1_VideoFrame, VideoFrame__Output as _chrys_cloud_videostreaming_v1beta1_VideoFrame__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/VideoFrame.ts';
import type { VideoFrameBufferedRequest as _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest, VideoFrameBufferedRequest__Output as _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/VideoFrameBufferedRequest.ts';
import type { VideoFrameRequest as _chrys_cloud_videostreaming_v1beta1_VideoFrameRequest, VideoFrameRequest__Output as _chrys_cloud_videostreaming_v1beta1_VideoFrameRequest__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/VideoFrameRequest.ts';
import type { VideoProbeRequest as _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, VideoProbeRequest__Output as _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/VideoProbeRequest.ts';
import type { VideoProbeResponse as _chrys_cloud_videostreaming_v1beta1_VideoProbeResponse, VideoProbeResponse__Output as _chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output } from '../../../../chrys/cloud/videostreaming/v1beta1/VideoProbeResponse.ts';

export interface ImageClient extends grpc.Client {
  Annotate(argument: _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>): grpc.ClientUnaryCall;
  Annotate(argument: _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>): grpc.ClientUnaryCall;
  Annotate(argument: _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>): grpc.ClientUnaryCall;
  Annotate(argument: _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>): grpc.ClientUnaryCall;
  annotate(argument: _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>): grpc.ClientUnaryCall;
  annotate(argument: _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>): grpc.ClientUnaryCall;
  annotate(argument: _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>): grpc.ClientUnaryCall;
  annotate(argument: _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>): grpc.ClientUnaryCall;
  
  ListStreams(argument: _chrys_cloud_videostreaming_v1beta1_ListStreamRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_videostreaming_v1beta1_ListStream__Output>;
  ListStreams(argument: _chrys_cloud_videostreaming_v1beta1_ListStreamRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_videostreaming_v1beta1_ListStream__Output>;
  listStreams(argument: _chrys_cloud_videostreaming_v1beta1_ListStreamRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_videostreaming_v1beta1_ListStream__Output>;
  listStreams(argument: _chrys_cloud_videostreaming_v1beta1_ListStreamRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_videostreaming_v1beta1_ListStream__Output>;
  
  Proxy(argument: _chrys_cloud_videostreaming_v1beta1_ProxyRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>): grpc.ClientUnaryCall;
  Proxy(argument: _chrys_cloud_videostreaming_v1beta1_ProxyRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>): grpc.ClientUnaryCall;
  Proxy(argument: _chrys_cloud_videostreaming_v1beta1_ProxyRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>): grpc.ClientUnaryCall;
  Proxy(argument: _chrys_cloud_videostreaming_v1beta1_ProxyRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>): grpc.ClientUnaryCall;
  proxy(argument: _chrys_cloud_videostreaming_v1beta1_ProxyRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>): grpc.ClientUnaryCall;
  proxy(argument: _chrys_cloud_videostreaming_v1beta1_ProxyRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>): grpc.ClientUnaryCall;
  proxy(argument: _chrys_cloud_videostreaming_v1beta1_ProxyRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>): grpc.ClientUnaryCall;
  proxy(argument: _chrys_cloud_videostreaming_v1beta1_ProxyRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>): grpc.ClientUnaryCall;
  
  Storage(argument: _chrys_cloud_videostreaming_v1beta1_StorageRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>): grpc.ClientUnaryCall;
  Storage(argument: _chrys_cloud_videostreaming_v1beta1_StorageRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>): grpc.ClientUnaryCall;
  Storage(argument: _chrys_cloud_videostreaming_v1beta1_StorageRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>): grpc.ClientUnaryCall;
  Storage(argument: _chrys_cloud_videostreaming_v1beta1_StorageRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>): grpc.ClientUnaryCall;
  storage(argument: _chrys_cloud_videostreaming_v1beta1_StorageRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>): grpc.ClientUnaryCall;
  storage(argument: _chrys_cloud_videostreaming_v1beta1_StorageRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>): grpc.ClientUnaryCall;
  storage(argument: _chrys_cloud_videostreaming_v1beta1_StorageRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>): grpc.ClientUnaryCall;
  storage(argument: _chrys_cloud_videostreaming_v1beta1_StorageRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>): grpc.ClientUnaryCall;
  
  SystemTime(argument: _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>): grpc.ClientUnaryCall;
  SystemTime(argument: _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>): grpc.ClientUnaryCall;
  SystemTime(argument: _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>): grpc.ClientUnaryCall;
  SystemTime(argument: _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>): grpc.ClientUnaryCall;
  systemTime(argument: _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>): grpc.ClientUnaryCall;
  systemTime(argument: _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>): grpc.ClientUnaryCall;
  systemTime(argument: _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>): grpc.ClientUnaryCall;
  systemTime(argument: _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>): grpc.ClientUnaryCall;
  
  VideoBufferedImage(argument: _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>;
  VideoBufferedImage(argument: _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>;
  videoBufferedImage(argument: _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>;
  videoBufferedImage(argument: _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>;
  
  VideoLatestImage(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_chrys_cloud_videostreaming_v1beta1_VideoFrameRequest, _chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>;
  VideoLatestImage(options?: grpc.CallOptions): grpc.ClientDuplexStream<_chrys_cloud_videostreaming_v1beta1_VideoFrameRequest, _chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>;
  videoLatestImage(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_chrys_cloud_videostreaming_v1beta1_VideoFrameRequest, _chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>;
  videoLatestImage(options?: grpc.CallOptions): grpc.ClientDuplexStream<_chrys_cloud_videostreaming_v1beta1_VideoFrameRequest, _chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>;
  
  VideoProbe(argument: _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>): grpc.ClientUnaryCall;
  VideoProbe(argument: _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>): grpc.ClientUnaryCall;
  VideoProbe(argument: _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>): grpc.ClientUnaryCall;
  VideoProbe(argument: _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>): grpc.ClientUnaryCall;
  videoProbe(argument: _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>): grpc.ClientUnaryCall;
  videoProbe(argument: _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>): grpc.ClientUnaryCall;
  videoProbe(argument: _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>): grpc.ClientUnaryCall;
  videoProbe(argument: _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, callback: grpc.requestCallback<_chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>): grpc.ClientUnaryCall;
  
}

export interface ImageHandlers extends grpc.UntypedServiceImplementation {
  Annotate: grpc.handleUnaryCall<_chrys_cloud_videostreaming_v1beta1_AnnotateRequest__Output, _chrys_cloud_videostreaming_v1beta1_AnnotateResponse>;
  
  ListStreams: grpc.handleServerStreamingCall<_chrys_cloud_videostreaming_v1beta1_ListStreamRequest__Output, _chrys_cloud_videostreaming_v1beta1_ListStream>;
  
  Proxy: grpc.handleUnaryCall<_chrys_cloud_videostreaming_v1beta1_ProxyRequest__Output, _chrys_cloud_videostreaming_v1beta1_ProxyResponse>;
  
  Storage: grpc.handleUnaryCall<_chrys_cloud_videostreaming_v1beta1_StorageRequest__Output, _chrys_cloud_videostreaming_v1beta1_StorageResponse>;
  
  SystemTime: grpc.handleUnaryCall<_chrys_cloud_videostreaming_v1beta1_SystemTimeRequest__Output, _chrys_cloud_videostreaming_v1beta1_SystemTimeResponse>;
  
  VideoBufferedImage: grpc.handleServerStreamingCall<_chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest__Output, _chrys_cloud_videostreaming_v1beta1_VideoFrame>;
  
  VideoLatestImage: grpc.handleBidiStreamingCall<_chrys_cloud_videostreaming_v1beta1_VideoFrameRequest__Output, _chrys_cloud_videostreaming_v1beta1_VideoFrame>;
  
  VideoProbe: grpc.handleUnaryCall<_chrys_cloud_videostreaming_v1beta1_VideoProbeRequest__Output, _chrys_cloud_videostreaming_v1beta1_VideoProbeResponse>;
  
}

export interface ImageDefinition extends grpc.ServiceDefinition {
  Annotate: MethodDefinition<_chrys_cloud_videostreaming_v1beta1_AnnotateRequest, _chrys_cloud_videostreaming_v1beta1_AnnotateResponse, _chrys_cloud_videostreaming_v1beta1_AnnotateRequest__Output, _chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>
  ListStreams: MethodDefinition<_chrys_cloud_videostreaming_v1beta1_ListStreamRequest, _chrys_cloud_videostreaming_v1beta1_ListStream, _chrys_cloud_videostreaming_v1beta1_ListStreamRequest__Output, _chrys_cloud_videostreaming_v1beta1_ListStream__Output>
  Proxy: MethodDefinition<_chrys_cloud_videostreaming_v1beta1_ProxyRequest, _chrys_cloud_videostreaming_v1beta1_ProxyResponse, _chrys_cloud_videostreaming_v1beta1_ProxyRequest__Output, _chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>
  Storage: MethodDefinition<_chrys_cloud_videostreaming_v1beta1_StorageRequest, _chrys_cloud_videostreaming_v1beta1_StorageResponse, _chrys_cloud_videostreaming_v1beta1_StorageRequest__Output, _chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>
  SystemTime: MethodDefinition<_chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, _chrys_cloud_videostreaming_v1beta1_SystemTimeResponse, _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest__Output, _chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>
  VideoBufferedImage: MethodDefinition<_chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest, _chrys_cloud_videostreaming_v1beta1_VideoFrame, _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest__Output, _chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>
  VideoLatestImage: MethodDefinition<_chrys_cloud_videostreaming_v1beta1_VideoFrameRequest, _chrys_cloud_videostreaming_v1beta1_VideoFrame, _chrys_cloud_videostreaming_v1beta1_VideoFrameRequest__Output, _chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>
  VideoProbe: MethodDefinition<_chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, _chrys_cloud_videostreaming_v1beta1_VideoProbeResponse, _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest__Output, _chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>
}
