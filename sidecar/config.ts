import * as v from 'valibot'
import { checkCidr } from '../common/cidr.ts'
import { EnvReader, readCommonConfig, type CommonConfig, type Env } from '../common/env.ts'
import { parseBytes, parseDuration, type Storage } from '../proto/camera.ts'
import { CAMERA_NAME_RULE, isCameraName, isNamespace, type CameraRef } from '../proto/subjects.ts'
import { messageOf } from '../common/errors.ts'
import type { ArchiveConfig } from './archive.ts'
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
  archive: ArchiveConfig | undefined
  /** `urlFile`: what holds the RTMP server's URL; it may come, go and change. Undefined: no such server is named. */
  proxy: { enabled: boolean; urlFile: string | undefined } | undefined
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
  archive: v.optional(
    v.object({
      segment: v.optional(v.string(), 'GOP'),
      retention: v.optional(v.string(), '5m'),
      maxBytes: v.optional(v.string()),
    }),
  ),
  proxy: v.optional(v.object({ enabled: v.optional(v.boolean(), false) })),
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
  const archiveDir = reader.optional('CHRYS_ARCHIVE_DIR')
  if (spec?.archive !== undefined && archiveDir === undefined) {
    reader.problem('CHRYS_ARCHIVE_DIR', 'is required: spec.archive asks for an archive')
  }
  const urlFile = reader.optional('CHRYS_PROXY_URL_FILE')
  const deviceId = reader.text('CHRYS_DEVICE_ID', name)
  // It names a folder too.
  if (deviceId !== name && deviceId !== `${namespace}/${name}`) reader.problem('CHRYS_DEVICE_ID', `must be ${name} or ${namespace}/${name}`)
  const config = {
    ...common,
    camera: {
      namespace,
      name,
      uid: reader.text('CHRYS_CAMERA_UID'),
      generation: reader.integer('CHRYS_CAMERA_GENERATION', { min: 0, max: Number.MAX_SAFE_INTEGER, fallback: 1 }),
    },
    deviceId,
    credentialsDir: reader.optional('CHRYS_CREDENTIALS_DIR'),
    denyCidrs: reader.list('CHRYS_DENY_CIDRS', checkCidr),
  }
  reader.done()
  const { archive, proxy, ...rest } = spec as NonNullable<typeof spec>
  return {
    ...config,
    ...rest,
    archive: archive === undefined ? undefined : { ...archive, dir: archiveDir ?? '' },
    proxy: proxy === undefined ? undefined : { ...proxy, urlFile },
  }
}

type SpecConfig = Pick<SidecarConfig, 'source' | 'decoding' | 'buffer'> & {
  archive: Omit<ArchiveConfig, 'dir'> | undefined
  proxy: { enabled: boolean } | undefined
}

function readSpec(value: unknown): SpecConfig {
  const spec = v.parse(Spec, value)
  return {
    source: parseSource(spec.source.url, spec.source.transport),
    decoding: { scale: spec.decoding.scale, maxFps: spec.decoding.maxFps, keyFramesOnly: spec.decoding.keyFramesOnly ?? false },
    buffer: {
      durationMs: parseDuration(spec.buffer.duration ?? '60s'),
      maxBytes: parseBytes(spec.buffer.maxBytes ?? '64Mi'),
      storage: spec.buffer.storage ?? 'Memory',
    },
    archive: spec.archive === undefined ? undefined : readArchive(spec.archive),
    proxy: spec.proxy === undefined ? undefined : { enabled: spec.proxy.enabled ?? false },
  }
}

/** Strict, as files are removed by it: no duration that can't be read, and none that keeps nothing. */
function readArchive({ segment, retention, maxBytes }: v.InferOutput<typeof Spec>['archive'] & {}) {
  const segmentMs = segment === 'GOP' ? undefined : field('spec.archive.segment', () => parseDuration(segment))
  const retentionMs = field('spec.archive.retention', () => parseDuration(retention))
  const bytes = maxBytes === undefined ? undefined : field('spec.archive.maxBytes', () => parseBytes(maxBytes))
  for (const [name, amount] of Object.entries({ segment: segmentMs, retention: retentionMs, maxBytes: bytes })) {
    if (amount === 0) throw new Error(`spec.archive.${name}: must be more than nothing`)
  }
  return { segmentMs, retentionMs, maxBytes: bytes }
}

/** Says which field it is that can't be read. */
function field<T>(name: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new Error(`${name}: ${messageOf(error)}`, { cause: error })
  }
}
