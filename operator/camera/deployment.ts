// Camera → the Deployment it should have. Pure: the same Camera and settings give the same object, to the byte.
import { createHash } from 'node:crypto'
import type {
  V1Container,
  V1Deployment,
  V1DeploymentStrategy,
  V1EnvVar,
  V1OwnerReference,
  V1PodSpec,
  V1Toleration,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node'
import { toEnv } from '../../common/env.ts'
import { FRUGAL_ENV, FRUGAL_FLAGS } from '../../common/node-options.ts'
import type { Camera } from '../../proto/camera.ts'
import type { SIDECAR } from '../../proto/settings.ts'
import type { OperatorConfig } from '../config.ts'
import { sortedJson } from '../kube/json.ts'
import { CAMERA_LABEL, HASH_ANNOTATION, UID_LABEL, type Deployment } from '../kube/kinds.ts'

const APP = 'chrysalis-edge'
const COMPONENT = 'camera'
/** Chooses the Deployments and pods that are ours. */
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'chrysalis-edge-operator' }

const PREFIX = 'camera-'
export const deploymentName = (camera: Camera): string => `${PREFIX}${camera.metadata.name}`
/** The key of the camera that a Deployment is of; by its name, since its labels can be changed. */
export const cameraKeyOfDeployment = ({ metadata: { namespace = '', name } }: Deployment): string | undefined =>
  name.startsWith(PREFIX) ? `${namespace}/${name.slice(PREFIX.length)}` : undefined

/** No user in particular, and not the node image's own. */
const UID = 65_532
export const METRICS_PORT = 9090
export const PROBE_PORT = 9091
/** Readers of metrics cannot hold up the kubelet. */
export const PORTS = [
  { name: 'metrics', containerPort: METRICS_PORT, protocol: 'TCP' },
  { name: 'probes', containerPort: PROBE_PORT, protocol: 'TCP' },
]
const GRACE_SECONDS = 15
/** How long a pod stays on a node that is lost, with onNodeFailure Move. */
const MOVE_SECONDS = 60
const SECRET_MODE = 0o440
export const RUN = '/run/chrysalis'
/** Set from the pod's own name. */
const HOLDER = 'CHRYS_LEASE_HOLDER'

export type PodSettings = OperatorConfig['sidecar']

const selectorOf = ({ metadata: { name } }: Camera) => ({
  'app.kubernetes.io/name': APP,
  'app.kubernetes.io/component': COMPONENT,
  [CAMERA_LABEL]: name,
})
/** Of all that is made for the camera. */
export const objectLabels = (camera: Camera): Record<string, string> => ({
  ...selectorOf(camera),
  'app.kubernetes.io/instance': camera.metadata.name,
  'app.kubernetes.io/part-of': APP,
  ...MANAGED_BY,
})
export const controllerOf = ({ apiVersion, kind, metadata: { name, uid } }: Camera): V1OwnerReference => ({
  ...{ apiVersion, kind, name, uid },
  controller: true,
  blockOwnerDeletion: true,
})

export type Wanted = {
  /** 0 stops the camera: suspended, being deleted, or held after the nodes rejected its pods. */
  replicas: 0 | 1
  /** The Secret with its NATS user, if it has one of its own. */
  natsSecret?: string | undefined
  /** No node has room for a second pod. */
  isCrowded?: boolean
}

export function desiredDeployment(
  camera: Camera,
  settings: PodSettings,
  { replicas, natsSecret, isCrowded = false }: Wanted,
): V1Deployment {
  const { namespace, uid } = camera.metadata
  const labels = objectLabels(camera)
  const object = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: deploymentName(camera),
      namespace: namespace,
      labels: { ...labels, 'app.kubernetes.io/version': settings.version },
      ownerReferences: [controllerOf(camera)],
    },
    spec: {
      replicas,
      revisionHistoryLimit: 1,
      strategy: strategyOf(camera, isCrowded),
      selector: { matchLabels: selectorOf(camera) },
      template: {
        metadata: { labels: { ...labels, [UID_LABEL]: uid } },
        spec: podSpec(camera, settings, natsSecret ?? settings.natsSecret),
      },
    },
  } satisfies V1Deployment
  return { ...object, metadata: { ...object.metadata, annotations: { [HASH_ANNOTATION]: hashOf(object) } } }
}

