// The KV buckets that processes share: opened here with their settings by the first that comes, and followed here.
import { DiscardPolicy, nanos, RetentionPolicy, StorageType, type KV, type NatsConnection } from 'nats'
import { BUCKET, bucketStream, bucketSubject } from '../../proto/subjects.ts'
import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { isConfined, replicasOf, type Nats } from './connect.ts'
import { sleep, whenAborted } from '../abort.ts'
import { DUPLICATES_MS, ensureStream, isStreamMissing } from './streams.ts'

export type BucketName = keyof typeof BUCKET

const KIB = 2 ** 10
const MIB = 2 ** 20

// JetStream reserves these bytes. Cameras and switches outlive a restart of NATS; states are written again every few seconds.
// No value is larger, headers included, than the largest that its schema allows (proto/state.ts): else one camera could fill a bucket.
const SETTINGS = {
  cameras: { storage: StorageType.File, max_bytes: 16 * MIB, max_msg_size: 16 * KIB },
  states: { storage: StorageType.Memory, max_bytes: 16 * MIB, max_msg_size: 96 * KIB },
  switches: { storage: StorageType.File, max_bytes: 4 * MIB, max_msg_size: 4 * KIB },
  leases: { storage: StorageType.Memory, max_bytes: 4 * MIB, max_msg_size: 4 * KIB },
  // A login is forgotten after LOGIN_EVERY_MS (common/onvif/discover.ts).
  logins: { storage: StorageType.File, max_bytes: 2 * MIB, max_msg_size: KIB, max_age: nanos(600_000) },
  revoked: { storage: StorageType.File, max_bytes: 2 * MIB, max_msg_size: KIB },
  // Of groups whose members are all gone too: hence the age.
  groups: { storage: StorageType.Memory, max_bytes: MIB, max_msg_size: 128 * KIB, max_age: nanos(86_400_000) },
} as const satisfies Record<BucketName, { storage: StorageType; max_bytes: number; max_msg_size: number; max_age?: number }>

/**
 * Opens the bucket, creating it where it is missing and may be created. Rejects while JetStream is away. Values are read by the API of
 * streams: answers of the direct one are what is stored, and could be sent, by the one that stored it, anywhere.
 */
export async function openBucket(nc: NatsConnection, name: BucketName): Promise<KV> {
  if (!isConfined(nc)) await ensureStream(await nc.jetstreamManager({ checkAPI: false }), bucketConfig(name, replicasOf(nc)))
  return bindBucket(nc, name)
}

/** The bucket, which somebody else makes. */
export const bindBucket = (nc: NatsConnection, name: BucketName): Promise<KV> => nc.jetstream().views.kv(BUCKET[name], { bindOnly: true })

/** As KV makes it, without rollups: by one of those a camera's user would empty the bucket for all others. */
const bucketConfig = (name: BucketName, replicas: number) => ({
  name: bucketStream(BUCKET[name]),
  num_replicas: replicas,
  subjects: [bucketSubject(BUCKET[name], '>')],
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.New,
  max_msgs_per_subject: 1,
  allow_direct: true,
  allow_rollup_hdrs: false,
  duplicate_window: nanos(DUPLICATES_MS),
  ...SETTINGS[name],
})

export type BucketView = {
  /** A key's value, or its deletion. `ageMs`: how long ago it was stored, by the server's clock. */
  changed(key: string, value: Uint8Array | undefined, ageMs: number): void
  /** The bucket's content has been delivered: there are these keys and no others. Again after each reconnect. */
  complete(keys: ReadonlySet<string>): void
  /** It is the bucket's writer's: the bucket is made where it is missing, and what it holds is known at once. */
  fills?: true
  /** Keys that a bucket which was made again will hold again. A view that has this takes no new, empty bucket for the truth. */
  expects?: () => readonly string[]
}

/** A bucket younger than this may still be being filled by the process that made it. */
const YOUNG_MS = 1_000
/** What is expected in a new bucket is waited for so long, and what else may come until none did for so long. */
const EXPECT_MS = 5_000
const QUIET_MS = 2_000
const RETRY_MS = 1_000
/** How often it is made sure that the bucket is still the one that is being followed. */
const CHECK_MS = 5_000

/**
 * Follows a bucket until `signal` aborts, through restarts of NATS and the bucket's loss; the view keeps what it last knew meanwhile.
 * Only its writer makes the `cameras` bucket: one that a reader made would look like a list without cameras. With `onlyKey` the view is of that key alone.
 */
