// What a search found → the status, and the Cameras to be made. Pure.
import { cameraManifest, type DiscoveredDevice, type DiscoveryReport } from '../../proto/discovery.ts'
import { explain, type AnyReason } from '../../proto/reasons.ts'
import { sortedJson } from '../kube/json.ts'
import { defined, metaTime, type WatchedCamera } from '../kube/kinds.ts'
import type { DiscoveryStatus, ListedDevice, WatchedDiscovery } from './objects.ts'

/** On the Cameras that were made: whose CameraDiscovery made them. */
const DISCOVERY_LABEL = 'video.chrys.cloud/discovery'

export type Heard = { report: DiscoveryReport; at: number }
export type CameraManifest = ReturnType<typeof cameraManifest>

/** The Camera of each device that has one, by UUID: one of its name, or one that names the device. */
export function adopted(cameras: Iterable<WatchedCamera>, { metadata: { namespace } }: WatchedDiscovery): Map<string, string> {
  const own = [...cameras].filter(({ metadata }) => metadata.namespace === namespace)
  const named = own.flatMap(({ metadata, spec }) => {
    const uuid = spec.source.onvif?.uuid
    return uuid === undefined ? [] : [[uuid.toLowerCase().replace(/^urn:uuid:/, ''), metadata.name] as const]
  })
  return new Map(named)
}

/** Devices that are to become Cameras, and are none yet. They are never changed or deleted afterwards. */
export function missing(discovery: WatchedDiscovery, { report }: Heard, cameras: ReadonlyMap<string, string>): CameraManifest[] {
  const { profile, credentialsSecretRef, template = {} } = discovery.spec
  const { namespace, name } = discovery.metadata
  return report.devices
    .filter(device => device.reason === 'OnvifFound' && isApproved(device, discovery) && !cameras.has(device.uuid))
    .map(device =>
      cameraManifest(device, {
        ...{ namespace, profile, template, cidrs: report.cidrs },
        secret: credentialsSecretRef?.name,
        labels: { [DISCOVERY_LABEL]: name },
      }),
    )
}

const isApproved = ({ uuid }: DiscoveredDevice, { spec: { approve, approved = [] } }: WatchedDiscovery): boolean =>
  approve === 'Auto' || approved.some(each => each.toLowerCase().replace(/^urn:uuid:/, '') === uuid)

export type Known = {
  heard: Heard | undefined
  cameras: ReadonlyMap<string, string>
  /** Why nothing can be made of it: of the pod, or of a Camera. */
  refusal: { reason: AnyReason; message: string } | undefined
  isSilent: boolean
}

/** `now` in ms since the epoch. Undefined while nothing is known. */
export function discoveryStatus(discovery: WatchedDiscovery, known: Known, now: number): DiscoveryStatus | undefined {
  const { heard, cameras, refusal, isSilent } = known
  if (heard === undefined && refusal === undefined && !isSilent) return undefined
  const before = discovery.status ?? {}
  const verdict = verdictOf(known)
  const old = before.conditions?.find(({ type }) => type === 'Ready')
  const { generation } = discovery.metadata
  const devices = heard?.report.devices.map(device => listed(device, discovery, cameras)) ?? before.devices
  return defined<DiscoveryStatus>({
    observedGeneration: generation,
    conditions: [
      {
        type: 'Ready',
        status: verdict.status,
        observedGeneration: generation,
        lastTransitionTime: old?.status === verdict.status ? old.lastTransitionTime : metaTime(now),
        reason: verdict.reason,
        message: explain(verdict.reason, verdict.message),
      },
    ],
    lastSearchTime: heard === undefined ? before.lastSearchTime : metaTime(heard.at),
    found: devices?.length,
    cameras: devices?.filter(({ camera }) => camera !== undefined).length,
    devices,
  })
}

function verdictOf({ heard, refusal, isSilent }: Known): { status: 'True' | 'False'; reason: AnyReason; message?: string | undefined } {
  if (refusal !== undefined) return { status: 'False', ...refusal }
  if (isSilent) return { status: 'False', reason: 'DiscoverySilent' }
  const problem = heard?.report.problem
  return problem === undefined ? { status: 'True', reason: 'Searching' } : { status: 'False', reason: 'SearchFailed', message: problem }
}

function listed(device: DiscoveredDevice, discovery: WatchedDiscovery, cameras: ReadonlyMap<string, string>): ListedDevice {
  const { uuid, address, name, maker, model, firmware, serial, profiles, message } = device
  const camera = cameras.get(uuid)
  const waits = device.reason === 'OnvifFound' && camera === undefined && !isApproved(device, discovery)
  const reason = waits ? 'ApprovalMissing' : device.reason
  return defined<ListedDevice>({
    ...{ uuid: uuid || undefined, address, name: name || undefined, maker, model, firmware, serial, camera, reason },
    profiles: profiles.map(({ token, encoding, width, height }) => `${token} (${encoding || 'no video'} ${width}x${height})`),
    message: explain(reason, message).slice(0, 1_024),
  })
}

/** The time of the search alone is news every few minutes. */
export function isNews(next: DiscoveryStatus, before: DiscoveryStatus | undefined, everyMs: number): boolean {
  const { lastSearchTime: _next, ...rest } = next
  const { lastSearchTime: _before, ...old } = before ?? {}
  if (before === undefined || sortedJson(rest) !== sortedJson(old)) return true
  return Date.parse(next.lastSearchTime ?? '') - Date.parse(before.lastSearchTime ?? '') >= everyMs
}