/** A new pod waits, ready, for the camera's lease before the old one ends. An archive's volume may not be had by two. */
const strategyOf = ({ spec }: Camera, isCrowded: boolean): V1DeploymentStrategy =>
  isCrowded || spec.archive !== undefined
    ? { type: 'Recreate' }
    : { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }

export const specHash = (deployment: { metadata?: { annotations?: Record<string, string> } }): string | undefined =>
  deployment.metadata?.annotations?.[HASH_ANNOTATION]

function podSpec(camera: Camera, settings: PodSettings, natsSecret: string | undefined): V1PodSpec {
  const { pod = {} } = camera.spec
  const volumes = podVolumes(camera, natsSecret)
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: GRACE_SECONDS,
    securityContext: POD_SECURITY,
    containers: [container(camera, settings, volumes)],
    volumes: volumes.map(({ volume }) => volume),
    tolerations: [...(pod.tolerations ?? []), ...nodeFailureTolerations(camera)],
    ...(settings.imagePullSecrets.length > 0 ? { imagePullSecrets: settings.imagePullSecrets.map(name => ({ name })) } : {}),
    ...(pod.nodeSelector === undefined ? {} : { nodeSelector: pod.nodeSelector }),
    ...(pod.affinity === undefined ? {} : { affinity: pod.affinity }),
    ...(pod.runtimeClassName === undefined ? {} : { runtimeClassName: pod.runtimeClassName }),
  }
}

/** As Pod Security restricted has it. */
export const POD_SECURITY = {
  runAsNonRoot: true,
  runAsUser: UID,
  runAsGroup: UID,
  fsGroup: UID,
  fsGroupChangePolicy: 'OnRootMismatch',
  seccompProfile: { type: 'RuntimeDefault' },
}
export const CONTAINER_SECURITY = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } }

export function probesOf() {
  const probe = (path: string) => ({ httpGet: { path, port: PROBE_PORT }, timeoutSeconds: 5, periodSeconds: 10 })
  return {
    startupProbe: { ...probe('/livez'), periodSeconds: 2, failureThreshold: 60 },
    livenessProbe: { ...probe('/livez'), failureThreshold: 3 },
    readinessProbe: { ...probe('/readyz'), failureThreshold: 3 },
  }
}

function container(camera: Camera, settings: PodSettings, volumes: Mounted[]): V1Container {
  return {
    name: 'sidecar',
    image: camera.spec.pod?.image ?? settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: ['node', ...FRUGAL_FLAGS, 'sidecar/main.ts'], // not `command`: the image's entrypoint reaps processes
    env: environment(camera, settings, volumes),
    ports: PORTS,
    resources: camera.spec.pod?.resources ?? settings.resources,
    securityContext: CONTAINER_SECURITY,
    ...probesOf(),
    volumeMounts: volumes.map(({ volume, mount }) => ({ name: volume.name, ...mount })),
  } as V1Container // a user's resources are quantities as text or number, which the API takes
}

/** What the sidecar is told. Secrets are not among it: they are files. */
function environment(camera: Camera, settings: PodSettings, volumes: Mounted[]): V1EnvVar[] {
  const { namespace, name, uid, generation } = camera.metadata
  const { pod, ...spec } = camera.spec
  const told = toEnv<Omit<typeof SIDECAR, typeof HOLDER>>({
    CHRYS_CAMERA_NAMESPACE: namespace,
    CHRYS_CAMERA_NAME: name,
    CHRYS_CAMERA_UID: uid,
    CHRYS_CAMERA_GENERATION: generation,
    CHRYS_CAMERA_SPEC: sortedJson(spec),
    CHRYS_DEVICE_ID: namespace === settings.gatewayNamespace ? name : `${namespace}/${name}`,
    CHRYS_NATS_URL: settings.natsUrl,
    CHRYS_NATS_CA: settings.natsCa,
    CHRYS_NATS_REPLICAS: settings.natsReplicas === 1 ? undefined : settings.natsReplicas,
    CHRYS_PROBE_HOST: '0.0.0.0',
    CHRYS_PROBE_PORT: PROBE_PORT,
    CHRYS_METRICS_PORT: METRICS_PORT,
    CHRYS_LOG_LEVEL: settings.log.level,
    CHRYS_LOG_FORMAT: settings.log.format,
    CHRYS_DENY_CIDRS: settings.denyCidrs,
    CHRYS_CREDENTIALS_DIR: spec.source.credentialsSecretRef && `${RUN}/credentials`,
    CHRYS_CAMERA_CA_FILE: (spec.source.tls?.caSecretRef ?? spec.source.tls?.caConfigMapRef) && `${RUN}/camera-ca/ca.crt`,
    CHRYS_PROXY_URL_FILE: spec.proxy?.urlSecretRef && `${RUN}/proxy/url`,
    CHRYS_ARCHIVE_DIR: spec.archive && '/archive',
    CHRYS_NATS_CREDS_FILE: volumes.some(({ volume }) => volume.name === 'nats') ? `${RUN}/nats/user.creds` : undefined,
  })
  const ours: Record<string, string> = { ...FRUGAL_ENV, ...told }
  // Not its hostname, which is cut to 63 characters: pods of a camera with a long name would have one in common.
  const holder = { name: HOLDER, valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }
  const theirs = (pod?.env ?? []).filter(({ name }) => !(name in ours) && name !== holder.name)
  return [...Object.entries(ours).map(([key, value]) => ({ name: key, value: verbatim(value) })), holder, ...theirs]
}

