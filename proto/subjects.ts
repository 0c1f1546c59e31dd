// Every NATS name of ours: streams, subjects, KV buckets, keys and headers. Names are made here and nowhere
// else, from validated parts only: nats.js checks no more than that a subject is not empty, so an unchecked id
// could carry a space, a wildcard or a line break into the protocol.

import { createHash } from 'node:crypto'

/** A camera's identity in the cluster. Both parts are DNS labels. */
export type CameraRef = { readonly namespace: string; readonly name: string }

const NAME = /^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

export const CAMERA_NAME_RULE = 'must be a DNS label of at most 52 characters'

export const isCameraName = (name: string): boolean => NAME.test(name)
export const isNamespace = (namespace: string): boolean => NAMESPACE.test(namespace)

/** `namespace/name`: how logs, errors and the API name a camera outside the gateway's own namespace. */
export const refText = (ref: CameraRef): string => `${ref.namespace}/${ref.name}`

function checked(ref: CameraRef, separator: string): string {
  if (!isNamespace(ref.namespace)) throw new Error(`namespace ${JSON.stringify(ref.namespace)} must be a DNS label`)
  if (!isCameraName(ref.name)) throw new Error(`camera name ${JSON.stringify(ref.name)} ${CAMERA_NAME_RULE}`)
  return `${ref.namespace}${separator}${ref.name}`
}

// DNS labels hold neither '.' nor '_', so both separators keep the parts apart.
export const packetStream = (ref: CameraRef): string => `chrys_packets_${checked(ref, '_')}`
export const packetSubject = (ref: CameraRef): string => `chrys.packets.${checked(ref, '.')}`
/** All packet streams' subjects: a stream has one of these. */
export const PACKET_SUBJECTS = 'chrys.packets.*.*'
/** Packets that the packet stream does not keep: they are only heard live. */
export const unstoredSubject = (ref: CameraRef): string => `chrys.unstored.${checked(ref, '.')}`
export const UNSTORED_SUBJECTS = 'chrys.unstored.*.*'
/** Packets of the substream, which are only heard live too. */
export const substreamSubject = (ref: CameraRef): string => `chrys.substream.${checked(ref, '.')}`
export const SUBSTREAM_SUBJECTS = 'chrys.substream.*.*'
export const frameSubject = (ref: CameraRef): string => `chrys.frames.${checked(ref, '.')}`
/** Frames of one rendition that gateways have asked the camera's sidecar for. `key`: as renditionKey says. */
export const renditionSubject = (ref: CameraRef, key: string): string =>
  `${frameSubject(ref)}.${createHash('sha256').update(key).digest('hex').slice(0, 16)}`
/** All of one camera's. */
export const renditionSubjects = (ref: CameraRef): string => `${frameSubject(ref)}.*`
export const RENDITION_SUBJECTS = 'chrys.frames.*.*.*'
export const demandSubject = (ref: CameraRef): string => `chrys.demand.${checked(ref, '.')}`
export const DEMAND_SUBJECTS = 'chrys.demand.*.*'
/** Request-reply: the camera's sidecar asks the operator to make its packet stream (BufferRequest). */
export const bufferSubject = (ref: CameraRef): string => `chrys.buffer.${checked(ref, '.')}`
export const BUFFER_SUBJECTS = 'chrys.buffer.*.*'
/** Request-reply: the gateway asks the camera's sidecar for its stream key (StreamKey). */
export const STREAM_KEY_SUBJECTS = 'chrys.streamkey.*.*'
export const streamKeySubject = (ref: CameraRef): string => `chrys.streamkey.${checked(ref, '.')}`
/** Request-reply: the gateway asks the camera's sidecar for what is in its archive (archive.ts). */
export const ARCHIVE_SUBJECTS = 'chrys.archive.*.*'
export const archiveSubject = (ref: CameraRef): string => `chrys.archive.${checked(ref, '.')}`
export const cameraKey = (ref: CameraRef): string => checked(ref, '.')

/** What a discovery pod has found (DiscoveryReport). A CameraDiscovery's name is what a Camera's may be. */
export const discoverySubject = (ref: CameraRef): string => `chrys.discovered.${checked(ref, '.')}`
export const DISCOVERY_SUBJECTS = 'chrys.discovered.*.*'
/** gateway → operator: what is wrong for all cameras (GatewayProblem). */
export const GATEWAY_PROBLEMS = 'chrys.problems'
/** In the bucket `logins`: `digest` stands for a Secret and a device. */
export const loginKey = ({ namespace }: CameraRef, digest: string): string => {
  if (!isNamespace(namespace) || !/^[0-9a-f]{16,64}$/.test(digest)) throw new Error('no key of a login')
  return `${namespace}.${digest}`
}

