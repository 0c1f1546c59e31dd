// What we read of the objects that we watch. The rest is not kept in memory.
import type { KubeObject } from './reflector.ts'
import { API_VERSION, KIND, type Camera, type CameraSpec } from '../../proto/camera.ts'
import type { CameraDiscoverySpec } from '../../proto/discovery.ts'
import type { ConditionType, Verdict } from '../../proto/health.ts'
import type { DiscoveryStatus, WatchedDiscovery } from '../discovery/objects.ts'
import type { AnyReason } from '../../proto/reasons.ts'
import type { DeviceReport, TlsReport } from '../../proto/state.ts'

const DISCOVERY_KIND = 'CameraDiscovery'
export const FIELD_MANAGER = 'chrysalis-edge-operator'
export const FINALIZER = 'video.chrys.cloud/streams'
/** On all that belongs to a camera: the camera's name. */
export const CAMERA_LABEL = 'video.chrys.cloud/camera'
/** On its pods: which camera of that name, since one may be deleted and made again. */
export const UID_LABEL = 'video.chrys.cloud/camera-uid'
export const HASH_ANNOTATION = 'video.chrys.cloud/spec-hash'

export type WatchedCamera = Omit<Camera, 'metadata'> & {
  metadata: Camera['metadata'] & { resourceVersion: string; creationTimestamp?: string }
  status?: CameraStatus
}

export type Condition = {
  type: ConditionType
  status: Verdict['status']
  observedGeneration: number
  lastTransitionTime: string
  reason: AnyReason
  message: string
}
export type CameraStatus = {
  observedGeneration?: number
  conditions?: Condition[]
  reason?: AnyReason
  node?: string
  codec?: string
  device?: DeviceReport
  tls?: TlsReport
  size?: { width: number; height: number }
  fps?: number
  lastFrameTime?: string
  restarts?: number
}

type OwnerReference = { uid: string; kind?: string; name?: string; controller?: boolean }
type Metadata = KubeObject['metadata'] & {
  generation?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  ownerReferences?: OwnerReference[]
  creationTimestamp?: string
  deletionTimestamp?: string
}

export type Deployment = {
  metadata: Metadata
  status?: { conditions?: { type: string; status: string; reason?: string; message?: string }[] }
}

type ContainerState = {
  waiting?: { reason?: string; message?: string }
  running?: { startedAt?: string }
  terminated?: { reason?: string; message?: string; exitCode: number; finishedAt?: string }
}
export type Pod = {
  metadata: Metadata
  spec?: { nodeName?: string }
  status?: {
    phase?: string
    reason?: string
    message?: string
    conditions?: { type: string; status: string; reason?: string; message?: string; lastTransitionTime?: string }[]
    containerStatuses?: { name: string; restartCount: number; state?: ContainerState; lastState?: ContainerState }[]
  }
}

/** An object as it came from the API server. */
type Raw = KubeObject & { [field: string]: unknown }
type RawMetadata = Metadata & { finalizers?: string[] }

const metadataOf = (object: KubeObject): RawMetadata => {
  const { name, namespace, uid, resourceVersion, generation, labels, annotations, ownerReferences, creationTimestamp } =
    object.metadata as RawMetadata
  const { deletionTimestamp, finalizers } = object.metadata as RawMetadata
  return defined({
    ...{ name, namespace, uid, resourceVersion, generation, labels, annotations },
    ...{ ownerReferences, creationTimestamp, deletionTimestamp, finalizers },
  })
}

/** Without the fields that are undefined. */
export function defined<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T
}

export function keepCamera(object: KubeObject): WatchedCamera {
  const { spec, status } = object as Raw & { spec: CameraSpec; status?: CameraStatus }
  const metadata = metadataOf(object) as WatchedCamera['metadata']
  return defined<WatchedCamera>({ apiVersion: API_VERSION, kind: KIND, metadata, spec, status })
}

export function keepDiscovery(object: KubeObject): WatchedDiscovery {
  const { spec, status } = object as Raw & { spec: CameraDiscoverySpec; status?: DiscoveryStatus }
  const metadata = metadataOf(object) as WatchedDiscovery['metadata']
  return defined<WatchedDiscovery>({ apiVersion: API_VERSION, kind: DISCOVERY_KIND, metadata, spec, status })
}

export function keepDeployment(object: KubeObject): Deployment {
  const { status } = object as Raw & Deployment
  return defined<Deployment>({ metadata: metadataOf(object), status: status?.conditions && { conditions: status.conditions } })
}

export function keepPod(object: KubeObject): Pod {
  const { spec, status } = object as Raw & Pod
  const { phase, reason, message, conditions } = status ?? {}
  const containerStatuses = status?.containerStatuses?.map(({ name, restartCount, state, lastState }) =>
    defined<NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number]>({ name, restartCount, state, lastState }),
  )
  return defined<Pod>({
    metadata: metadataOf(object),
    spec: spec?.nodeName === undefined ? undefined : { nodeName: spec.nodeName },
    status: defined<NonNullable<Pod['status']>>({ phase, reason, message, conditions, containerStatuses }),
  })
}

/** metav1.Time, which has whole seconds. */
export const metaTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** The key of the camera that an object belongs to. */
export const cameraKeyOf = ({ metadata }: { metadata: Metadata }): string | undefined => {
  const name = metadata.labels?.[CAMERA_LABEL]
  return name === undefined || metadata.namespace === undefined ? undefined : `${metadata.namespace}/${name}`
}

export const isControlledBy = ({ metadata }: { metadata: Metadata }, uid: string): boolean =>
  metadata.ownerReferences?.some(owner => owner.uid === uid && owner.controller === true) ?? false

/** Controlled by another Camera of the same name, which is gone: it will go too. */
export const isNamesakes = ({ metadata }: { metadata: Metadata }, { metadata: { name, uid } }: WatchedCamera): boolean =>
  metadata.ownerReferences?.some(
    owner => owner.kind === 'Camera' && owner.name === name && owner.uid !== uid && owner.controller === true,
  ) ?? false
