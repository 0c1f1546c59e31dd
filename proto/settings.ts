// The CHRYS_* variables of each process, declared once: name, type, default, bounds and description. common/env.ts reads and writes them by
// these tables; docs/settings.md is generated from them. Secrets are never among them: variables name the files that hold secrets.
import { checkCidr } from './cidr.ts'
import { CAMERA_NAME_RULE, isCameraName, isNamespace } from './subjects.ts'

/** Every variable of ours starts with it; one that no table has is refused. */
export const PREFIX = 'CHRYS_'

/** Why a value is wrong; undefined when it is right. */
type Check = (text: string) => string | undefined

type Described = {
  /** For docs/settings.md. */
  about: string
  /** What holds without the variable, where that is no constant. */
  otherwise?: string
}

export type Setting = Described &
  (
    | { type: 'text'; required?: true; default?: string; check?: Check }
    | { type: 'integer'; default?: number; min: number; max: number }
    /** A Kubernetes quantity such as 64Mi. */
    | { type: 'bytes'; default?: string; min: string; max: string }
    | { type: 'choice'; default: string; of: readonly string[] }
    /** Separated by commas. */
    | { type: 'list'; default?: readonly string[]; check: Check }
    | { type: 'url'; required?: true; schemes: readonly string[]; check?: (url: URL) => string | undefined }
    /** A file or folder that must be readable at start; its content may change later. */
    | { type: 'readable' }
    /** A file or folder that may come, go and change. */
    | { type: 'path' }
    | { type: 'json'; required?: true; default?: object }
  )

export type Settings = Readonly<Record<string, Setting>>

/** A setting's value in a program. */
type Read<S extends Setting> = S extends { type: 'integer' | 'bytes' }
  ? number
  : S extends { type: 'choice'; of: readonly (infer One)[] }
    ? One
    : S extends { type: 'list' }
      ? readonly string[]
      : S extends { type: 'json' }
        ? unknown
        : string
type Always = { type: 'list' } | { required: true } | { default: unknown }
export type Values<G extends Settings> = { [Name in keyof G]: G[Name] extends Always ? Read<G[Name]> : Read<G[Name]> | undefined }

/** What a process is given: `undefined` leaves a variable out. JSON and quantities are given as text. */
type Given<S extends Setting> = S extends { type: 'json' | 'bytes' } ? string : Read<S>
type Required<G extends Settings> = { [Name in keyof G]: G[Name] extends { required: true } ? Name : never }[keyof G]
export type GivenValues<G extends Settings> = { [Name in Required<G>]: Given<G[Name]> } & {
  [Name in Exclude<keyof G, Required<G>>]?: Given<G[Name]> | undefined
}

const isLabel: Check = text => (isNamespace(text) ? undefined : 'must be a DNS label')
const isObjectName: Check = text => (/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(text) ? undefined : 'must be the name of a Secret')
const isObjectPrefix: Check = text =>
  /^[a-z0-9]([-a-z0-9.]{0,200}[a-z0-9])?$/.test(text) ? undefined : 'must be what the names of Secrets may begin with'
const atMost =
  (max: number): Check =>
  text =>
    text.length <= max ? undefined : `must be at most ${max} characters`

/** The body is signed, so it must not be read on its way: plain HTTP only to a server on this machine. */
function isEndpoint({ protocol, hostname, hash }: URL): string | undefined {
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
  if (protocol === 'http:' && !isLoopback) return 'must begin with https:// (http:// only to this machine itself)'
  return hash === '' ? undefined : 'must have no #fragment'
}

const isCertificate: Check = text => (/^-----BEGIN CERTIFICATE-----\s/.test(text) ? undefined : 'must be a certificate in PEM')

