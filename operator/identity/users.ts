// Users of NATS: one for each process, that may use its own subjects only (proto/permissions.ts).
import { cameraPermissions, discoveryPermissions, rolePermissions, type Permissions, type Role } from '../../proto/permissions.ts'
import { refText, type CameraRef } from '../../proto/subjects.ts'
import { credsFile, deriveUserKey, keyOf, sign } from './keys.ts'

/** What users are made with. */
export type Signing = {
  /** The account's public key. */
  account: string
  /** The seed of the account's signing key. */
  seed: string
}

const UNLIMITED = -1

/** The user of the operator or the gateway. `issuedAt`: seconds since the epoch. */
export const roleCreds = (signing: Signing, role: Role, issuedAt: number): string =>
  userCreds(signing, role, role, rolePermissions(role), issuedAt)

/** The user of one camera's pod: another one for a Camera that was made anew. `issuedAt`: seconds since the epoch. */
export const cameraCreds = (signing: Signing, camera: CameraRef & { uid: string }, issuedAt: number): string =>
  userCreds(signing, `camera ${refText(camera)}`, `camera ${refText(camera)} ${camera.uid}`, cameraPermissions(camera), issuedAt)

/** The user of one CameraDiscovery's pod. `issuedAt`: seconds since the epoch. */
export const discoveryCreds = (signing: Signing, discovery: CameraRef & { uid: string }, issuedAt: number): string => {
  const purpose = `discovery ${refText(discovery)}`
  return userCreds(signing, purpose, `${purpose} ${discovery.uid}`, discoveryPermissions(discovery), issuedAt)
}

function userCreds({ account, seed }: Signing, name: string, purpose: string, permissions: Permissions, issuedAt: number): string {
  const key = deriveUserKey(seed, purpose)
  const limits = { subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED }
  const nats = { type: 'user' as const, issuer_account: account, ...permissions, ...limits }
  return credsFile(sign({ name, subject: key.getPublicKey(), issuedAt, nats }, keyOf(seed)), key)
}
