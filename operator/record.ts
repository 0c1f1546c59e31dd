import type { CameraRecord } from '../proto/state.ts'
import { defined, type WatchedCamera } from './kinds.ts'
import type { PodReport } from './pods.ts'
import { explain, type KnownReason } from './reasons.ts'

const MESSAGE_MAX = 1_024

/** What the gateway is told of a camera. `problem`: its Deployment could not be applied. Pure. */
export function cameraRecord(
  { metadata, spec }: WatchedCamera,
  { state }: PodReport,
  problem: { reason: KnownReason; message: string } | undefined,
): CameraRecord {
  const { namespace, name, uid, generation } = metadata
  const { decoding, buffer, proxy, archive, suspend } = spec
  const { reason, message } = problem ?? state
  return {
    v: 1,
    ...{ uid, namespace, name, generation, suspended: suspend },
    decoding: defined<CameraRecord['decoding']>({
      scale: decoding.scale,
      maxFps: decoding.maxFps,
      keyFramesOnly: decoding.keyFramesOnly,
      placement: decoding.placement,
    }),
    ...(buffer.scale === undefined ? {} : { bufferScale: buffer.scale }),
    proxy: { hasTarget: proxy?.urlSecretRef !== undefined, enabled: proxy?.enabled ?? false },
    archive: archive !== undefined,
    pod: { ...state, ...(reason === undefined ? {} : { reason, message: explain(reason, message).slice(0, MESSAGE_MAX) }) },
  }
}
