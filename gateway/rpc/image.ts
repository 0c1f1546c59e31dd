// The Image service: which calls are served, and by what. A call that is not among them is answered with UNIMPLEMENTED.
import { loadPackageDefinition, type MethodDefinition, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'
import type { VideoFrameBufferedRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrameBufferedRequest.ts'
import type { VideoFrame } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import type { VideoProbeRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoProbeRequest.ts'
import type { ProxyRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/ProxyRequest.ts'
import type { StorageRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/StorageRequest.ts'
import type { ProtoGrpcType } from '../../proto/generated/video_streaming.ts'
import type { Calls } from './calls.ts'
import { decodeAnnotation } from '../annotations/annotation.ts'
import { annotate, type AnnotateCall, type AnnotateParts } from './annotate.ts'
import { BufferedImages, type BufferedImageParts } from './buffered-image.ts'
import { LatestImages, type LatestImageParts } from './latest-image.ts'
import { listStream } from './list-streams.ts'
import { probe } from './probe.ts'
import { setProxy, type ProxyParts } from './proxy.ts'
import { setStorage, type StorageParts } from './storage.ts'
import type { PacketStream, Source } from '../past/packet-reader.ts'
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

/** Frames are serialized where they are decoded, and leave as they are. */
function serialized<Request, Response>(method: MethodDefinition<Request, Response>): MethodDefinition<Request, Buffer> {
  return { ...method, responseSerialize: message => message, responseDeserialize: bytes => bytes }
}

export const imageDefinition: ServiceDefinition = {
  ...service,
  VideoLatestImage: serialized(service.VideoLatestImage),
  VideoBufferedImage: serialized(service.VideoBufferedImage),
  Annotate: { ...service.Annotate, requestDeserialize: (bytes): AnnotateCall => ({ bytes, annotation: decodeAnnotation(bytes) }) },
}

type RpcParts = Omit<LatestImageParts, 'emptyFrame'> & BufferedImageParts & AnnotateParts & ProxyParts & StorageParts
export type ImageParts = RpcParts & {
  calls: Calls
  isConnected: () => boolean
  /** For a question about a buffer, which waits behind no read. */
  bufferOf: (source: Source) => PacketStream
}

export function imageService(parts: ImageParts): UntypedServiceImplementation {
  const { calls, cameras: visible, isConnected, ...rest } = parts
  const latest = new LatestImages({ ...rest, cameras: visible, emptyFrame: deviceId => encodeFrame({ device_id: deviceId }) })
  const buffered = new BufferedImages({ ...rest, cameras: visible })
  return {
    VideoBufferedImage: calls.serverStream('VideoBufferedImage', (request: VideoFrameBufferedRequest__Output, caller) =>
      buffered.answer(request, caller),
    ),
    VideoLatestImage: calls.duplex('VideoLatestImage', (requests, caller) => latest.answer(requests, caller)),
    VideoProbe: calls.unary('VideoProbe', async ({ device_id }: VideoProbeRequest__Output, caller) =>
      probe(await visible.resolve(caller, device_id, 'camera'), rest.bufferOf, caller.signal),
    ),
    ListStreams: calls.serverStream('ListStreams', async function* (_: unknown, caller) {
      const surroundings = { isConnected: isConnected(), problem: parts.annotations.problem() }
      for (const camera of await visible.list(caller)) {
        yield listStream(camera, visible.deviceId(camera.ref), surroundings, performance.now())
      }
    }),
    Annotate: calls.unary('Annotate', (request: AnnotateCall, caller) => annotate(request, parts, caller)),
    Proxy: calls.unary('Proxy', (request: ProxyRequest__Output, caller) => setProxy(request, parts, caller)),
    Storage: calls.unary('Storage', (request: StorageRequest__Output, caller) => setStorage(request, parts, caller)),
    SystemTime: calls.unary('SystemTime', systemTime),
  }
}
