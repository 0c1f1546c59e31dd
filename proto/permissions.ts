// Which NATS subjects each kind of process may use. Built by the same functions as the subjects themselves, so that the two agree.
//
// A camera's user must be able to do no harm to others with whatever its pod sends. Subjects alone don't see to that:
// - A stream's configuration may copy other streams and republish to any subject, a consumer's may deliver to any. So a camera's user
//   makes neither; the operator and the gateway do.
// - NATS checks no reply subject: an answer goes where the request says, with the server's rights. So it may ask for nothing that is
//   answered by what it stored itself, as DIRECT.GET is; other answers are JSON that JetStream's API refuses as a request.
// - It may answer what it receives (`resp`), to the subject that stands there. So it may publish nothing that it receives.
import {
  ANNOTATION_CONSUMER,
  ANNOTATION_STREAM,
  ANNOTATION_SUBJECTS,
  ARCHIVE_SUBJECTS,
  archiveSubject,
  BUCKET,
  bucketStream,
  bucketSubject,
  bufferSubject,
  BUFFER_SUBJECTS,
  cameraKey,
  DEAD_LETTER_STREAM,
  DEAD_LETTER_SUBJECT,
  DEMAND_SUBJECTS,
  DISCOVERY_SUBJECTS,
  discoverySubject,
  demandSubject,
  FRAME_SUBJECTS,
  frameSubject,
  GATEWAY_PROBLEMS,
  GROUP_SUBJECTS,
  packetStream,
  renditionSubjects,
  RENDITION_SUBJECTS,
  packetSubject,
  PACKET_SUBJECTS,
  RECENT_STREAM,
  STREAM_KEY_SUBJECTS,
  streamKeySubject,
  SUBSTREAM_SUBJECTS,
  substreamSubject,
  UNSTORED_SUBJECTS,
  unstoredSubject,
  type CameraRef,
} from './subjects.ts'

export type Permissions = {
  pub: { allow: string[]; deny?: string[] }
  sub: { allow: string[] }
  /** Replies to requests that it was sent: so many, for so long (nanoseconds). */
  resp?: { max: number; ttl: number }
}
export type Role = 'operator' | 'gateway'

const API = '$JS.API'

/** Where answers to the process's own requests come, and no one else's. */
const inbox = (user: Role | CameraRef): string => `_INBOX.${typeof user === 'string' ? user : `camera.${cameraKey(user)}`}.>`

const RESPONSE_NS = 5_000_000_000

/** One camera's sidecar. */
export function cameraPermissions(ref: CameraRef): Permissions {
  const key = cameraKey(ref)
  return {
    pub: {
      allow: [
        packetSubject(ref),
        unstoredSubject(ref),
        substreamSubject(ref),
        frameSubject(ref),
        renditionSubjects(ref),
        bufferSubject(ref),
        bucketSubject(BUCKET.states, key),
        bucketSubject(BUCKET.leases, key),
        `${API}.INFO`,
        ...streamApi(['INFO'], [packetStream(ref)]),
        // Of any camera: a key's name stands in the request's body. They hold nothing that is not for all.
        ...streamApi(['MSG.GET'], buckets('leases', 'switches').map(bucketStream)),
      ],
    },
    sub: { allow: [inbox(ref), demandSubject(ref), streamKeySubject(ref), archiveSubject(ref), bucketSubject(BUCKET.switches, key)] },
    resp: { max: 1, ttl: RESPONSE_NS },
  }
}

/** One CameraDiscovery's pod: it reports, and takes turns at logins. */
export function discoveryPermissions(ref: CameraRef): Permissions {
  return {
    pub: { allow: [discoverySubject(ref), bucketSubject(BUCKET.logins, `${ref.namespace}.*`), `${API}.INFO`] },
    sub: { allow: [`_INBOX.discovery.${cameraKey(ref)}.>`] },
  }
}

