import { SPEC_DEFAULTS, type Camera } from '../proto/camera.ts'
import type { CameraRecord } from '../proto/state.ts'

export type PodState = CameraRecord['pod']

/** What is told of a camera to those who don't see its spec: written by the operator, in local mode by the supervisor. */
export function cameraRecord({ metadata, spec }: Camera, pod: PodState): CameraRecord {
  const { scale, maxFps, keyFramesOnly, placement } = spec.decoding
  return {
    v: 1,
    uid: metadata.uid,
    namespace: metadata.namespace,
    name: metadata.name,
    generation: metadata.generation,
    suspended: spec.suspend,
    decoding: { scale, maxFps, keyFramesOnly, placement },
    bufferScale: spec.buffer.scale,
    proxy: { hasTarget: spec.proxy?.urlSecretRef !== undefined, enabled: spec.proxy?.enabled ?? SPEC_DEFAULTS.proxy.enabled },
    archive: spec.archive !== undefined,
    pod,
  }
}
