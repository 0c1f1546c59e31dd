// Devices that were found, as the discovery pod tells the operator, and the Cameras that are made of them.
import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { API_VERSION, KIND } from './camera.ts'
import type { AnyReason } from './reasons.ts'

export const DEVICES_MAX = 256
export const PROFILES_SHOWN_MAX = 8

const text = (max: number) => v.pipe(v.string(), v.maxLength(max))
const size = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535))

export const DiscoveredDevice = v.object({
  /** As WS-Discovery tells it, in lower case; empty where the device names itself in no way. */
  uuid: text(128),
  address: text(64),
  /** What it calls itself. */
  name: text(64),
  maker: v.optional(text(128)),
  model: v.optional(text(128)),
  firmware: v.optional(text(128)),
  serial: v.optional(text(128)),
  profiles: v.pipe(v.array(v.object({ token: text(64), encoding: text(32), width: size, height: size })), v.maxLength(PROFILES_SHOWN_MAX)),
  /** OnvifFound: it can become a Camera. */
  reason: v.pipe(
    v.string(),
    v.regex(/^[A-Z][A-Za-z0-9]{0,63}$/),
    v.transform(said => said as AnyReason),
  ),
  message: v.optional(text(512)),
})
export type DiscoveredDevice = v.InferOutput<typeof DiscoveredDevice>

/** discovery pod → operator, after each search. */
export const DiscoveryReport = v.object({
  v: v.literal(1),
  uid: text(64),
  /** Where Cameras look for their devices. */
  cidrs: v.pipe(v.array(text(18)), v.maxLength(16)),
  /** Why it could not search; absent where it could. */
  problem: v.optional(text(512)),
  devices: v.pipe(v.array(DiscoveredDevice), v.maxLength(DEVICES_MAX)),
})
export type DiscoveryReport = v.InferOutput<typeof DiscoveryReport>

/** What is the same for each Camera of a search. */
export type CameraTemplate = { labels?: Record<string, string>; spec?: Record<string, unknown> }

/** As the API server hands it out: defaults are set. */
export type CameraDiscoverySpec = {
  cidrs?: string[]
  interfaces?: string[]
  hostNetwork: boolean
  nodeSelector?: Record<string, string>
  credentialsSecretRef?: { name: string }
  profile: string
  template?: CameraTemplate
  approve: 'Manual' | 'Auto'
  approved?: string[]
  interval: string
}

/** What the discovery pod is told of it. */
export const SearchSpec = v.object({
  cidrs: v.optional(v.array(v.string()), []),
  interfaces: v.optional(v.array(v.string()), []),
  profile: v.string(),
  interval: v.string(),
})

export type CameraOptions = {
  namespace: string
  cidrs: readonly string[]
  profile: string
  secret: string | undefined
  template: CameraTemplate
  labels?: Record<string, string>
}

/** The Camera of a device, as a manifest. */
export function cameraManifest({ uuid }: { uuid: string }, options: CameraOptions) {
  const { namespace, cidrs, profile, secret, template, labels } = options
  const { source, ...spec } = (template.spec ?? {}) as { source?: Record<string, unknown> }
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { namespace, name: cameraNameOf(uuid), labels: { ...template.labels, ...labels } },
    spec: {
      ...spec,
      source: {
        ...source,
        onvif: { uuid, ...(cidrs.length === 0 ? {} : { cidrs: [...cidrs] }), profile },
        ...(secret === undefined ? {} : { credentialsSecretRef: { name: secret } }),
      },
    },
  }
}

/** The same for a device after each reboot. */
export const cameraNameOf = (uuid: string): string =>
  /^[a-z0-9]([-a-z0-9]{0,44}[a-z0-9])?$/.test(uuid)
    ? `onvif-${uuid}`
    : `onvif-${createHash('sha256').update(uuid).digest('hex').slice(0, 32)}`
