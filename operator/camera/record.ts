import { cameraRecord } from '../../common/camera-record.ts'
import { MESSAGE_MAX, type CameraRecord } from '../../proto/state.ts'
import type { WatchedCamera } from '../kube/kinds.ts'
import type { PodReport } from './pods.ts'
import { explain, type Reason } from '../../proto/reasons.ts'

/** What the gateway is told of a camera. `problem`: its Deployment could not be applied. Pure. */
export function recordOf(
  camera: WatchedCamera,
  { state }: PodReport,
  problem: { reason: Reason; message: string } | undefined,
): CameraRecord {
  const { reason, message } = problem ?? state
  const why = reason === undefined ? {} : { reason, message: explain(reason, message).slice(0, MESSAGE_MAX) }
  return cameraRecord(camera, { ...state, ...why })
}
