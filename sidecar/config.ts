import { hostname } from 'node:os'
import { checkCidr } from '../common/cidr.ts'
import { EnvReader, readCommonConfig, type CommonConfig, type Env } from '../common/env.ts'
import { CAMERA_NAME_RULE, isCameraName, isNamespace, type CameraRef } from '../proto/subjects.ts'
import type { ArchiveConfig } from './archive/archive.ts'
import { readSpec, type SpecConfig } from './spec.ts'

export type SidecarConfig = CommonConfig &
  Omit<SpecConfig, 'archive' | 'proxy'> & {
    camera: CameraRef & { uid: string; generation: number }
    /** Who holds the camera's lease: the pod's name, the same for each of its containers. */
    holder: string
    /** What VideoFrame.device_id says. */
    deviceId: string
    /** A folder with the files `username` and `password`; undefined: the camera wants none. */
    credentialsDir: string | undefined
    denyCidrs: readonly string[]
    archive: ArchiveConfig | undefined
    /** `urlFile`: what holds the RTMP server's URL; it may come, go and change. Undefined: no such server is named. */
    proxy: { enabled: boolean; urlFile: string | undefined } | undefined
  }

/** Throws ConfigError with every problem. */
export function readConfig(env: Env): SidecarConfig {
  const reader = new EnvReader(env)
  const common = readCommonConfig(reader)
  const namespace = reader.text('CHRYS_CAMERA_NAMESPACE')
  const name = reader.text('CHRYS_CAMERA_NAME')
  if (namespace !== '' && !isNamespace(namespace)) reader.problem('CHRYS_CAMERA_NAMESPACE', 'must be a DNS label')
  if (name !== '' && !isCameraName(name)) reader.problem('CHRYS_CAMERA_NAME', CAMERA_NAME_RULE)
  const json: unknown = reader.json('CHRYS_CAMERA_SPEC', value => value)
  const spec = json === undefined ? undefined : readSpec(json, reason => reader.problem('CHRYS_CAMERA_SPEC', reason))
  const archiveDir = reader.optional('CHRYS_ARCHIVE_DIR')
  if (spec?.archive !== undefined && archiveDir === undefined) {
    reader.problem('CHRYS_ARCHIVE_DIR', 'is required: spec.archive asks for an archive')
  }
  const urlFile = reader.optional('CHRYS_PROXY_URL_FILE')
  const deviceId = reader.text('CHRYS_DEVICE_ID', name)
  // It names a folder too.
  if (deviceId !== name && deviceId !== `${namespace}/${name}`) reader.problem('CHRYS_DEVICE_ID', `must be ${name} or ${namespace}/${name}`)
  const uid = reader.text('CHRYS_CAMERA_UID')
  if (uid.length > 64) reader.problem('CHRYS_CAMERA_UID', 'must be at most 64 characters')
  const holder = reader.text('CHRYS_LEASE_HOLDER', hostname())
  if (holder.length > 253) reader.problem('CHRYS_LEASE_HOLDER', 'must be at most 253 characters')
  const config = {
    ...common,
    camera: {
      namespace,
      name,
      uid,
      generation: reader.integer('CHRYS_CAMERA_GENERATION', { min: 0, max: Number.MAX_SAFE_INTEGER, fallback: 1 }),
    },
    holder,
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
