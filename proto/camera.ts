// The Camera resource, as the API server hands it out: defaults are set. The schema is the chart's
// files/cameras.video.chrys.cloud.yaml; these types are checked against it by a test.

const GROUP = 'video.chrys.cloud'
export const VERSION = 'v1beta1'
export const KIND = 'Camera'
export const API_VERSION = `${GROUP}/${VERSION}` as const

export type Transport = 'tcp' | 'udp'
export type Placement = 'Auto' | 'Sidecar' | 'Gateway'
export type Storage = 'Memory' | 'File'

/** A key of a Secret in the Camera's namespace. */
export type SecretKeyRef = { name: string; key: string }

export type CameraSpec = {
  source: {
    /** rtsp, rtsps, rtmp, rtmps, http, https; `testsrc:` for a demo picture, e.g. `testsrc:?size=640x360&rate=15`. */
    url: string
    /** RTSP only. */
    transport: Transport
    /** A Secret with the keys `username` and `password`. */
    credentialsSecretRef?: { name: string }
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
