// Annotate: what a client has seen, stored before it is acknowledged.
import { randomUUID } from 'node:crypto'
import type { AnnotateResponse } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/AnnotateResponse.ts'
import { placeOfFrame } from '../../proto/frame-id.ts'
import { problemAt, type Annotation } from '../annotations/annotation.ts'
import type { AnnotationQueue, CameraIdentity } from '../annotations/queue.ts'
import type { Caller } from './calls.ts'
import type { VisibleCameras } from '../access/visible-cameras.ts'
import { Refusal } from '../refusal.ts'

/** Metadata by which a client that tries again is not taken for one with something new to say. */
const IDEMPOTENCY_KEY = 'idempotency-key'

/** Metadata that says which frame the annotation is about, for those who read annotations. */
const FRAME_ID = 'frame-id'

/** `bytes`: the annotation as it came, which is how it is kept. */
export type AnnotateCall = { bytes: Uint8Array; annotation: Annotation }
export type AnnotateParts = { cameras: VisibleCameras; annotations: AnnotationQueue }

export async function annotate({ bytes, annotation }: AnnotateCall, parts: AnnotateParts, caller: Caller): Promise<AnnotateResponse> {
  const problem = problemAt(annotation, Date.now())
  if (problem !== undefined) throw new Refusal('invalid', problem)
  const { device_name, remote_stream_id, type, start_timestamp } = annotation
  const about = { id: idOf(caller), frameId: frameIdOf(caller), camera: await cameraOf(device_name, parts.cameras, caller) }
  await parts.annotations.store(bytes, about, caller.keys.at(-1) ?? caller.peer, caller.signal)
  return { device_name, remote_stream_id, type, start_timestamp }
}

function idOf({ metadata }: Caller): string {
  const [key] = metadata.get(IDEMPOTENCY_KEY)
  if (key === undefined) return randomUUID()
  if (typeof key === 'string' && /^[\x21-\x7e]{1,128}$/.test(key)) return key
  throw new Refusal('invalid', `${IDEMPOTENCY_KEY} must be 1 to 128 visible ASCII characters`)
}

function frameIdOf({ metadata }: Caller): string | undefined {
  const [id] = metadata.get(FRAME_ID)
  if (id === undefined || (typeof id === 'string' && placeOfFrame(id) !== undefined)) return id
  throw new Refusal('invalid', `${FRAME_ID} must be the id of a frame, as FramesService gives it`)
}

/** Where access is open, clients annotate under names of their own too, such as those of cameras elsewhere. */
async function cameraOf(name: string, cameras: VisibleCameras, caller: Caller): Promise<CameraIdentity | undefined> {
  try {
    return await cameras.resolve(caller, name, 'annotate')
  } catch (error) {
    if (error instanceof Refusal && caller.subject === undefined) return undefined
    throw error
  }
}
