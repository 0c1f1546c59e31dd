// The Image service: which calls are served, and by what. A call that is not among them is answered with UNIMPLEMENTED.
import { loadPackageDefinition, type MethodDefinition, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'
import type { VideoFrameBufferedRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrameBufferedRequest.ts'
import type { VideoFrame } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import type { VideoProbeRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoProbeRequest.ts'
import type { ProtoGrpcType } from '../../proto/generated/video_streaming.ts'
import type { Calls } from '../calls.ts'
import type { Cameras } from '../cameras.ts'
import { BufferedImages, type BufferedImageParts } from './buffered-image.ts'
import { LatestImages, type LatestImageParts } from './latest-image.ts'
import { listStream } from './list-streams.ts'
import { probe } from './probe.ts'
import { systemTime } from './system-time.ts'

/** With its files' descriptors, as reflection wants it. */
export const IMAGE_PACKAGE = loadSync(fileURLToPath(new URL('../../proto/video_streaming.proto', import.meta.url)), {
  keepCase: true,
  longs: Number,
  defaults: true,
  oneofs: true,
})
export const IMAGE_SERVICE = 'chrys.cloud.videostreaming.v1beta1.Image'

const { service } = (loadPackageDefinition(IMAGE_PACKAGE) as unknown as ProtoGrpcType).chrys.cloud.videostreaming.v1beta1.Image

const encodeFrame = (frame: VideoFrame): Buffer => service.VideoLatestImage.responseSerialize(frame)

/** Frames come serialized from the sidecar and leave as they came. */
function serialized<Request, Response>(method: MethodDefinition<Request, Response>): MethodDefinition<Request, Buffer> {
  return { ...method, responseSerialize: message => message, responseDeserialize: bytes => bytes }
}

export const imageDefinition: ServiceDefinition = {
  ...service,
  VideoLatestImage: serialized(service.VideoLatestImage),
  VideoBufferedImage: serialized(service.VideoBufferedImage),
}

export type ImageParts = Omit<LatestImageParts, 'emptyFrame'> & BufferedImageParts & { calls: Calls; isConnected: () => boolean }

export function imageService({ calls, cameras, isConnected, ...rest }: ImageParts): UntypedServiceImplementation {
  const latest = new LatestImages({ ...rest, cameras, emptyFrame: deviceId => encodeFrame({ device_id: deviceId }) })
  const buffered = new BufferedImages({ ...rest, cameras })
  return {
    VideoBufferedImage: calls.serverStream('VideoBufferedImage', (request: VideoFrameBufferedRequest__Output, caller) =>
      buffered.answer(request, caller),
    ),
    VideoLatestImage: calls.duplex('VideoLatestImage', (requests, caller) => latest.answer(requests, caller)),
    VideoProbe: calls.unary('VideoProbe', ({ device_id }: VideoProbeRequest__Output) => probe(cameras.resolve(device_id), rest.packets)),
    ListStreams: calls.serverStream('ListStreams', async function* () {
      for (const camera of cameras.list()) yield listStream(camera, cameras.deviceId(camera.ref), isConnected(), performance.now())
    }),
    SystemTime: calls.unary('SystemTime', systemTime),
  }
}