/** The kubelet replaces `$(NAME)` in a value, and makes one of two dollar signs. */
export const verbatim = (value: string): string => value.replaceAll('$', '$$$$')

export type Mounted = { volume: V1Volume; mount: Omit<V1VolumeMount, 'name'> }

export const TMP: Mounted = { volume: { name: 'tmp', emptyDir: { medium: 'Memory', sizeLimit: '32Mi' } }, mount: { mountPath: '/tmp' } }

/**
 * User Secrets are optional, so that the pod runs without them and says what is missing; they are mounted as whole volumes,
 * since what is mounted by subPath never changes.
 */
function podVolumes(camera: Camera, natsSecret: string | undefined): Mounted[] {
  const { source, proxy, archive } = camera.spec
  const volumes: Mounted[] = [TMP]
  if (natsSecret !== undefined) {
    volumes.push(secretVolume('nats', natsSecret, { 'user.creds': 'user.creds' }, false))
  }
  if (source.credentialsSecretRef !== undefined) {
    volumes.push(secretVolume('credentials', source.credentialsSecretRef.name, { username: 'username', password: 'password' }, true))
  }
  const { caSecretRef, caConfigMapRef } = source.tls ?? {}
  if (caSecretRef !== undefined) volumes.push(secretVolume('camera-ca', caSecretRef.name, { [caSecretRef.key]: 'ca.crt' }, true))
  else if (caConfigMapRef !== undefined) volumes.push(authorityVolume(caConfigMapRef))
  if (proxy?.urlSecretRef !== undefined) {
    volumes.push(secretVolume('proxy', proxy.urlSecretRef.name, { [proxy.urlSecretRef.key]: 'url' }, true))
  }
  if (archive !== undefined) volumes.push({ volume: { name: 'archive', ...archive.volume }, mount: { mountPath: '/archive' } })
  return volumes
}

/** `files`: key in the Secret → name of the file. */
export function secretVolume(name: string, secretName: string, files: Record<string, string>, optional: boolean): Mounted {
  const items = Object.entries(files).map(([key, path]) => ({ key, path }))
  return {
    volume: { name, secret: { secretName, optional, defaultMode: SECRET_MODE, items } },
    mount: { mountPath: `${RUN}/${name}`, readOnly: true },
  }
}

const authorityVolume = ({ name, key }: { name: string; key: string }): Mounted => ({
  volume: { name: 'camera-ca', configMap: { name, optional: true, items: [{ key, path: 'ca.crt' }] } },
  mount: { mountPath: `${RUN}/camera-ca`, readOnly: true },
})

/** Stay: no taint of a lost node drives the pod away. Move: it may start elsewhere after a minute. A user's own rule comes first. */
function nodeFailureTolerations({ spec }: Camera): V1Toleration[] {
  const keys = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']
  const seconds = spec.onNodeFailure === 'Move' ? { tolerationSeconds: MOVE_SECONDS } : {}
  return keys
    .filter(key => !spec.pod?.tolerations?.some(own => own.key === key && own.effect === 'NoExecute'))
    .map(key => ({ key, operator: 'Exists', effect: 'NoExecute', ...seconds }))
}

const hashOf = (object: object): string => createHash('sha256').update(sortedJson(object)).digest('hex').slice(0, 16)