export async function watchBucket(
  nats: Nats,
  name: BucketName,
  view: BucketView,
  log: Logger,
  signal: AbortSignal,
  onlyKey?: string,
): Promise<void> {
  for (let said = ''; !signal.aborted;) {
    try {
      if (onlyKey !== undefined && isConfined(nats.nc)) await look(nats, name, view, signal, onlyKey)
      else await follow(nats, name, view, signal, onlyKey)
      said = ''
    } catch (error) {
      const message = messageOf(error)
      if (message !== said && nats.connected()) log.warn({ bucket: BUCKET[name], error: message }, 'waiting for a KV bucket')
      said = message
    }
    await sleep(RETRY_MS, signal)
  }
}

/** Ends at a reconnect, so that what was missed meanwhile, deletions too, is learnt from a new start. */
async function follow(nats: Nats, name: BucketName, view: BucketView, signal: AbortSignal, onlyKey?: string): Promise<void> {
  const kv = name === 'cameras' && view.fills !== true ? await bindBucket(nats.nc, name) : await openBucket(nats.nc, name)
  const { streamInfo } = await kv.status()
  const serverNow = streamInfo.ts === undefined ? Date.now() : Date.parse(streamInfo.ts)
  const ripe = performance.now() + patienceMs(view) - (serverNow - Date.parse(streamInfo.created))
  const keys = new Set<string>()
  let initial = true
  let settling: NodeJS.Timeout | undefined
  const complete = () => {
    settling = undefined
    view.complete(keys)
  }
  const settle = () => {
    clearTimeout(settling)
    settling = setTimeout(complete, settleMs(view, keys, ripe - performance.now()))
  }
  const initializedFn = () => {
    initial = false
    if (performance.now() >= ripe) complete()
    else settle()
  }
  const entries = await kv.watch({ initializedFn, ...(onlyKey === undefined ? {} : { key: onlyKey }) })
  const stop = () => entries.stop()
  using _reconnected = nats.onReconnect(stop)
  using _replaced = whenReplaced(kv, streamInfo.created, stop)
  using _aborted = whenAborted(signal, stop)
  try {
    for await (const { key, operation, value, created } of entries) {
      const exists = operation === 'PUT'
      const isNew = exists && !keys.has(key)
      if (exists) keys.add(key)
      else keys.delete(key)
      if (isNew && settling !== undefined) settle()
      view.changed(key, exists ? value : undefined, initial ? Math.max(0, serverNow - created.getTime()) : 0)
    }
  } finally {
    clearTimeout(settling)
  }
}

const patienceMs = ({ fills, expects }: BucketView): number => (fills === true ? 0 : expects === undefined ? YOUNG_MS : EXPECT_MS)

/** How long more keys are waited for; `leftMs` until the bucket is young no more, which it may be by a hair already. */
export function settleMs({ expects }: Pick<BucketView, 'expects'>, keys: ReadonlySet<string>, leftMs: number): number {
  if (expects === undefined) return Math.max(0, leftMs)
  const isRefilled = keys.size > 0 && expects().every(key => keys.has(key))
  return isRefilled ? QUIET_MS : Math.max(QUIET_MS, leftMs)
}

/** Follows one key without a consumer: looks at it now and then, and when something is published to it. Ends at a reconnect. */
async function look(nats: Nats, name: BucketName, view: BucketView, signal: AbortSignal, key: string): Promise<void> {
  const kv = await openBucket(nats.nc, name)
  let revision: number | undefined
  let hint = new AbortController()
  const ended = new AbortController()
  using _reconnected = nats.onReconnect(() => ended.abort())
  const subscription = nats.nc.subscribe(bucketSubject(BUCKET[name], key), { callback: () => hint.abort() })
  try {
    while (!signal.aborted && !ended.signal.aborted) {
      hint = new AbortController()
      const entry = await kv.get(key)
      const value = entry?.operation === 'PUT' ? entry.value : undefined
      // A bucket that was made again counts from 1 again.
      if (revision === undefined || (entry?.revision ?? 0) !== revision) {
        view.changed(key, value, 0)
        view.complete(new Set(value === undefined ? [] : [key]))
      }
      revision = entry?.revision ?? 0
      await sleep(CHECK_MS, AbortSignal.any([signal, ended.signal, hint.signal]))
    }
  } finally {
    subscription.unsubscribe()
  }
}

/** A bucket that was made again counts its values from 1 again; who follows the old one would not hear of them. */
function whenReplaced(kv: KV, created: string, act: () => void): Disposable {
  const timer = setInterval(() => {
    kv.status().then(
      ({ streamInfo }) => streamInfo.created !== created && act(),
      error => isStreamMissing(error) && act(),
    )
  }, CHECK_MS)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