/** Streams that hold what was acknowledged, and must not be lost. */
const QUEUES = [ANNOTATION_STREAM, DEAD_LETTER_STREAM]
const streamApi = (verbs: readonly string[], streams: readonly string[]): string[] =>
  streams.flatMap(stream => verbs.map(verb => `${API}.STREAM.${verb}.${stream}`))
/** Following a bucket: an ordered consumer, and the flow control of what it delivers. */
const follow = (bucket: string): string[] => [
  `${API}.CONSUMER.CREATE.${bucketStream(bucket)}`,
  `${API}.CONSUMER.CREATE.${bucketStream(bucket)}.*.${bucketSubject(bucket, '>')}`,
  `$JS.FC.${bucketStream(bucket)}.>`,
]
const buckets = (...names: (keyof typeof BUCKET)[]) => names.map(name => BUCKET[name])
/** What either makes where it is missing: all that cameras share. */
const SHARED = buckets('states', 'switches', 'leases').map(bucketStream)

/** Makes and removes all cameras' packet streams, hence any stream: a wildcard stands for a whole token, and not for a part such as `chrys_packets_`. */
const operatorPermissions = (): Permissions => ({
  pub: {
    allow: [
      `${API}.INFO`,
      `${API}.STREAM.LIST`,
      ...streamApi(['INFO', 'CREATE', 'UPDATE', 'PURGE', 'DELETE'], ['*']),
      ...buckets('cameras', 'states', 'revoked').flatMap(follow),
      ...buckets('cameras', 'states', 'switches', 'leases', 'revoked').map(bucket => bucketSubject(bucket, '>')),
    ],
    deny: streamApi(['CREATE', 'UPDATE', 'PURGE', 'DELETE'], QUEUES),
  },
  sub: { allow: [inbox('operator'), BUFFER_SUBJECTS, DISCOVERY_SUBJECTS, GATEWAY_PROBLEMS] },
  resp: { max: 1, ttl: RESPONSE_NS },
})

const gatewayPermissions = (): Permissions => ({
  pub: {
    allow: [
      `${API}.INFO`,
      ...streamApi(['INFO', 'MSG.GET'], ['*']),
      ...streamApi(['CREATE', 'UPDATE'], [...QUEUES, RECENT_STREAM, ...SHARED, bucketStream(BUCKET.groups)]),
      ...streamApi(['PURGE'], [ANNOTATION_STREAM]),
      ...buckets('cameras', 'states', 'switches', 'groups').flatMap(follow),
      // Readers of the past: a consumer of a camera's packets each.
      `${API}.CONSUMER.CREATE.*.*`,
      `${API}.CONSUMER.CREATE.*.*.>`,
      `${API}.CONSUMER.INFO.*.*`,
      `${API}.CONSUMER.DELETE.*.*`,
      `${API}.CONSUMER.MSG.NEXT.*.*`,
      `${API}.DIRECT.GET.${ANNOTATION_STREAM}`,
      `$JS.ACK.${ANNOTATION_STREAM}.${ANNOTATION_CONSUMER}.>`,
      ...buckets('switches', 'groups').map(bucket => bucketSubject(bucket, '>')),
      GATEWAY_PROBLEMS,
      GROUP_SUBJECTS,
      ANNOTATION_SUBJECTS,
      DEAD_LETTER_SUBJECT,
      DEMAND_SUBJECTS,
      STREAM_KEY_SUBJECTS,
      ARCHIVE_SUBJECTS,
    ],
  },
  sub: {
    allow: [
      inbox('gateway'),
      DEMAND_SUBJECTS,
      FRAME_SUBJECTS,
      RENDITION_SUBJECTS,
      PACKET_SUBJECTS,
      UNSTORED_SUBJECTS,
      SUBSTREAM_SUBJECTS,
      GROUP_SUBJECTS,
    ],
  },
})

export const rolePermissions = (role: Role): Permissions => (role === 'operator' ? operatorPermissions() : gatewayPermissions())
