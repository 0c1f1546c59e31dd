// Original file: proto/frames.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { CamerasRequest as _chrys_cloud_frames_v1_CamerasRequest, CamerasRequest__Output as _chrys_cloud_frames_v1_CamerasRequest__Output } from '../../../../chrys/cloud/frames/v1/CamerasRequest.ts';
import type { CamerasResponse as _chrys_cloud_frames_v1_CamerasResponse, CamerasResponse__Output as _chrys_cloud_frames_v1_CamerasResponse__Output } from '../../../../chrys/cloud/frames/v1/CamerasResponse.ts';
import type { PacketsRequest as _chrys_cloud_frames_v1_PacketsRequest, PacketsRequest__Output as _chrys_cloud_frames_v1_PacketsRequest__Output } from '../../../../chrys/cloud/frames/v1/PacketsRequest.ts';
import type { PacketsResponse as _chrys_cloud_frames_v1_PacketsResponse, PacketsResponse__Output as _chrys_cloud_frames_v1_PacketsResponse__Output } from '../../../../chrys/cloud/frames/v1/PacketsResponse.ts';
import type { ReplayRequest as _chrys_cloud_frames_v1_ReplayRequest, ReplayRequest__Output as _chrys_cloud_frames_v1_ReplayRequest__Output } from '../../../../chrys/cloud/frames/v1/ReplayRequest.ts';
import type { ReplayResponse as _chrys_cloud_frames_v1_ReplayResponse, ReplayResponse__Output as _chrys_cloud_frames_v1_ReplayResponse__Output } from '../../../../chrys/cloud/frames/v1/ReplayResponse.ts';
import type { SnapshotRequest as _chrys_cloud_frames_v1_SnapshotRequest, SnapshotRequest__Output as _chrys_cloud_frames_v1_SnapshotRequest__Output } from '../../../../chrys/cloud/frames/v1/SnapshotRequest.ts';
import type { SnapshotResponse as _chrys_cloud_frames_v1_SnapshotResponse, SnapshotResponse__Output as _chrys_cloud_frames_v1_SnapshotResponse__Output } from '../../../../chrys/cloud/frames/v1/SnapshotResponse.ts';
import type { WatchRequest as _chrys_cloud_frames_v1_WatchRequest, WatchRequest__Output as _chrys_cloud_frames_v1_WatchRequest__Output } from '../../../../chrys/cloud/frames/v1/WatchRequest.ts';
import type { WatchResponse as _chrys_cloud_frames_v1_WatchResponse, WatchResponse__Output as _chrys_cloud_frames_v1_WatchResponse__Output } from '../../../../chrys/cloud/frames/v1/WatchResponse.ts';

