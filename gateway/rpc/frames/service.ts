// FramesService: which calls are served, and by what.
import { loadPackageDefinition, type MethodDefinition, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'
import type { CamerasRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/CamerasRequest.ts'
import type { PacketsRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/PacketsRequest.ts'
import type { ReplayRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/ReplayRequest.ts'
import type { SnapshotRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/SnapshotRequest.ts'
import type { WatchRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/WatchRequest.ts'
import type { ProtoGrpcType } from '../../../proto/generated/frames.ts'
import type { Calls } from '../calls.ts'
import { watchCameras } from './cameras.ts'
import { sendPackets } from './packets.ts'
import type { FramesParts } from './parts.ts'
import { replay } from './replay.ts'
import { snapshot } from './snapshot.ts'
import { Watch } from './watch.ts'

/** With its files' descriptors, as reflection wants it. */
export const FRAMES_PACKAGE = loadSync(fileURLToPath(new URL('../../../proto/frames.proto', import.meta.url)), {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
})
export const FRAMES_SERVICE = 'chrys.cloud.frames.v1.FramesService'

const { service } = (loadPackageDefinition(FRAMES_PACKAGE) as unknown as ProtoGrpcType).chrys.cloud.frames.v1.FramesService

/** Answers that carry frames are serialized around their pixels. */
function serialized<Request, Response>(method: MethodDefinition<Request, Response>): MethodDefinition<Request, Buffer> {
  return { ...method, responseSerialize: message => message, responseDeserialize: bytes => bytes }
}

export const framesDefinition: ServiceDefinition = {
  ...service,
  Watch: serialized(service.Watch),
  Replay: serialized(service.Replay),
  Snapshot: serialized(service.Snapshot),
}

export function framesService({ calls, ...parts }: FramesParts & { calls: Calls }): UntypedServiceImplementation {
  const watchParts = { ...parts, serialize: service.Watch.responseSerialize }
  const replayParts = { ...parts, serialize: service.Replay.responseSerialize }
  return {
    Watch: calls.duplex('Watch', (requests: AsyncIterable<WatchRequest__Output>, caller) => new Watch(watchParts, caller).answer(requests)),
    Replay: calls.serverStream('Replay', (request: ReplayRequest__Output, caller) => replay(request, replayParts, caller)),
    Snapshot: calls.unary('Snapshot', (request: SnapshotRequest__Output, caller) => snapshot(request, parts, caller)),
    Packets: calls.serverStream('Packets', (request: PacketsRequest__Output, caller) => sendPackets(request, parts, caller)),
    Cameras: calls.serverStream('Cameras', (request: CamerasRequest__Output, caller) => watchCameras(request, parts, caller)),
  }
}