const PORT = { type: 'integer', min: 0, max: 65_535 } as const
const NATS_SCHEMES = ['nats:', 'tls:'] as const
const AMOUNT = { type: 'bytes', min: '1', max: '16Ti' } as const
const ENDPOINT = { type: 'url', schemes: ['https:', 'http:'], check: isEndpoint } as const

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export const LOG_FORMATS = ['json', 'pretty'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type LogFormat = (typeof LOG_FORMATS)[number]

/** Of every program. */
const PROGRAM = {
  CHRYS_LOG_LEVEL: { type: 'choice', of: LOG_LEVELS, default: 'info', about: 'The least severe log lines that are written.' },
  CHRYS_LOG_FORMAT: { type: 'choice', of: LOG_FORMATS, default: 'json', about: 'How log lines are written: JSON, or text for a terminal.' },
  CHRYS_EXIT_ON_STDIN_CLOSE: {
    type: 'choice',
    of: ['0', '1'],
    default: '0',
    about: 'With `1` the process stops when its standard input ends, so that it does not outlive its parent.',
  },
} as const satisfies Settings

/** Of the processes that keep running. */
export const SERVICE = {
  CHRYS_NATS_URL: { type: 'url', schemes: NATS_SCHEMES, required: true, about: 'NATS server: `nats://host:port` or `tls://host:port`.' },
  CHRYS_NATS_CREDS_FILE: { type: 'readable', about: 'NATS credentials file. It is read again at each connect.' },
  CHRYS_NATS_CA: {
    ...{ type: 'text', check: isCertificate, otherwise: 'the system’s authorities' },
    about: 'Authorities (PEM) of which one signed the certificate of a NATS server at `tls://`.',
  },
  CHRYS_NATS_REPLICAS: {
    ...{ type: 'integer', min: 1, max: 5, default: 1 },
    about:
      'Servers of a NATS cluster that each keep annotations, camera records, states and leases. 1 for a single server, 3 for a cluster of three.',
  },
  CHRYS_PROBE_HOST: { type: 'text', default: '0.0.0.0', about: 'Address on which `/livez`, `/readyz` and `/metrics` are served.' },
  CHRYS_PROBE_PORT: { ...PORT, default: 9090, about: 'Port of `/livez` and `/readyz`. 0 takes any free port.' },
  CHRYS_METRICS_PORT: {
    ...{ ...PORT, otherwise: 'that of the probes' },
    about: 'Port of `/metrics`, where who reads metrics must not hold up probes. 0 takes any free port.',
  },
  ...PROGRAM,
} as const satisfies Settings

const DENY_CIDRS = { type: 'list', check: checkCidr } as const
const KUBECONFIG = { type: 'readable', otherwise: 'the pod’s ServiceAccount', about: 'Kubeconfig file, to run outside a cluster.' } as const

export const SIDECAR = {
  ...SERVICE,
  CHRYS_CAMERA_NAMESPACE: { type: 'text', required: true, check: isLabel, about: 'Namespace of the Camera.' },
  CHRYS_CAMERA_NAME: {
    ...{ type: 'text', required: true, check: (text: string) => (isCameraName(text) ? undefined : CAMERA_NAME_RULE) },
    about: 'Name of the Camera.',
  },
  CHRYS_CAMERA_UID: { type: 'text', required: true, check: atMost(64), about: '`metadata.uid` of the Camera.' },
  CHRYS_CAMERA_GENERATION: {
    ...{ type: 'integer', min: 0, max: Number.MAX_SAFE_INTEGER, default: 1 },
    about: '`metadata.generation` of the Camera.',
  },
  CHRYS_CAMERA_SPEC: { type: 'json', required: true, about: '`spec` of the Camera, without `pod`.' },
  CHRYS_DEVICE_ID: {
    ...{ type: 'text', otherwise: 'the name of the Camera' },
    about: 'The camera’s name in the gRPC API and in the archive: `name` or `namespace/name`.',
  },
  CHRYS_LEASE_HOLDER: {
    ...{ type: 'text', check: atMost(253), otherwise: 'the host name' },
    about: 'Name under which the camera’s lease is held. It is the pod’s name, the same for each of its containers.',
  },
  CHRYS_CREDENTIALS_DIR: { type: 'path', about: 'Folder with the files `username` and `password` of the camera.' },
  CHRYS_CAMERA_CA_FILE: { type: 'path', about: 'File with the authorities (PEM) that the camera’s certificate is checked by.' },
  CHRYS_PROXY_URL_FILE: { type: 'path', about: 'File with the URL of the RTMP server.' },
  CHRYS_ARCHIVE_DIR: { type: 'path', about: 'Folder of the archive. Required if the spec has `archive`.' },
  CHRYS_DENY_CIDRS: { ...DENY_CIDRS, about: 'Address ranges that the camera’s address must not be in.' },
} as const satisfies Settings

/** The pod of a CameraDiscovery. */
export const SEARCH = {
  ...SERVICE,
  CHRYS_DISCOVERY_NAMESPACE: { type: 'text', required: true, check: isLabel, about: 'Namespace of the CameraDiscovery.' },
  CHRYS_DISCOVERY_NAME: {
    ...{ type: 'text', required: true, check: (text: string) => (isCameraName(text) ? undefined : CAMERA_NAME_RULE) },
    about: 'Name of the CameraDiscovery.',
  },
  CHRYS_DISCOVERY_UID: { type: 'text', required: true, check: atMost(64), about: '`metadata.uid` of the CameraDiscovery.' },
  CHRYS_DISCOVERY_SPEC: { type: 'json', required: true, about: 'Its `cidrs`, `interfaces`, `profile` and `interval`.' },
  CHRYS_CREDENTIALS_DIR: { type: 'path', about: 'Folder with the files `username` and `password`.' },
  CHRYS_CREDENTIALS_SECRET: { type: 'text', check: isObjectName, about: 'Name of the Secret that the folder is of.' },
  CHRYS_DENY_CIDRS: { ...DENY_CIDRS, about: 'Address ranges that no device may be in.' },
} as const satisfies Settings

/** The cloud, and annotations, which are sent there. */
export const CLOUD = {
  CHRYS_CLOUD_ANNOTATIONS_URL: {
    ...ENDPOINT,
    about: 'URL that annotations are sent to. Plain `http:` is allowed only to the machine itself (loopback).',
  },
  CHRYS_CLOUD_API_URL: { ...ENDPOINT, about: 'Base URL of the cloud’s API, for the call `Storage`. The same rule for `http:`.' },
  CHRYS_CLOUD_KEY_FILE: {
    type: 'readable',
    about: 'File with the edge key. It is read at each call. Required if a URL of the cloud is set.',
  },
  CHRYS_CLOUD_SECRET_FILE: { type: 'readable', about: 'File with the secret of the edge key, read and required likewise.' },
  CHRYS_CLOUD_TIMEOUT_MS: {
    type: 'integer',
    min: 100,
    max: 300_000,
    default: 30_000,
    about: 'Time limit of one call to the cloud, in ms.',
  },
  CHRYS_ANNOTATION_QUEUE_MAX: {
    type: 'integer',
    min: 1,
    max: 100_000_000,
    default: 100_000,
    about: 'Annotations that may wait for the cloud.',
  },
  CHRYS_ANNOTATION_QUEUE_MAX_BYTES: {
    ...{ ...AMOUNT, default: '128Mi' },
    about: 'Bytes of annotations that may wait. JetStream reserves them on disk, and 16 MiB for dead letters.',
  },
} as const satisfies Settings

export const TLS = {
  CHRYS_TLS_CERT_FILE: {
    type: 'readable',
    about: 'Certificate (PEM). With it and the key file the gateway serves TLS only. Changed files take effect without a restart.',
  },
  CHRYS_TLS_KEY_FILE: { type: 'readable', about: 'Private key of the certificate (PEM).' },
  CHRYS_TLS_CLIENT_CA_FILE: { type: 'readable', about: 'Authorities (PEM). Clients need a certificate that one of them signed.' },
} as const satisfies Settings

/** Who may use the gateway. */
const ACCESS = {
  CHRYS_ACCESS: {
    ...{ type: 'choice', of: ['none', 'kubernetes'], default: 'none' },
    about:
      'Who may use the gateway. With `none` every client that reaches the port may do everything. With `kubernetes` clients need a token, and RBAC decides ([access](access.md)).',
  },
  CHRYS_ACCESS_AUDIENCES: {
    ...{ type: 'list', check: () => undefined },
    about: 'Audiences that tokens may be for. Without it: the audience of the API server.',
  },
  CHRYS_TLS_TERMINATED_ELSEWHERE: {
    ...{ type: 'choice', of: ['0', '1'], default: '0' },
    about: 'With `1` the gateway accepts tokens without TLS, because a proxy in front of it ends TLS.',
  },
  CHRYS_KUBECONFIG: KUBECONFIG,
} as const satisfies Settings

export const GATEWAY = {
  ...SERVICE,
  CHRYS_NAMESPACE: {
    ...{ type: 'text', default: 'default', check: isLabel },
    about: 'The gateway’s namespace. Cameras in it are called by their bare names.',
  },
  CHRYS_GRPC_HOST: { type: 'text', default: '0.0.0.0', about: 'Address on which gRPC is served.' },
  CHRYS_GRPC_PORT: { ...PORT, default: 50_001, about: 'Port of gRPC. 0 takes any free port.' },
  CHRYS_GRPC_REFLECTION: {
    ...{ type: 'choice', of: ['0', '1'], default: '1' },
    about: 'With `0` the gateway does not describe its services to clients (gRPC reflection).',
  },
  CHRYS_HTTP_HOST: { type: 'text', default: '0.0.0.0', about: 'Address on which frames by URL and the page are served.' },
  CHRYS_HTTP_PORT: { ...PORT, default: 8_080, about: 'Port of HTTP. 0 takes any free port.' },
  CHRYS_HTTP_PROXIES: {
    ...{ type: 'list', check: checkCidr, default: [] },
    about: 'Address ranges of proxies in front of HTTP. The client is then whom their `X-Forwarded-For` names.',
  },
  CHRYS_GRPC_MAX_CALLS: { type: 'integer', min: 1, max: 100_000, default: 1_000, about: 'gRPC calls at the same time.' },
  ...TLS,
  ...ACCESS,
  CHRYS_MEMORY_MAX_BYTES: {
    ...{ type: 'bytes', min: '64Mi', max: '16Ti' },
    otherwise: 'three quarters of the container’s memory limit, less 256 MiB',
    about:
      'Bytes that rings, unsent frames, decoders and buffered reads may take together. Rings shrink first, then cameras and reads are refused.',
  },
  CHRYS_RING_MAX_BYTES: { ...AMOUNT, default: '128Mi', about: 'Bytes of frames that are held for one camera’s clients.' },
  CHRYS_UNSENT_MAX_BYTES: {
    ...{ ...AMOUNT, default: '512Mi' },
    about: 'Bytes of frames on their way to all clients. One connection may hold at most as many as it leaves free.',
  },
  CHRYS_RAW_FRAMES_MAX_MB: {
    ...{ type: 'integer', min: 0, max: 1_000_000, default: 48 },
    about:
      'Megabytes of frames a second up to which a camera with `decoding.placement: Auto` is decoded in its pod, where several gateways want its frames. All cameras together are moved up to four times as many, and no frame above 8 MiB.',
  },
  CHRYS_DECODERS_MAX: {
    ...{ type: 'integer', min: 0, max: 1_000 },
    otherwise: '2 per core',
    about:
      'Cameras of 1080p at 30 frames a second that are decoded in the gateway at the same time. Others count by their pixels a second. Beyond it, cameras give fewer frames or none.',
  },
  CHRYS_BUFFERED_READS_MAX: {
    ...{ type: 'integer', min: 1, max: 1_000, default: 8 },
    about: 'Buffered reads of 1080p cameras at the same time (a 4K camera counts as four). Each has a decoder.',
  },
  ...CLOUD,
} as const satisfies Settings

const NAMESPACE = { type: 'text', required: true, check: isLabel } as const
const CAMERA_NAMESPACES = {
  type: 'list',
  check: isLabel,
  otherwise: 'all namespaces',
  about: 'Namespaces whose Cameras are handled.',
} as const
/** Fields of a Camera that an administrator may deny to its author. */
export const DENIED_FIELDS = ['image', 'env', 'hostPath'] as const
export type DeniedField = (typeof DENIED_FIELDS)[number]
const isDeniedField: Check = text =>
  (DENIED_FIELDS as readonly string[]).includes(text) ? undefined : `must be one of ${DENIED_FIELDS.join(', ')}`
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'] as const

export const OPERATOR = {
  ...SERVICE,
  CHRYS_NAMESPACE: {
    ...NAMESPACE,
    about: 'The operator’s namespace. Its Lease is there, and cameras in it are called by their bare names.',
  },
  CHRYS_SIDECAR_IMAGE: { type: 'text', required: true, about: 'Image of camera pods.' },
  CHRYS_SIDECAR_PULL_POLICY: { type: 'choice', of: PULL_POLICIES, default: 'IfNotPresent', about: 'When nodes pull that image.' },
  CHRYS_SIDECAR_PULL_SECRETS: { type: 'list', check: isObjectName, about: 'Secrets with which nodes pull it, in each Camera’s namespace.' },
  CHRYS_SIDECAR_NATS_URL: { type: 'url', schemes: NATS_SCHEMES, otherwise: 'CHRYS_NATS_URL', about: 'NATS server of camera pods.' },
  CHRYS_SIDECAR_NATS_SECRET: {
    ...{ type: 'text', check: isObjectName },
    about: 'Secret in each Camera’s namespace with the key `user.creds`, for a NATS of your own.',
  },
  CHRYS_NATS_SIGNING_DIR: {
    type: 'readable',
    about: 'Folder with `signing.seed` and `account.pub`. With it each camera gets a NATS user and a Secret of its own.',
  },
  CHRYS_NATS_USER_DAYS: {
    ...{ type: 'integer', min: 1, max: 3_650, default: 90 },
    about: 'Days that the NATS user of a camera is valid. A new one is made, and the pod replaced, when half of them are over.',
  },
  CHRYS_CAMERA_NAMESPACES: CAMERA_NAMESPACES,
  CHRYS_DENY_FIELDS: {
    ...{ type: 'list', check: isDeniedField },
    about: 'Fields that Cameras may not use: `image` and `env` of `spec.pod`, and `hostPath` as the archive’s volume.',
  },
  CHRYS_SIDECAR_RESOURCES: {
    ...{ type: 'json', default: { requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '1Gi' } } },
    about: 'Resources of camera pods, as in a container, for Cameras without `spec.pod.resources`.',
  },
  // The pod itself and its node, and link-local addresses, where clouds keep their metadata.
  CHRYS_DENY_CIDRS: {
    ...{ ...DENY_CIDRS, default: ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '::/128', '::1/128', 'fe80::/10'] },
    about: 'Address ranges that no camera’s address may be in. Add the ranges of the cluster’s pods and Services.',
  },
  CHRYS_CLEAN_UP_SECONDS: {
    ...{ type: 'integer', min: 1, max: 3_600, default: 300 },
    about: 'How long a deleted Camera waits for NATS, to remove what it left there.',
  },
  CHRYS_WORKERS: { type: 'integer', min: 1, max: 64, default: 8, about: 'Cameras that are reconciled at the same time.' },
  CHRYS_KUBECONFIG: KUBECONFIG,
  CHRYS_IDENTITY: { type: 'text', otherwise: 'a random name', about: 'Name of this process in the Lease.' },
  CHRYS_VERSION: { type: 'text', default: 'unknown', about: 'Version with which Deployments are labelled.' },
} as const satisfies Settings