export const FRAME_SUBJECTS = 'chrys.frames.*.*'

/** Beats of the members of a group (GroupBeat). `key`: 32 hexadecimal digits. */
export function groupSubject(key: string): string {
  if (!GROUP_KEY.test(key)) throw new Error(`group key ${JSON.stringify(key)} must be 32 hexadecimal digits`)
  return `chrys.groups.${key}`
}
export const GROUP_SUBJECTS = 'chrys.groups.*'
/** The key that a beat's subject names; undefined where it is none. */
export function groupOfSubject(subject: string): string | undefined {
  const key = subject.slice(GROUP_SUBJECTS.length - 1)
  return GROUP_KEY.test(key) ? key : undefined
}
const GROUP_KEY = /^[0-9a-f]{32}$/

/** Annotations that were acknowledged and wait for the cloud; with no cloud configured, the newest ones, for those that listen. */
export const ANNOTATION_STREAM = 'chrys_annotations'
export const ANNOTATION_SUBJECTS = 'chrys.annotations.>'
/** Annotations of one camera; those of a name that is no camera's share a subject. */
export const annotationSubject = (ref: CameraRef | undefined): string =>
  ref === undefined ? 'chrys.annotations.other' : `chrys.annotations.${checked(ref, '.')}`
/** The newest annotations of each camera, for those who look: copies that NATS makes as it stores the ones above. */
export const RECENT_STREAM = 'chrys_annotations_recent'
export const RECENT_SUBJECTS = 'chrys.recent.*.*'
export const RECENT_COPIES = { src: 'chrys.annotations.*.*', dest: 'chrys.recent.{{wildcard(1)}}.{{wildcard(2)}}' } as const
/** The camera that a copy is about. */
export const refOfRecent = (subject: string): CameraRef | undefined => refOfKey(subject.slice(RECENT_SUBJECTS.length - 3))
/** The durable consumer by which gateways take turns: who holds its one unacknowledged message delivers the batch that begins there. */
export const ANNOTATION_CONSUMER = 'chrys_delivery'
/** Annotations that the cloud refused for good. */
export const DEAD_LETTER_STREAM = 'chrys_annotations_dead'
export const DEAD_LETTER_SUBJECT = 'chrys.dead.annotations'

export const BUCKET = {
  /** operator → all: which cameras exist, their spec's essence and their pod's state. */
  cameras: 'chrys_cameras',
  /** sidecar → all: what the camera is doing. */
  states: 'chrys_states',
  /** gateway → sidecar: the switches of the Proxy and Storage calls. */
  switches: 'chrys_switches',
  /** sidecar ↔ sidecar: which of a camera's sidecars may open it. */
  leases: 'chrys_leases',
  /** discovery pods: which devices were sent which Secret's credentials in the last ten minutes. */
  logins: 'chrys_logins',
  /** operator: users of deleted cameras, until they expire. */
  revoked: 'chrys_revoked',
  /** gateway ↔ gateway: which member of a group has which camera. */
  groups: 'chrys_groups',
} as const

/** The stream of a bucket, and the subject of a key in it (`>`: of all), as KV itself names them. */
export const bucketStream = (bucket: string): string => `KV_${bucket}`
export const bucketSubject = (bucket: string, key: string): string => `$KV.${bucket}.${key}`

/** The camera a KV key stands for; undefined for a key that is not ours. */
export function refOfKey(key: string): CameraRef | undefined {
  const [namespace, name, ...rest] = key.split('.')
  if (namespace === undefined || name === undefined || rest.length > 0) return undefined
  return isNamespace(namespace) && isCameraName(name) ? { namespace, name } : undefined
}

export const HEADER = {
  version: 'Chrys-Version',
  /** metadata.uid of the Camera: a re-created Camera never serves its namesake's pictures. */
  camera: 'Chrys-Camera',
  /** JSON: what the payload is (messages.ts). */
  packet: 'Chrys-Packet',
  codec: 'Chrys-Codec',
  frame: 'Chrys-Frame',
  /** `1/3`: this message's place among the parts of one payload; absent when there is one. */
  part: 'Chrys-Part',
  /** On an annotation: the id of the frame that it is about (frame-id.ts), where the client says it. */
  frameId: 'Chrys-Frame-Id',
  /** On a dead letter: why it is one, for a person, and the subject it had. */
  reason: 'Chrys-Reason',
  subject: 'Chrys-Subject',
} as const
