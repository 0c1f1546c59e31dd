import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { Buffer as _chrys_cloud_frames_v1_Buffer, Buffer__Output as _chrys_cloud_frames_v1_Buffer__Output } from './chrys/cloud/frames/v1/Buffer.ts';
import type { Camera as _chrys_cloud_frames_v1_Camera, Camera__Output as _chrys_cloud_frames_v1_Camera__Output } from './chrys/cloud/frames/v1/Camera.ts';
import type { CameraStatus as _chrys_cloud_frames_v1_CameraStatus, CameraStatus__Output as _chrys_cloud_frames_v1_CameraStatus__Output } from './chrys/cloud/frames/v1/CameraStatus.ts';
import type { CameraTime as _chrys_cloud_frames_v1_CameraTime, CameraTime__Output as _chrys_cloud_frames_v1_CameraTime__Output } from './chrys/cloud/frames/v1/CameraTime.ts';
import type { CamerasRequest as _chrys_cloud_frames_v1_CamerasRequest, CamerasRequest__Output as _chrys_cloud_frames_v1_CamerasRequest__Output } from './chrys/cloud/frames/v1/CamerasRequest.ts';
import type { CamerasResponse as _chrys_cloud_frames_v1_CamerasResponse, CamerasResponse__Output as _chrys_cloud_frames_v1_CamerasResponse__Output } from './chrys/cloud/frames/v1/CamerasResponse.ts';
import type { Codec as _chrys_cloud_frames_v1_Codec, Codec__Output as _chrys_cloud_frames_v1_Codec__Output } from './chrys/cloud/frames/v1/Codec.ts';
import type { Frame as _chrys_cloud_frames_v1_Frame, Frame__Output as _chrys_cloud_frames_v1_Frame__Output } from './chrys/cloud/frames/v1/Frame.ts';
import type { FramesServiceClient as _chrys_cloud_frames_v1_FramesServiceClient, FramesServiceDefinition as _chrys_cloud_frames_v1_FramesServiceDefinition } from './chrys/cloud/frames/v1/FramesService.ts';
import type { Geometry as _chrys_cloud_frames_v1_Geometry, Geometry__Output as _chrys_cloud_frames_v1_Geometry__Output } from './chrys/cloud/frames/v1/Geometry.ts';
import type { Lost as _chrys_cloud_frames_v1_Lost, Lost__Output as _chrys_cloud_frames_v1_Lost__Output } from './chrys/cloud/frames/v1/Lost.ts';
import type { Packet as _chrys_cloud_frames_v1_Packet, Packet__Output as _chrys_cloud_frames_v1_Packet__Output } from './chrys/cloud/frames/v1/Packet.ts';
import type { PacketsRequest as _chrys_cloud_frames_v1_PacketsRequest, PacketsRequest__Output as _chrys_cloud_frames_v1_PacketsRequest__Output } from './chrys/cloud/frames/v1/PacketsRequest.ts';
import type { PacketsResponse as _chrys_cloud_frames_v1_PacketsResponse, PacketsResponse__Output as _chrys_cloud_frames_v1_PacketsResponse__Output } from './chrys/cloud/frames/v1/PacketsResponse.ts';
import type { Region as _chrys_cloud_frames_v1_Region, Region__Output as _chrys_cloud_frames_v1_Region__Output } from './chrys/cloud/frames/v1/Region.ts';
import type { Rendition as _chrys_cloud_frames_v1_Rendition, Rendition__Output as _chrys_cloud_frames_v1_Rendition__Output } from './chrys/cloud/frames/v1/Rendition.ts';
import type { ReplayRequest as _chrys_cloud_frames_v1_ReplayRequest, ReplayRequest__Output as _chrys_cloud_frames_v1_ReplayRequest__Output } from './chrys/cloud/frames/v1/ReplayRequest.ts';
import type { ReplayResponse as _chrys_cloud_frames_v1_ReplayResponse, ReplayResponse__Output as _chrys_cloud_frames_v1_ReplayResponse__Output } from './chrys/cloud/frames/v1/ReplayResponse.ts';
import type { SnapshotRequest as _chrys_cloud_frames_v1_SnapshotRequest, SnapshotRequest__Output as _chrys_cloud_frames_v1_SnapshotRequest__Output } from './chrys/cloud/frames/v1/SnapshotRequest.ts';
import type { SnapshotResponse as _chrys_cloud_frames_v1_SnapshotResponse, SnapshotResponse__Output as _chrys_cloud_frames_v1_SnapshotResponse__Output } from './chrys/cloud/frames/v1/SnapshotResponse.ts';
import type { Substream as _chrys_cloud_frames_v1_Substream, Substream__Output as _chrys_cloud_frames_v1_Substream__Output } from './chrys/cloud/frames/v1/Substream.ts';
import type { WatchRequest as _chrys_cloud_frames_v1_WatchRequest, WatchRequest__Output as _chrys_cloud_frames_v1_WatchRequest__Output } from './chrys/cloud/frames/v1/WatchRequest.ts';
import type { WatchResponse as _chrys_cloud_frames_v1_WatchResponse, WatchResponse__Output as _chrys_cloud_frames_v1_WatchResponse__Output } from './chrys/cloud/frames/v1/WatchResponse.ts';
import type { Wish as _chrys_cloud_frames_v1_Wish, Wish__Output as _chrys_cloud_frames_v1_Wish__Output } from './chrys/cloud/frames/v1/Wish.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  chrys: {
    cloud: {
      frames: {
        v1: {
          Buffer: MessageTypeDefinition<_chrys_cloud_frames_v1_Buffer, _chrys_cloud_frames_v1_Buffer__Output>
          Camera: MessageTypeDefinition<_chrys_cloud_frames_v1_Camera, _chrys_cloud_frames_v1_Camera__Output>
          CameraStatus: MessageTypeDefinition<_chrys_cloud_frames_v1_CameraStatus, _chrys_cloud_frames_v1_CameraStatus__Output>
          CameraTime: MessageTypeDefinition<_chrys_cloud_frames_v1_CameraTime, _chrys_cloud_frames_v1_CameraTime__Output>
          CamerasRequest: MessageTypeDefinition<_chrys_cloud_frames_v1_CamerasRequest, _chrys_cloud_frames_v1_CamerasRequest__Output>
          CamerasResponse: MessageTypeDefinition<_chrys_cloud_frames_v1_CamerasResponse, _chrys_cloud_frames_v1_CamerasResponse__Output>
          Codec: MessageTypeDefinition<_chrys_cloud_frames_v1_Codec, _chrys_cloud_frames_v1_Codec__Output>
          Fit: EnumTypeDefinition
          Frame: MessageTypeDefinition<_chrys_cloud_frames_v1_Frame, _chrys_cloud_frames_v1_Frame__Output>
          FramesService: SubtypeConstructor<typeof grpc.Client, _chrys_cloud_frames_v1_FramesServiceClient> & { service: _chrys_cloud_frames_v1_FramesServiceDefinition }
          Geometry: MessageTypeDefinition<_chrys_cloud_frames_v1_Geometry, _chrys_cloud_frames_v1_Geometry__Output>
          Lost: MessageTypeDefinition<_chrys_cloud_frames_v1_Lost, _chrys_cloud_frames_v1_Lost__Output>
          Mode: EnumTypeDefinition
          Packet: MessageTypeDefinition<_chrys_cloud_frames_v1_Packet, _chrys_cloud_frames_v1_Packet__Output>
          PacketsRequest: MessageTypeDefinition<_chrys_cloud_frames_v1_PacketsRequest, _chrys_cloud_frames_v1_PacketsRequest__Output>
          PacketsResponse: MessageTypeDefinition<_chrys_cloud_frames_v1_PacketsResponse, _chrys_cloud_frames_v1_PacketsResponse__Output>
          PixelFormat: EnumTypeDefinition
          Region: MessageTypeDefinition<_chrys_cloud_frames_v1_Region, _chrys_cloud_frames_v1_Region__Output>
          Rendition: MessageTypeDefinition<_chrys_cloud_frames_v1_Rendition, _chrys_cloud_frames_v1_Rendition__Output>
          ReplayRequest: MessageTypeDefinition<_chrys_cloud_frames_v1_ReplayRequest, _chrys_cloud_frames_v1_ReplayRequest__Output>
          ReplayResponse: MessageTypeDefinition<_chrys_cloud_frames_v1_ReplayResponse, _chrys_cloud_frames_v1_ReplayResponse__Output>
          Severity: EnumTypeDefinition
          SnapshotRequest: MessageTypeDefinition<_chrys_cloud_frames_v1_SnapshotRequest, _chrys_cloud_frames_v1_SnapshotRequest__Output>
          SnapshotResponse: MessageTypeDefinition<_chrys_cloud_frames_v1_SnapshotResponse, _chrys_cloud_frames_v1_SnapshotResponse__Output>
          Stream: EnumTypeDefinition
          Substream: MessageTypeDefinition<_chrys_cloud_frames_v1_Substream, _chrys_cloud_frames_v1_Substream__Output>
          WatchRequest: MessageTypeDefinition<_chrys_cloud_frames_v1_WatchRequest, _chrys_cloud_frames_v1_WatchRequest__Output>
          WatchResponse: MessageTypeDefinition<_chrys_cloud_frames_v1_WatchResponse, _chrys_cloud_frames_v1_WatchResponse__Output>
          Wish: MessageTypeDefinition<_chrys_cloud_frames_v1_Wish, _chrys_cloud_frames_v1_Wish__Output>
        }
      }
    }
  }
}