export const MAKE_IDENTITY = {
  CHRYS_NAMESPACE: { ...NAMESPACE, about: 'Namespace of the Secrets.' },
  CHRYS_IDENTITY_PREFIX: { type: 'text', required: true, check: isObjectPrefix, about: 'What the Secrets’ names begin with.' },
  CHRYS_KUBECONFIG: KUBECONFIG,
  ...PROGRAM,
} as const satisfies Settings

const isHost: Check = text => (/^[A-Za-z0-9*.:-]{1,253}$/.test(text) ? undefined : 'must be a DNS name or an IP address')

export const MAKE_CERTIFICATES = {
  CHRYS_NAMESPACE: { ...NAMESPACE, about: 'Namespace of the Secrets.' },
  CHRYS_IDENTITY_PREFIX: { type: 'text', required: true, check: isObjectPrefix, about: 'What the Secrets’ names begin with.' },
  CHRYS_CERTIFICATE_NAMES: {
    type: 'list',
    check: isHost,
    about: 'DNS names and IP addresses of the gateway. Empty: it gets no certificate.',
  },
  CHRYS_NATS_CERTIFICATE_NAMES: { type: 'list', check: isHost, about: 'DNS names of the NATS servers. Empty: they get no certificate.' },
  CHRYS_KUBECONFIG: KUBECONFIG,
  ...PROGRAM,
} as const satisfies Settings

export const RELEASE_FINALIZERS = {
  CHRYS_NAMESPACE: { ...NAMESPACE, about: 'Namespace of the release.' },
  CHRYS_CAMERA_NAMESPACES: CAMERA_NAMESPACES,
  CHRYS_OPERATOR: { type: 'text', required: true, about: 'Name of the operator’s Deployment.' },
  CHRYS_REMOVE_SECRETS: { type: 'list', check: isObjectName, about: 'Secrets that are removed with the release.' },
  CHRYS_TIMEOUT_SECONDS: { type: 'integer', min: 1, max: 3_600, default: 120, about: 'Time limit for all of it.' },
  CHRYS_KUBECONFIG: KUBECONFIG,
  ...PROGRAM,
} as const satisfies Settings
