// What the gateway is told of the cloud, and of annotations, which go there.
import type { EnvReader } from '../../common/env.ts'
import type { CloudOptions } from './cloud.ts'

export type CloudConfig = {
  /** Undefined where neither URL is set. */
  credentials: CloudOptions | undefined
  annotationsUrl: string | undefined
  /** Of the Storage call; without a slash at its end. */
  apiUrl: string | undefined
  queue: { messagesMax: number; bytesMax: number }
}

const KEY_FILE = 'CHRYS_CLOUD_KEY_FILE'
const SECRET_FILE = 'CHRYS_CLOUD_SECRET_FILE'

export function readCloudConfig(env: EnvReader, bytes: (name: string, fallback: string) => number): CloudConfig {
  const annotationsUrl = endpoint(env, 'CHRYS_CLOUD_ANNOTATIONS_URL')
  const apiUrl = endpoint(env, 'CHRYS_CLOUD_API_URL')
  const keyFile = env.file(KEY_FILE)
  const secretFile = env.file(SECRET_FILE)
  const timeoutMs = env.integer('CHRYS_CLOUD_TIMEOUT_MS', { min: 100, max: 300_000, fallback: 30_000 })
  const isWanted = annotationsUrl !== undefined || apiUrl !== undefined
  for (const [name, file] of [[KEY_FILE, keyFile] as const, [SECRET_FILE, secretFile] as const]) {
    if (isWanted && file === undefined) env.problem(name, 'is required where a URL of the cloud is set')
  }
  return {
    credentials: isWanted && keyFile !== undefined && secretFile !== undefined ? { keyFile, secretFile, timeoutMs } : undefined,
    annotationsUrl,
    apiUrl: apiUrl?.replace(/\/+$/, ''),
    queue: {
      messagesMax: env.integer('CHRYS_ANNOTATION_QUEUE_MAX', { min: 1, max: 100_000_000, fallback: 100_000 }),
      bytesMax: bytes('CHRYS_ANNOTATION_QUEUE_MAX_BYTES', '128Mi'),
    },
  }
}

/** What is signed must not be read on its way: in the clear only to a server on this machine. */
function endpoint(env: EnvReader, name: string): string | undefined {
  if (env.optional(name) === undefined) return undefined
  const text = env.url(name, ['https:', 'http:'])
  const url = URL.parse(text)
  if (url?.protocol === 'http:' && !isLoopback(url.hostname))
    env.problem(name, 'must begin with https:// (http:// only to this machine itself)')
  if (url?.hash !== undefined && url.hash !== '') env.problem(name, 'must have no #fragment')
  return text
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
