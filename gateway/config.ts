import { availableParallelism, totalmem } from 'node:os'
import { EnvReader, readCommonConfig, type CommonConfig, type Env } from '../common/env.ts'
import { messageOf } from '../common/errors.ts'
import { parseBytes } from '../proto/camera.ts'
import { isNamespace } from '../proto/subjects.ts'
import { readCloudConfig, type CloudConfig } from './annotations/cloud-config.ts'
import { readTlsConfig, type TlsConfig } from './rpc/tls-config.ts'

export type Config = CommonConfig & {
  /** Where a device_id without a namespace is looked for first. */
  namespace: string
  grpc: { host: string; port: number; callsMax: number }
  /** undefined: clients are served in the clear. */
  tls: TlsConfig | undefined
  /** Bytes of frames held for one camera's clients. */
  ringBytesMax: number
  /** The highest rate of a camera's raw frames, in bytes a second, that is decoded in the camera's pod where placement is Auto. */
  rawRateMax: number
  /** Cameras of 1080p whose live frames are decoded here at once. */
  decodersMax: number
  /** Bytes of frames handed to the transport and not yet sent, over all clients. */
  unsentBytesMax: number
  /** Reads of the past of a 1080p camera that are served at once. */
  bufferedReadsMax: number
  cloud: CloudConfig
}

/** A 1080p camera takes a quarter of one. */
const DECODERS_PER_CORE = 4
/** Its ffmpeg and its frames. */
const DECODER_BYTES = 256 * 2 ** 20
/** The ffmpeg of a read of 1080p pictures, and those on their way. */
const READ_BYTES = 192 * 2 ** 20
/** The process itself. */
const OWN_BYTES = 256 * 2 ** 20

/** As many 1080p cameras as this machine, or what the container may have of it, can bear, when all else has taken what it may. */
export function decodersMax(memory: number, cores: number, besides: { unsentBytesMax: number; bufferedReadsMax: number }): number {
  const free = memory - OWN_BYTES - besides.unsentBytesMax - besides.bufferedReadsMax * READ_BYTES
  return Math.max(1, Math.min(DECODERS_PER_CORE * cores, Math.floor(free / DECODER_BYTES)))
}

/** Throws ConfigError naming every problem. */
export function readConfig(variables: Env): Config {
  const env = new EnvReader(variables)
  const bytes = (name: string, fallback: string) => {
    const text = env.text(name, fallback)
    try {
      return parseBytes(text)
    } catch (error) {
      env.problem(name, messageOf(error))
      return 0
    }
  }
  const others = {
    unsentBytesMax: bytes('CHRYS_UNSENT_MAX_BYTES', '512Mi'),
    bufferedReadsMax: env.integer('CHRYS_BUFFERED_READS_MAX', { min: 1, max: 1_000, fallback: 8 }),
  }
  const memory = Math.min(process.constrainedMemory() || Infinity, totalmem())
  const config = {
    ...readCommonConfig(env),
    namespace: env.text('CHRYS_NAMESPACE', 'default'),
    grpc: {
      host: env.text('CHRYS_GRPC_HOST', '0.0.0.0'),
      port: env.port('CHRYS_GRPC_PORT', 50_001),
      callsMax: env.integer('CHRYS_GRPC_MAX_CALLS', { min: 1, max: 100_000, fallback: 1_000 }),
    },
    tls: readTlsConfig(env),
    ringBytesMax: bytes('CHRYS_RING_MAX_BYTES', '128Mi'),
    rawRateMax: env.integer('CHRYS_RAW_FRAMES_MAX_MB', { min: 0, max: 1_000_000, fallback: 48 }) * 1e6,
    decodersMax: env.integer('CHRYS_DECODERS_MAX', { min: 0, max: 1_000, fallback: decodersMax(memory, availableParallelism(), others) }),
    ...others,
    cloud: readCloudConfig(env, bytes),
  }
  if (!isNamespace(config.namespace)) env.problem('CHRYS_NAMESPACE', 'must be a DNS label')
  env.done()
  return config
}
