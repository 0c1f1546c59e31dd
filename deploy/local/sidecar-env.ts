// What a camera's process is told: the same variables and files that it gets in a pod.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Camera } from '../../proto/camera.ts'
import { refText } from '../../proto/subjects.ts'
import type { Secret } from './secrets.ts'

/** Where a camera's files are. `secrets` must be a folder that nobody else may read. */
export type Folders = { secrets: string; archives: string }

/** Our namespace in local mode: that of a Camera which names none. */
export const NAMESPACE = 'default'

export const deviceId = ({ metadata }: Camera): string =>
  metadata.namespace === NAMESPACE ? metadata.name : refText({ namespace: metadata.namespace, name: metadata.name })

/** Writes the camera's secret files, as a volume of the pod would hold them: what is missing in the Secrets is missing there. */
export async function sidecarEnv(camera: Camera, secrets: readonly Secret[], folders: Folders): Promise<Record<string, string>> {
  const { metadata, spec } = camera
  const own = join(folders.secrets, `${metadata.namespace}.${metadata.name}`)
  const find = (name: string) => secrets.find(secret => secret.name === name && secret.namespace === metadata.namespace)
  await mkdir(own, { mode: 0o700 })
  const env: Record<string, string> = {
    CHRYS_CAMERA_NAMESPACE: metadata.namespace,
    CHRYS_CAMERA_NAME: metadata.name,
    CHRYS_CAMERA_UID: metadata.uid,
    CHRYS_CAMERA_GENERATION: String(metadata.generation),
    CHRYS_CAMERA_SPEC: JSON.stringify(spec),
    CHRYS_DEVICE_ID: deviceId(camera),
  }
  if (spec.source.credentialsSecretRef !== undefined) {
    const folder = join(own, 'credentials')
    await mkdir(folder, { mode: 0o700 })
    const secret = find(spec.source.credentialsSecretRef.name)
    for (const key of ['username', 'password']) await writeKey(join(folder, key), secret?.data.get(key))
    env['CHRYS_CREDENTIALS_DIR'] = folder
  }
  if (spec.proxy?.urlSecretRef !== undefined) {
    const { name, key } = spec.proxy.urlSecretRef
    env['CHRYS_PROXY_URL_FILE'] = join(own, 'proxy-url')
    await writeKey(env['CHRYS_PROXY_URL_FILE'], find(name)?.data.get(key))
  }
  if (spec.archive !== undefined) {
    const folder = spec.archive.volume.hostPath?.path ?? join(folders.archives, metadata.namespace)
    await mkdir(folder, { recursive: true })
    env['CHRYS_ARCHIVE_DIR'] = folder
  }
  return env
}

async function writeKey(path: string, value: Buffer | undefined): Promise<void> {
  if (value !== undefined) await writeFile(path, value, { mode: 0o600, flag: 'wx' })
}
