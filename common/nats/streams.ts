import { NatsError, type JetStreamManager, type StreamConfig, type StreamInfo } from 'nats'

/**
 * For so long NATS remembers the ids of messages, where what cameras' users publish is kept. Nothing is published twice there: it is the least that
 * NATS takes, since by ids of 60 kB a camera's user could have it use up its memory within the two minutes of its own choice.
 */
export const DUPLICATES_MS = 100

/** JetStream's error codes that mean something to us. */
const NOT_FOUND = 10_059
const NO_MESSAGE = 10_037
const NAME_IN_USE = 10_058
const WRONG_SEQUENCE = 10_071
const RESOURCES = [10_023, 10_028, 10_047, 10_077]
/** More replicas than a server alone, or the cluster, can have. */
const TOO_MANY_REPLICAS = [10_005, 10_074]

const codeOf = (error: unknown): number | undefined => (error instanceof NatsError ? error.api_error?.err_code : undefined)

export const isStreamMissing = (error: unknown): boolean =>
  codeOf(error) === NOT_FOUND || (error instanceof NatsError && (error.code === '503' || error.message.includes('stream not found')))

/** The stream has no such message, or no longer. */
export const isMessageMissing = (error: unknown): boolean => codeOf(error) === NO_MESSAGE

/** A write that expected the state before it to be another: somebody else wrote meanwhile. */
export const isConflict = (error: unknown): boolean => codeOf(error) === WRONG_SEQUENCE

/** JetStream refuses to reserve what the stream may need. */
export const isQuotaRefusal = (error: unknown): boolean =>
  RESOURCES.includes(codeOf(error) ?? 0) ||
  (error instanceof NatsError && /insufficient|resource limits|maximum bytes/i.test(error.message))

/** The stream's server does not answer, while others of the cluster may. */
export const isUnanswered = (error: unknown): boolean => error instanceof NatsError && error.code === 'TIMEOUT'

/** What our user may not do, for a person; undefined for another error. */
export function forbiddenIn(error: unknown): string | undefined {
  const what = error instanceof NatsError ? error.permissionContext : undefined
  return what && `the NATS user may not ${what.operation} ${what.operation === 'publish' ? 'to ' : ''}${what.subject}`
}

/** Makes the stream, or makes an existing one match; one whose storage differs is made again. Returns what it is now. */
export async function ensureStream(jsm: JetStreamManager, config: Partial<StreamConfig> & { name: string }): Promise<StreamInfo> {
  const existing = await jsm.streams.info(config.name).catch((error: unknown) => {
    if (codeOf(error) === NOT_FOUND) return undefined
    throw error
  })
  if (existing === undefined) {
    return jsm.streams.add(config).catch((error: unknown) => {
      if (codeOf(error) === NAME_IN_USE) return jsm.streams.info(config.name) // another process was quicker
      throw explained(error, config)
    })
  }
  if (existing.config.storage !== config.storage) {
    await jsm.streams.delete(config.name)
    return jsm.streams.add(config)
  }
  if (isAsConfigured(existing, config)) return existing
  return jsm.streams.update(config.name, config).catch((error: unknown) => {
    throw explained(error, config)
  })
}

function explained(error: unknown, { name, num_replicas }: Partial<StreamConfig>): unknown {
  if (!TOO_MANY_REPLICAS.includes(codeOf(error) ?? 0)) return error
  return new Error(
    `${name} cannot have ${num_replicas} replicas: NATS has fewer servers with JetStream. Add servers, or lower the number of replicas`,
    {
      cause: error,
    },
  )
}

export const isAsConfigured = ({ config: now }: StreamInfo, config: Partial<StreamConfig>): boolean =>
  Object.entries(config).every(([key, value]) => JSON.stringify(now[key as keyof StreamConfig]) === JSON.stringify(value))
