// The settings of a camera's sidecar: the same variables and files that it gets in a pod.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toEnv } from '../../common/env.ts'
import type { Camera } from '../../proto/camera.ts'
import type { SERVICE, SIDECAR } from '../../proto/settings.ts'
import { refText } from '../../proto/subjects.ts'
import type { Secret } from './secrets.ts'

/** Where a camera's files are. `secrets` must be a folder that no other user may read. */
export type Folders = { secrets: string; archives: string }

/** Our namespace in local mode: that of a Camera which names none. */
export const NAMESPACE = 'default'

export const deviceId = ({ metadata }: Camera): string =>
  metadata.namespace === NAMESPACE ? metadata.name : refText({ namespace: metadata.namespace, name: metadata.name })

/** Writes the camera's secret files, as a volume of the pod would hold them: what is missing in the Secrets is missing there. */
export async function sidecarEnv(camera: Camera, secrets: readonly Secret[], folders: Folders): Promise<Record<string, string>> {
  const { metadata, spec } = camera
  const own = join(folders.secrets, `${metadata.namespace}.${metadata.name}`)
  const find = (name: string, kind: Secret['kind'] = 'Secret') =>
    secrets.find(each => each.kind === kind && each.name === name && each.namespace === metadata.namespace)
  await mkdir(own, { mode: 0o700 })
  return toEnv<Omit<typeof SIDECAR, keyof typeof SERVICE>>({
    CHRYS_CAMERA_NAMESPACE: metadata.namespace,
    CHRYS_CAMERA_NAME: metadata.name,
    CHRYS_CAMERA_UID: metadata.uid,
    CHRYS_CAMERA_GENERATION: metadata.generation,
    CHRYS_CAMERA_SPEC: JSON.stringify(spec),
    CHRYS_DEVICE_ID: deviceId(camera),
    CHRYS_CREDENTIALS_DIR: spec.source.credentialsSecretRef && (await writeCredentials(own, find(spec.source.credentialsSecretRef.name))),
    CHRYS_CAMERA_CA_FILE: await writeAuthority(own, spec.source.tls, find),
    CHRYS_PROXY_URL_FILE:
      spec.proxy?.urlSecretRef && (await writeTarget(own, spec.proxy.urlSecretRef.key, find(spec.proxy.urlSecretRef.name))),
    CHRYS_ARCHIVE_DIR:
      spec.archive && (await makeArchive(spec.archive.volume.hostPath?.path ?? join(folders.archives, metadata.namespace))),
  })
}

async function writeCredentials(own: string, secret: Secret | undefined): Promise<string> {
  const folder = join(own, 'credentials')
  await mkdir(folder, { mode: 0o700 })
  for (const key of ['username', 'password']) await writeKey(join(folder, key), secret?.data.get(key))
  return folder
}

async function writeTarget(own: string, key: string, secret: Secret | undefined): Promise<string> {
  const file = join(own, 'proxy-url')
  await writeKey(file, secret?.data.get(key))
  return file
}

async function writeAuthority(
  own: string,
  tls: Camera['spec']['source']['tls'],
  find: (name: string, kind: Secret['kind']) => Secret | undefined,
): Promise<string | undefined> {
  const { caSecretRef, caConfigMapRef } = tls ?? {}
  const from = caSecretRef ?? caConfigMapRef
  if (from === undefined) return undefined
  const file = join(own, 'ca.crt')
  await writeKey(file, find(from.name, caSecretRef === undefined ? 'ConfigMap' : 'Secret')?.data.get(from.key))
  return file
}

async function makeArchive(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  return folder
}

async function writeKey(path: string, value: Buffer | undefined): Promise<void> {
  if (value !== undefined) await writeFile(path, value, { mode: 0o600, flag: 'wx' })
}
