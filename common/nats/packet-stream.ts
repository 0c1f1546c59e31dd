// A camera's packet stream: made by its sidecar where that may make streams, else by the operator, which the sidecar asks.
import {
  DiscardPolicy,
  nanos,
  RetentionPolicy,
  StorageType,
  type JetStreamAccountStats,
  type JetStreamManager,
  type NatsConnection,
} from 'nats'
import type { Storage } from '../../proto/camera.ts'
import { packetStream, packetSubject, refText, type CameraRef } from '../../proto/subjects.ts'
import { messageOf } from '../errors.ts'
import { within } from '../abort.ts'
import { replicasOf } from './connect.ts'
import { DUPLICATES_MS, ensureStream, forbiddenIn, isAsConfigured, isQuotaRefusal, isStreamMissing, isUnanswered } from './streams.ts'

export type BufferLimits = { durationMs: number; maxBytes: number; storage: Storage; replicas: number }
type Owner = CameraRef & { uid: string }

const ASK_MS = 1_000

const packetStreamConfig = (camera: Owner, { durationMs, maxBytes, storage, replicas }: BufferLimits) => ({
  name: packetStream(camera),
  description: `packets of ${refText(camera)}, uid ${camera.uid}`,
  subjects: [packetSubject(camera)],
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  storage: storage === 'File' ? StorageType.File : StorageType.Memory,
  num_replicas: replicas,
  max_age: nanos(durationMs),
  max_bytes: maxBytes,
  // The server refuses one that is longer than the buffer.
  duplicate_window: nanos(Math.min(durationMs, DUPLICATES_MS)),
  allow_direct: true,
})

const infoOf = (jsm: JetStreamManager, name: string) =>
  jsm.streams.info(name).catch((error: unknown) => {
    if (isStreamMissing(error)) return undefined
    throw error
  })

/** How long a stream's server may take to answer, where the cluster has others. */
const CLUSTER_MS = 1_000

/** Of the API of streams. In a cluster it gives up sooner. */
export const streamManager = (nc: NatsConnection): Promise<JetStreamManager> =>
  nc.jetstreamManager({ checkAPI: false, ...(replicasOf(nc) > 1 ? { timeout: CLUSTER_MS } : {}) })

/** Makes the stream as the camera's spec wants it. Rejects when JetStream is away, or refuses it. */
export async function ensurePacketStream(nc: NatsConnection, camera: Owner, limits: BufferLimits): Promise<void> {
  const jsm = await streamManager(nc)
  const config = packetStreamConfig(camera, limits)
  const before = await infoOf(jsm, config.name).catch(async (error: unknown) => {
    if (replicasOf(nc) === 1 || limits.storage === 'File' || !isUnanswered(error)) throw error
    await giveUp(jsm, config.name)
    return undefined
  })
  // A namesake's pictures are not this camera's.
  if (before !== undefined && before.config.description !== config.description) await jsm.streams.purge(config.name)
  await ensureStream(jsm, config)
}

/** Removes a stream that was in the memory of a server that is gone. What is in files may come back with the server. */
async function giveUp(jsm: JetStreamManager, name: string): Promise<void> {
  await jsm.getAccountInfo() // rejects where nothing of NATS answers
  // The others agree on it at once. The answer would be that of the server that is gone.
  await jsm.streams.delete(name).catch((error: unknown) => {
    if (!isUnanswered(error) && !isStreamMissing(error)) throw error
  })
}

/** Whether the stream is there, and as the camera's spec wants it. */
export async function isPacketStreamThere(nc: NatsConnection, camera: Owner, limits: BufferLimits): Promise<boolean> {
  const jsm = await streamManager(nc)
  const config = packetStreamConfig(camera, limits)
  const found = await infoOf(jsm, config.name).catch((error: unknown) => {
    if (replicasOf(nc) > 1 && isUnanswered(error)) return undefined
    throw error
  })
  return found !== undefined && isAsConfigured(found, config)
}

export type BufferRefusal = { reason: 'BufferQuotaExceeded' | 'BufferUnavailable' | 'NatsForbidden'; message: string }

/** Why there is no stream, for a person. */
export async function bufferRefusal(jsm: JetStreamManager, error: unknown, { maxBytes, storage }: BufferLimits): Promise<BufferRefusal> {
  const forbidden = forbiddenIn(error)
  if (forbidden !== undefined) return { reason: 'NatsForbidden', message: `the packet stream cannot be created: ${forbidden}` }
  if (!isQuotaRefusal(error)) return { reason: 'BufferUnavailable', message: `the packet stream cannot be created: ${messageOf(error)}` }
  const need = `${maxBytes} bytes of ${storage === 'File' ? 'file' : 'memory'} storage`
  const quota = await quotaOf(jsm, storage).catch(() => '')
  return {
    reason: 'BufferQuotaExceeded',
    message: `JetStream’s quota${quota} has no room for ${need}: ${messageOf(error)}`,
  }
}

/** What the server tells of it: the account’s own limit, but not that of all accounts. Who may not ask gets no answer. */
async function quotaOf(jsm: JetStreamManager, storage: Storage): Promise<string> {
  const account: JetStreamAccountStats & { reserved_memory?: number; reserved_storage?: number } = await within(
    ASK_MS,
    'NATS',
    jsm.getAccountInfo(),
  )
  const { limits, reserved_memory, reserved_storage } = account
  const [max, reserved] = storage === 'File' ? [limits.max_storage, reserved_storage] : [limits.max_memory, reserved_memory]
  return `${max > 0 ? ` of ${max} bytes` : ''}${reserved === undefined ? '' : `, of which ${reserved} bytes are reserved,`}`
}
