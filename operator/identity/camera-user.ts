// Each camera's NATS user, as a Secret beside its Deployment. It is worked out, not looked up: the operator reads no Secrets.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { V1Secret } from '@kubernetes/client-node'
import { cameraPermissions } from '../../proto/permissions.ts'
import { controllerOf, objectLabels, userSecretName } from '../camera/deployment.ts'
import type { WatchedCamera } from '../kube/kinds.ts'
import { ACCOUNT, CREDS, SIGNING_SEED } from './secrets.ts'
import { cameraCreds, type Signing } from './users.ts'

const SIGNING = /^SA[A-Z2-7]{56}$/
const PUBLIC = /^A[A-Z2-7]{55}$/

/** Reads the mounted files, each time, since they may be rotated. Rejects when they are not what `make-identity` writes. */
export async function readSigning(folder: string): Promise<Signing> {
  const [account = '', seed = ''] = await Promise.all([ACCOUNT, SIGNING_SEED].map(name => readFile(join(folder, name), 'utf8')))
  if (!PUBLIC.test(account.trim())) throw new Error(`${ACCOUNT} in ${folder} is no account’s public key`)
  if (!SIGNING.test(seed.trim())) throw new Error(`${SIGNING_SEED} in ${folder} is no account’s seed`)
  return { account: account.trim(), seed: seed.trim() }
}

/** Another one when the camera's user would be another. Tells nothing of the key. */
export function userFingerprint({ account, seed }: Signing, { metadata: { namespace, name, uid } }: WatchedCamera): string {
  const permissions = cameraPermissions({ namespace, name })
  return createHash('sha256')
    .update(JSON.stringify([account, seed, uid, permissions]))
    .digest('hex')
}

/** The same for the same Camera and key, to the byte. */
export function cameraSecret(signing: Signing, camera: WatchedCamera): V1Secret {
  const { namespace, name, uid, creationTimestamp = '' } = camera.metadata
  const issuedAt = Math.floor((Date.parse(creationTimestamp) || 0) / 1_000)
  const creds = cameraCreds(signing, { namespace, name, uid }, issuedAt)
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: userSecretName(camera), namespace, labels: objectLabels(camera), ownerReferences: [controllerOf(camera)] },
    type: 'Opaque',
    data: { [CREDS]: Buffer.from(creds).toString('base64') },
  }
}
