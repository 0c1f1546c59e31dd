import { SPEC_DEFAULTS, type Camera } from '../proto/camera.ts'
import { boundedLabels } from '../proto/labels.ts'
import type { Reason } from '../proto/reasons.ts'
import { MESSAGE_MAX, type CameraRecord } from '../proto/state.ts'
import { EXIT_CONFIG } from './errors.ts'

export type PodState = CameraRecord['pod']
export type Problem = { reason: Reason; message: string }

/** Why a sidecar ended. `isRepeated`: it ended before, and has not run well since. */
export function endReason({ exitCode, oomKilled }: { exitCode: number | undefined; oomKilled: boolean }, isRepeated: boolean): Reason {
  if (oomKilled) return 'OOMKilled'
  if (exitCode === EXIT_CONFIG) return 'ConfigurationInvalid'
  return isRepeated ? 'CrashLoop' : 'Restarting'
}

/** What processes that do not see the spec know of a camera. The operator writes it, in local mode the supervisor. */
export function cameraRecord({ metadata, spec }: Camera, pod: PodState, problem?: Problem): CameraRecord {
  const { scale, maxFps, keyFramesOnly, placement } = spec.decoding
  const labels = boundedLabels(metadata.labels)
  return {
    v: 1,
    uid: metadata.uid,
    namespace: metadata.namespace,
    name: metadata.name,
    generation: metadata.generation,
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    suspended: spec.suspend,
    decoding: { scale, maxFps, keyFramesOnly, placement },
    bufferScale: spec.buffer.scale,
    proxy: { hasTarget: spec.proxy?.urlSecretRef !== undefined, enabled: spec.proxy?.enabled ?? SPEC_DEFAULTS.proxy.enabled },
    archive: spec.archive !== undefined,
    ...(spec.source.substream === undefined ? {} : { substream: true }),
    pod,
    ...(problem === undefined ? {} : { problem: { ...problem, message: problem.message.slice(0, MESSAGE_MAX) } }),
  }
}
