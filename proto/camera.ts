// The Camera resource, as the API server hands it out: defaults are set. The schema is the chart's
// files/cameras.video.chrys.cloud.yaml; a test compares these types, defaults and bounds with it.

const GROUP = 'video.chrys.cloud'
export const VERSION = 'v1beta1'
export const KIND = 'Camera'
export const API_VERSION = `${GROUP}/${VERSION}` as const

export const TRANSPORTS = ['tcp', 'udp'] as const
export const PLACEMENTS = ['Auto', 'Sidecar', 'Gateway'] as const
export const STORAGES = ['Memory', 'File'] as const
export type Transport = (typeof TRANSPORTS)[number]
export type Placement = (typeof PLACEMENTS)[number]
export type Storage = (typeof STORAGES)[number]

/** What holds where a spec does not say it. */
export const SPEC_DEFAULTS = {
  source: {
    transport: 'tcp',
    onvif: { profile: 'main' },
    tls: { caSecretRef: { key: 'ca.crt' }, caConfigMapRef: { key: 'ca.crt' }, trustOnFirstUse: false, minVersion: 'TLSv1.2' },
  },
  decoding: { keyFramesOnly: false, placement: 'Auto' },
  buffer: { duration: '60s', maxBytes: '64Mi', storage: 'Memory' },
  archive: { segment: 'GOP', retention: '5m' },
  proxy: { enabled: false, urlSecretRef: { key: 'url' } },
  suspend: false,
  onNodeFailure: 'Stay',
} as const

/** How far a spec may go. */
export const SPEC_BOUNDS = { maxFps: { min: 1, max: 240 }, scale: { lengthMax: 64 } } as const

/** What a camera may send by RTP. */
export const RTP_CODECS = ['H264', 'H265', 'JPEG', 'MPEG4', 'MPEG2', 'MPEGTS', 'VP8', 'VP9', 'AV1'] as const
export type RtpCodec = (typeof RTP_CODECS)[number]
/** Where a spec names none. */
export const DEFAULT_RTP_CODECS: readonly RtpCodec[] = ['H264', 'H265', 'JPEG']

export const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const
export type TlsVersion = (typeof TLS_VERSIONS)[number]
/** As certificates' fingerprints are written: hexadecimal digits, with or without colons. */
export const isFingerprint = (value: string): boolean => /^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/.test(value)

/** Which variant of an HLS master playlist: a size stands for the largest that is no larger. */
export type Variant = 'Largest' | 'Smallest' | `${number}x${number}`
export const VARIANT_RULE = 'must be Largest, Smallest or a size such as 640x360'
export const isVariant = (value: unknown): value is Variant =>
  typeof value === 'string' && /^(Largest|Smallest|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$/.test(value)

/** A key of a Secret in the Camera's namespace. */
export type SecretKeyRef = { name: string; key: string }

/** Exactly one of `address` and `uuid`. */
export type OnvifSource = {
  /** A host with a port, or the URL of the device service. */
  address?: string
  uuid?: string
  /** IPv4 ranges in which the device with `uuid` may be, besides the pod's own networks. */
  cidrs?: string[]
  /** main, sub, or a profile's token. */
  profile: string
}

/** Exactly one of the two. With `profile` the source is an ONVIF device. */
export type SubstreamSource = {
  url?: string
  /** sub, or a profile's token. */
  profile?: string
}

/** The streams of a camera. */
export type StreamName = 'main' | 'sub'

export type CameraSpec = {
  /** Exactly one of `url` and `onvif`. */
  source: {
    /** Of a scheme that the schema allows, without credentials. */
    url?: string
    /** A device that is asked for its stream's URL at each connect. */
    onvif?: OnvifSource
    /** A smaller stream of the same camera. */
    substream?: SubstreamSource
    /** RTSP only. */
    transport: Transport
    /** RTSP only: of other codecs no packet reaches ffmpeg. H264, H265 and JPEG unless given. */
    codecs?: RtpCodec[]
    /** HLS only: a Variant. Largest unless given. */
    variant?: string
    /** A Secret with the keys `username` and `password`. */
    credentialsSecretRef?: { name: string }
    /** How the camera's certificate is checked: by at most one of the first four. Not at all unless given. */
    tls?: {
      caSecretRef?: SecretKeyRef
      caConfigMapRef?: SecretKeyRef
      sha256?: string
      trustOnFirstUse: boolean
      minVersion: TlsVersion
    }
  }
  decoding: {
    /** An ffmpeg scale expression of two parts, e.g. `640:-2`. */
    scale?: string
    maxFps?: number
    keyFramesOnly: boolean
    placement: Placement
  }
  buffer: {
    /** e.g. `60s`. */
    duration: string
    /** A Kubernetes quantity, e.g. `64Mi`. */
    maxBytes: string
    storage: Storage
    /** Servers of a NATS cluster that keep it; 1 unless said otherwise. */
    replicas?: number
    /** Applied to buffered images. */
    scale?: string
  }
  archive?: {
    /** Exactly one kind, as in a Pod; local mode knows hostPath. */
    volume: {
      persistentVolumeClaim?: { claimName: string }
      hostPath?: { path: string; type?: '' | 'Directory' | 'DirectoryOrCreate' }
      nfs?: { server: string; path: string }
      emptyDir?: { medium?: '' | 'Memory'; sizeLimit?: string }
    }
    /** Length of a file: `GOP`, or a duration. */
    segment: string
    retention: string
    maxBytes?: string
  }
  proxy?: {
    enabled: boolean
    urlSecretRef?: SecretKeyRef
  }
  suspend: boolean
  onNodeFailure: 'Stay' | 'Move'
  pod?: {
    image?: string
    resources?: { requests?: Record<string, string | number>; limits?: Record<string, string | number> }
    nodeSelector?: Record<string, string>
    tolerations?: {
      key?: string
      operator?: 'Equal' | 'Exists'
      value?: string
      effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
      tolerationSeconds?: number
    }[]
    affinity?: Record<string, unknown>
    runtimeClassName?: string
    env?: { name: string; value: string }[]
  }
}

export type Camera = {
  apiVersion: typeof API_VERSION
  kind: typeof KIND
  metadata: {
    namespace: string
    name: string
    uid: string
    generation: number
    annotations?: Record<string, string>
    labels?: Record<string, string>
    deletionTimestamp?: string
    finalizers?: string[]
  }
  spec: CameraSpec
  status?: Record<string, unknown>
}

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `90s`, `5m`, `1h30m` → milliseconds. Throws on anything else. */
export function parseDuration(text: string): number {
  const parts = text.match(/^(?:\d+(?:ms|s|m|h|d))+$/) ? text.matchAll(/(\d+)(ms|s|m|h|d)/g) : undefined
  if (parts === undefined) throw new Error('must be a duration such as 90s, 5m, 2h')
  let ms = 0
  for (const [, count, unit] of parts) ms += Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS]
  return ms
}

const UNIT_BYTES = { '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 } as const

/** A Kubernetes quantity of bytes: `64Mi` → 67108864. Throws on anything else. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(|k|M|G|T|Ki|Mi|Gi|Ti)$/.exec(text)
  if (match === null) throw new Error('must be a quantity of bytes such as 64Mi, 2Gi')
  return Math.floor(Number(match[1]) * UNIT_BYTES[match[2] as keyof typeof UNIT_BYTES])
}
