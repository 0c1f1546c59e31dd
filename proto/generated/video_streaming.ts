import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { AnnotateRequest as _chrys_cloud_videostreaming_v1beta1_AnnotateRequest, AnnotateRequest__Output as _chrys_cloud_videostreaming_v1beta1_AnnotateRequest__Output } from './chrys/cloud/videostreaming/v1beta1/AnnotateRequest.ts';
import type { AnnotateResponse as _chrys_cloud_videostreaming_v1beta1_AnnotateResponse, AnnotateResponse__Output as _chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output } from './chrys/cloud/videostreaming/v1beta1/AnnotateResponse.ts';
import type { BoudingBox as _chrys_cloud_videostreaming_v1beta1_BoudingBox, BoudingBox__Output as _chrys_cloud_videostreaming_v1beta1_BoudingBox__Output } from './chrys/cloud/videostreaming/v1beta1/BoudingBox.ts';
import type { Coordinate as _chrys_cloud_videostreaming_v1beta1_Coordinate, Coordinate__Output as _chrys_cloud_videostreaming_v1beta1_Coordinate__Output } from './chrys/cloud/videostreaming/v1beta1/Coordinate.ts';
import type { ImageClient as _chrys_cloud_videostreaming_v1beta1_ImageClient, ImageDefinition as _chrys_cloud_videostreaming_v1beta1_ImageDefinition } from './chrys/cloud/videostreaming/v1beta1/Image.ts';
import type { ListStream as _chrys_cloud_videostreaming_v1beta1_ListStream, ListStream__Output as _chrys_cloud_videostreaming_v1beta1_ListStream__Output } from './chrys/cloud/videostreaming/v1beta1/ListStream.ts';
import type { ListStreamRequest as _chrys_cloud_videostreaming_v1beta1_ListStreamRequest, ListStreamRequest__Output as _chrys_cloud_videostreaming_v1beta1_ListStreamRequest__Output } from './chrys/cloud/videostreaming/v1beta1/ListStreamRequest.ts';
import type { Location as _chrys_cloud_videostreaming_v1beta1_Location, Location__Output as _chrys_cloud_videostreaming_v1beta1_Location__Output } from './chrys/cloud/videostreaming/v1beta1/Location.ts';
import type { ProxyRequest as _chrys_cloud_videostreaming_v1beta1_ProxyRequest, ProxyRequest__Output as _chrys_cloud_videostreaming_v1beta1_ProxyRequest__Output } from './chrys/cloud/videostreaming/v1beta1/ProxyRequest.ts';
import type { ProxyResponse as _chrys_cloud_videostreaming_v1beta1_ProxyResponse, ProxyResponse__Output as _chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output } from './chrys/cloud/videostreaming/v1beta1/ProxyResponse.ts';
import type { ShapeProto as _chrys_cloud_videostreaming_v1beta1_ShapeProto, ShapeProto__Output as _chrys_cloud_videostreaming_v1beta1_ShapeProto__Output } from './chrys/cloud/videostreaming/v1beta1/ShapeProto.ts';
import type { StorageRequest as _chrys_cloud_videostreaming_v1beta1_StorageRequest, StorageRequest__Output as _chrys_cloud_videostreaming_v1beta1_StorageRequest__Output } from './chrys/cloud/videostreaming/v1beta1/StorageRequest.ts';
import type { StorageResponse as _chrys_cloud_videostreaming_v1beta1_StorageResponse, StorageResponse__Output as _chrys_cloud_videostreaming_v1beta1_StorageResponse__Output } from './chrys/cloud/videostreaming/v1beta1/StorageResponse.ts';
import type { SystemTimeRequest as _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, SystemTimeRequest__Output as _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest__Output } from './chrys/cloud/videostreaming/v1beta1/SystemTimeRequest.ts';
import type { SystemTimeResponse as _chrys_cloud_videostreaming_v1beta1_SystemTimeResponse, SystemTimeResponse__Output as _chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output } from './chrys/cloud/videostreaming/v1beta1/SystemTimeResponse.ts';
import type { VideoBuffer as _chrys_cloud_videostreaming_v1beta1_VideoBuffer, VideoBuffer__Output as _chrys_cloud_videostreaming_v1beta1_VideoBuffer__Output } from './chrys/cloud/videostreaming/v1beta1/VideoBuffer.ts';
import type { VideoCodec as _chrys_cloud_videostreaming_v1beta1_VideoCodec, VideoCodec__Output as _chrys_cloud_videostreaming_v1beta1_VideoCodec__Output } from './chrys/cloud/videostreaming/v1beta1/VideoCodec.ts';
import type { VideoFrame as _chrys_cloud_videostreaming_v1beta1_VideoFrame, VideoFrame__Output as _chrys_cloud_videostreaming_v1beta1_VideoFrame__Output } from './chrys/cloud/videostreaming/v1beta1/VideoFrame.ts';
import type { VideoFrameBufferedRequest as _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest, VideoFrameBufferedRequest__Output as _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest__Output } from './chrys/cloud/videostreaming/v1beta1/VideoFrameBufferedRequest.ts';
import type { VideoFrameRequest as _chrys_cloud_videostreaming_v1beta1_VideoFrameRequest, VideoFrameRequest__Output as _chrys_cloud_videostreaming_v1beta1_VideoFrameRequest__Output } from './chrys/cloud/videostreaming/v1beta1/VideoFrameRequest.ts';
import type { VideoProbeRequest as _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, VideoProbeRequest__Output as _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest__Output } from './chrys/cloud/videostreaming/v1beta1/VideoProbeRequest.ts';
import type { VideoProbeResponse as _chrys_cloud_videostreaming_v1beta1_VideoProbeResponse, VideoProbeResponse__Output as _chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output } from './chrys/cloud/videostreaming/v1beta1/VideoProbeResponse.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  chrys: {
    cloud: {
      videostreaming: {
        v1beta1: {
          AnnotateRequest: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_AnnotateRequest, _chrys_cloud_videostreaming_v1beta1_AnnotateRequest__Output>
          AnnotateResponse: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_AnnotateResponse, _chrys_cloud_videostreaming_v1beta1_AnnotateResponse__Output>
          BoudingBox: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_BoudingBox, _chrys_cloud_videostreaming_v1beta1_BoudingBox__Output>
          Coordinate: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_Coordinate, _chrys_cloud_videostreaming_v1beta1_Coordinate__Output>
          Image: SubtypeConstructor<typeof grpc.Client, _chrys_cloud_videostreaming_v1beta1_ImageClient> & { service: _chrys_cloud_videostreaming_v1beta1_ImageDefinition }
          ListStream: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_ListStream, _chrys_cloud_videostreaming_v1beta1_ListStream__Output>
          ListStreamRequest: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_ListStreamRequest, _chrys_cloud_videostreaming_v1beta1_ListStreamRequest__Output>
          Location: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_Location, _chrys_cloud_videostreaming_v1beta1_Location__Output>
          ProxyRequest: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_ProxyRequest, _chrys_cloud_videostreaming_v1beta1_ProxyRequest__Output>
          ProxyResponse: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_ProxyResponse, _chrys_cloud_videostreaming_v1beta1_ProxyResponse__Output>
          ShapeProto: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_ShapeProto, _chrys_cloud_videostreaming_v1beta1_ShapeProto__Output>
          StorageRequest: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_StorageRequest, _chrys_cloud_videostreaming_v1beta1_StorageRequest__Output>
          StorageResponse: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_StorageResponse, _chrys_cloud_videostreaming_v1beta1_StorageResponse__Output>
          SystemTimeRequest: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_SystemTimeRequest, _chrys_cloud_videostreaming_v1beta1_SystemTimeRequest__Output>
          SystemTimeResponse: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_SystemTimeResponse, _chrys_cloud_videostreaming_v1beta1_SystemTimeResponse__Output>
          VideoBuffer: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_VideoBuffer, _chrys_cloud_videostreaming_v1beta1_VideoBuffer__Output>
          VideoCodec: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_VideoCodec, _chrys_cloud_videostreaming_v1beta1_VideoCodec__Output>
          VideoFrame: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_VideoFrame, _chrys_cloud_videostreaming_v1beta1_VideoFrame__Output>
          VideoFrameBufferedRequest: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest, _chrys_cloud_videostreaming_v1beta1_VideoFrameBufferedRequest__Output>
          VideoFrameRequest: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_VideoFrameRequest, _chrys_cloud_videostreaming_v1beta1_VideoFrameRequest__Output>
          VideoProbeRequest: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_VideoProbeRequest, _chrys_cloud_videostreaming_v1beta1_VideoProbeRequest__Output>
          VideoProbeResponse: MessageTypeDefinition<_chrys_cloud_videostreaming_v1beta1_VideoProbeResponse, _chrys_cloud_videostreaming_v1beta1_VideoProbeResponse__Output>
        }
      }
    }
  }
}

