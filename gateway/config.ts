import { availableParallelism } from 'node:os'
import { readSettings, serviceConfig, type Env, type ServiceConfig } from '../common/env.ts'
import { memoryLimit } from '../common/memory.ts'
import { GATEWAY, type Values } from '../proto/settings.ts'
import { readCloudConfig, type CloudConfig } from './annotations/cloud-config.ts'
import type { HttpConfig } from './http/server.ts'
import { readTlsConfig, type TlsConfig } from './rpc/tls-config.ts'
import { isLoopback } from './shares.ts'

export type Config = ServiceConfig & {
  /** Where a device_id without a namespace is looked for first. */
  namespace: string
  grpc: { host: string; port: number; callsMax: number; reflection: boolean }
  http: HttpConfig
  /** undefined: every client that reaches the port may do everything. */
  access: AccessConfig | undefined
  /** undefined: clients are served in the clear. */
  tls: TlsConfig | undefined
  /** Bytes of frames held for one camera's clients. */
  ringBytesMax: number
  /** The highest rate of a camera's raw frames, in bytes a second, that is decoded in the camera's pod where placement is Auto. */
  rawRateMax: number
  /** Cameras of 1080p at 30 frames a second whose live frames are decoded here at once. */
  decodersMax: number
  /** Bytes of rings, unsent frames, decoders and reads together. */
  memoryMax: number
  /** Bytes of frames handed to the transport and not yet sent, over all clients. */
  unsentBytesMax: number
  /** Reads of the past of a 1080p camera that are served at once. */
  bufferedReadsMax: number
  cloud: CloudConfig
}

export type AccessConfig = { audiences: readonly string[]; kubeconfig: string | undefined }

/** A camera of 1080p at 30 frames a second takes half of one. */
const DECODERS_PER_CORE = 2
/** The process itself. */
const OWN_BYTES = 256 * 2 ** 20
const MEMORY_MIN = 128 * 2 ** 20

export const decodersMax = (cores: number): number => DECODERS_PER_CORE * cores

/** What of the memory limit rings, unsent frames, decoders and reads may take: three quarters but for the process itself, as memory is given back late. */
export const memoryMax = (limit: number): number => Math.max(MEMORY_MIN, Math.floor(limit * 0.75) - OWN_BYTES)

/** Throws ConfigError with every problem. */
export function readConfig(env: Env): Config {
  const reading = readSettings(env, GATEWAY)
  const { values } = reading
  const config = {
    ...serviceConfig(values),
    namespace: values.CHRYS_NAMESPACE,
    grpc: {
      host: values.CHRYS_GRPC_HOST,
      port: values.CHRYS_GRPC_PORT,
      callsMax: values.CHRYS_GRPC_MAX_CALLS,
      reflection: values.CHRYS_GRPC_REFLECTION === '1',
    },
    http: {
      ...{ host: values.CHRYS_HTTP_HOST, port: values.CHRYS_HTTP_PORT, proxies: values.CHRYS_HTTP_PROXIES },
      isTlsElsewhere: values.CHRYS_TLS_TERMINATED_ELSEWHERE === '1',
    },
    access: accessOf(values),
    tls: readTlsConfig(reading),
    ringBytesMax: values.CHRYS_RING_MAX_BYTES,
    rawRateMax: values.CHRYS_RAW_FRAMES_MAX_MB * 1e6,
    decodersMax: values.CHRYS_DECODERS_MAX ?? decodersMax(availableParallelism()),
    memoryMax: values.CHRYS_MEMORY_MAX_BYTES ?? memoryMax(memoryLimit()),
    unsentBytesMax: values.CHRYS_UNSENT_MAX_BYTES,
    bufferedReadsMax: values.CHRYS_BUFFERED_READS_MAX,
    cloud: readCloudConfig(reading),
  }
  if (
    config.access !== undefined &&
    config.tls === undefined &&
    values.CHRYS_TLS_TERMINATED_ELSEWHERE === '0' &&
    !(isLoopback(config.grpc.host) && isLoopback(config.http.host))
  ) {
    reading.problem(
      'CHRYS_ACCESS',
      'tokens must not cross the network in the clear: set CHRYS_TLS_CERT_FILE and CHRYS_TLS_KEY_FILE, or CHRYS_TLS_TERMINATED_ELSEWHERE=1',
    )
  }
  reading.done()
  return config
}

const accessOf = (values: Values<typeof GATEWAY>): AccessConfig | undefined =>
  values.CHRYS_ACCESS === 'none' ? undefined : { audiences: values.CHRYS_ACCESS_AUDIENCES, kubeconfig: values.CHRYS_KUBECONFIG }
