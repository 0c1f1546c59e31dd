import { hostname } from 'node:os'
import { readSettings, serviceConfig, type Env, type ServiceConfig } from '../common/env.ts'
import { SIDECAR } from '../proto/settings.ts'
import type { CameraRef } from '../proto/subjects.ts'
import type { ArchiveConfig } from './archive/archive.ts'
import { readSpec, type SpecConfig } from './spec.ts'

export type SidecarConfig = ServiceConfig &
  Omit<SpecConfig, 'archive' | 'proxy'> & {
    camera: CameraRef & { uid: string; generation: number }
    /** Holder of the camera's lease: the pod's name, the same for each of its containers. */
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
  const { values, problem, done } = readSettings(env, SIDECAR)
  const { CHRYS_CAMERA_NAMESPACE: namespace, CHRYS_CAMERA_NAME: name, CHRYS_CAMERA_SPEC: json, CHRYS_ARCHIVE_DIR: archiveDir } = values
  const spec = json === undefined ? undefined : readSpec(json, values.CHRYS_CAMERA_CA_FILE, reason => problem('CHRYS_CAMERA_SPEC', reason))
  if (spec?.archive !== undefined && archiveDir === undefined) {
    problem('CHRYS_ARCHIVE_DIR', 'is required: spec.archive asks for an archive')
  }
  const deviceId = values.CHRYS_DEVICE_ID ?? name
  // It names a folder too.
  if (deviceId !== name && deviceId !== `${namespace}/${name}`) problem('CHRYS_DEVICE_ID', `must be ${name} or ${namespace}/${name}`)
  done()
  const { archive, proxy, ...rest } = spec as NonNullable<typeof spec>
  return {
    ...serviceConfig(values),
    camera: { namespace, name, uid: values.CHRYS_CAMERA_UID, generation: values.CHRYS_CAMERA_GENERATION },
    holder: values.CHRYS_LEASE_HOLDER ?? hostname(),
    deviceId,
    credentialsDir: values.CHRYS_CREDENTIALS_DIR,
    denyCidrs: values.CHRYS_DENY_CIDRS,
    ...rest,
    archive: archive === undefined ? undefined : { ...archive, dir: archiveDir ?? '' },
    proxy: proxy === undefined ? undefined : { ...proxy, urlFile: values.CHRYS_PROXY_URL_FILE },
  }
}