export interface FramesServiceClient extends grpc.Client {
  Cameras(argument: _chrys_cloud_frames_v1_CamerasRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_CamerasResponse__Output>;
  Cameras(argument: _chrys_cloud_frames_v1_CamerasRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_CamerasResponse__Output>;
  cameras(argument: _chrys_cloud_frames_v1_CamerasRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_CamerasResponse__Output>;
  cameras(argument: _chrys_cloud_frames_v1_CamerasRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_CamerasResponse__Output>;
  
  Packets(argument: _chrys_cloud_frames_v1_PacketsRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_PacketsResponse__Output>;
  Packets(argument: _chrys_cloud_frames_v1_PacketsRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_PacketsResponse__Output>;
  packets(argument: _chrys_cloud_frames_v1_PacketsRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_PacketsResponse__Output>;
  packets(argument: _chrys_cloud_frames_v1_PacketsRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_PacketsResponse__Output>;
  
  Replay(argument: _chrys_cloud_frames_v1_ReplayRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_ReplayResponse__Output>;
  Replay(argument: _chrys_cloud_frames_v1_ReplayRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_ReplayResponse__Output>;
  replay(argument: _chrys_cloud_frames_v1_ReplayRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_ReplayResponse__Output>;
  replay(argument: _chrys_cloud_frames_v1_ReplayRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_chrys_cloud_frames_v1_ReplayResponse__Output>;
  
  Snapshot(argument: _chrys_cloud_frames_v1_SnapshotRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_frames_v1_SnapshotResponse__Output>): grpc.ClientUnaryCall;
  Snapshot(argument: _chrys_cloud_frames_v1_SnapshotRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_frames_v1_SnapshotResponse__Output>): grpc.ClientUnaryCall;
  Snapshot(argument: _chrys_cloud_frames_v1_SnapshotRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_frames_v1_SnapshotResponse__Output>): grpc.ClientUnaryCall;
  Snapshot(argument: _chrys_cloud_frames_v1_SnapshotRequest, callback: grpc.requestCallback<_chrys_cloud_frames_v1_SnapshotResponse__Output>): grpc.ClientUnaryCall;
  snapshot(argument: _chrys_cloud_frames_v1_SnapshotRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_frames_v1_SnapshotResponse__Output>): grpc.ClientUnaryCall;
  snapshot(argument: _chrys_cloud_frames_v1_SnapshotRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_chrys_cloud_frames_v1_SnapshotResponse__Output>): grpc.ClientUnaryCall;
  snapshot(argument: _chrys_cloud_frames_v1_SnapshotRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_chrys_cloud_frames_v1_SnapshotResponse__Output>): grpc.ClientUnaryCall;
  snapshot(argument: _chrys_cloud_frames_v1_SnapshotRequest, callback: grpc.requestCallback<_chrys_cloud_frames_v1_SnapshotResponse__Output>): grpc.ClientUnaryCall;
  
  Watch(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_chrys_cloud_frames_v1_WatchRequest, _chrys_cloud_frames_v1_WatchResponse__Output>;
  Watch(options?: grpc.CallOptions): grpc.ClientDuplexStream<_chrys_cloud_frames_v1_WatchRequest, _chrys_cloud_frames_v1_WatchResponse__Output>;
  watch(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_chrys_cloud_frames_v1_WatchRequest, _chrys_cloud_frames_v1_WatchResponse__Output>;
  watch(options?: grpc.CallOptions): grpc.ClientDuplexStream<_chrys_cloud_frames_v1_WatchRequest, _chrys_cloud_frames_v1_WatchResponse__Output>;
  
}

export interface FramesServiceHandlers extends grpc.UntypedServiceImplementation {
  Cameras: grpc.handleServerStreamingCall<_chrys_cloud_frames_v1_CamerasRequest__Output, _chrys_cloud_frames_v1_CamerasResponse>;
  
  Packets: grpc.handleServerStreamingCall<_chrys_cloud_frames_v1_PacketsRequest__Output, _chrys_cloud_frames_v1_PacketsResponse>;
  
  Replay: grpc.handleServerStreamingCall<_chrys_cloud_frames_v1_ReplayRequest__Output, _chrys_cloud_frames_v1_ReplayResponse>;
  
  Snapshot: grpc.handleUnaryCall<_chrys_cloud_frames_v1_SnapshotRequest__Output, _chrys_cloud_frames_v1_SnapshotResponse>;
  
  Watch: grpc.handleBidiStreamingCall<_chrys_cloud_frames_v1_WatchRequest__Output, _chrys_cloud_frames_v1_WatchResponse>;
  
}

export interface FramesServiceDefinition extends grpc.ServiceDefinition {
  Cameras: MethodDefinition<_chrys_cloud_frames_v1_CamerasRequest, _chrys_cloud_frames_v1_CamerasResponse, _chrys_cloud_frames_v1_CamerasRequest__Output, _chrys_cloud_frames_v1_CamerasResponse__Output>
  Packets: MethodDefinition<_chrys_cloud_frames_v1_PacketsRequest, _chrys_cloud_frames_v1_PacketsResponse, _chrys_cloud_frames_v1_PacketsRequest__Output, _chrys_cloud_frames_v1_PacketsResponse__Output>
  Replay: MethodDefinition<_chrys_cloud_frames_v1_ReplayRequest, _chrys_cloud_frames_v1_ReplayResponse, _chrys_cloud_frames_v1_ReplayRequest__Output, _chrys_cloud_frames_v1_ReplayResponse__Output>
  Snapshot: MethodDefinition<_chrys_cloud_frames_v1_SnapshotRequest, _chrys_cloud_frames_v1_SnapshotResponse, _chrys_cloud_frames_v1_SnapshotRequest__Output, _chrys_cloud_frames_v1_SnapshotResponse__Output>
  Watch: MethodDefinition<_chrys_cloud_frames_v1_WatchRequest, _chrys_cloud_frames_v1_WatchResponse, _chrys_cloud_frames_v1_WatchRequest__Output, _chrys_cloud_frames_v1_WatchResponse__Output>
}
