import * as v from 'valibot'
import { EnvReader, readCommonConfig, type CommonConfig, type Env } from '../common/env.ts'
import { parseBytes, parseDuration, type Storage } from '../proto/camera.ts'
import { CAMERA_NAME_RULE, isCameraName, isNamespace, type CameraRef } from '../proto/subjects.ts'
import { checkCidr } from './address.ts'
import { parseSource, type Source } from './source.ts'

export type SidecarConfig = CommonConfig & {
  camera: CameraRef & { uid: string; generation: number }
  /** What VideoFrame.device_id says. */
  deviceId: string
  source: Source
  /** A folder with the files `username` and `password`; undefined: the camera wants none. */
  credentialsDir: string | undefined
  denyCidrs: readonly string[]
  decoding: { scale: string | undefined; maxFps: number | undefined; keyFramesOnly: boolean }
  buffer: { durationMs: number; maxBytes: number; storage: Storage }
}

const optionalText = v.optional(v.pipe(v.string(), v.maxLength(64)))

/** The part of CameraSpec that this process acts on; the schema proper has been applied before it comes here. */
const Spec = v.object({
  source: v.object({ url: v.string(), transport: v.optional(v.picklist(['tcp', 'udp']), 'tcp') }),
  decoding: v.optional(
    v.object({
      scale: optionalText,
      maxFps: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(1000))),
      keyFramesOnly: v.optional(v.boolean(), false),
    }),
    {},
  ),
  buffer: v.optional(
    v.object({
      duration: v.optional(v.string(), '60s'),
      maxBytes: v.optional(v.string(), '64Mi'),
      storage: v.optional(v.picklist(['Memory', 'File']), 'Memory'),
    }),
    {},
  ),
})

/** Throws ConfigError with every problem. */
export function readConfig(env: Env): SidecarConfig {
  const reader = new EnvReader(env)
  const common = readCommonConfig(reader)
  const namespace = reader.text('CHRYS_CAMERA_NAMESPACE')
  const name = reader.text('CHRYS_CAMERA_NAME')
  if (namespace !== '' && !isNamespace(namespace)) reader.problem('CHRYS_CAMERA_NAMESPACE', 'must be a DNS label')
  if (name !== '' && !isCameraName(name)) reader.problem('CHRYS_CAMERA_NAME', CAMERA_NAME_RULE)
  const spec = reader.json('CHRYS_CAMERA_SPEC', value => readSpec(value))
  const config = {
    ...common,
    camera: {
      namespace,
      name,
      uid: reader.text('CHRYS_CAMERA_UID'),
      generation: reader.integer('CHRYS_CAMERA_GENERATION', { min: 0, max: Number.MAX_SAFE_INTEGER, fallback: 1 }),
    },
    deviceId: reader.text('CHRYS_DEVICE_ID', name),
    credentialsDir: reader.optional('CHRYS_CREDENTIALS_DIR'),
    denyCidrs: reader.list('CHRYS_DENY_CIDRS', checkCidr),
  }
  reader.done()
  return { ...config, ...(spec as NonNullable<typeof spec>) }
}

function readSpec(value: unknown): Pick<SidecarConfig, 'source' | 'decoding' | 'buffer'> {
  const spec = v.parse(Spec, value)
  return {
    source: parseSource(spec.source.url, spec.source.transport),
    decoding: { scale: spec.decoding.scale, maxFps: spec.decoding.maxFps, keyFramesOnly: spec.decoding.keyFramesOnly ?? false },
    buffer: {
      durationMs: parseDuration(spec.buffer.duration ?? '60s'),
      maxBytes: parseBytes(spec.buffer.maxBytes ?? '64Mi'),
      storage: spec.buffer.storage ?? 'Memory',
    },
  }
}
