// Users of NATS: one for each process, that may use its own subjects only (proto/permissions.ts).
import { cameraPermissions, discoveryPermissions, rolePermissions, type Permissions, type Role } from '../../proto/permissions.ts'
import { refText, type CameraRef } from '../../proto/subjects.ts'
import { credsFile, deriveUserKey, keyOf, sign } from './keys.ts'
import { claimsSubject } from './trust.ts'

/** What users are made with. */
export type Signing = {
  /** The account's public key. */
  account: string
  /** The seed of the account's signing key. */
  seed: string
}

/** Seconds since the epoch. */
export type Times = { issuedAt: number; expiresAt?: number }

const UNLIMITED = { subs: -1, data: -1, payload: -1 }
/** A sidecar has a handful of subscriptions. Larger frames than this cross NATS in parts (the chart's max_payload). */
const POD_LIMITS = { subs: 32, data: -1, payload: 8 * 2 ** 20 }

/** The user of the operator or the gateway. `issuedAt`: seconds since the epoch. */
export const roleCreds = (signing: Signing, role: Role, issuedAt: number): string =>
  userCreds(signing, role, role, { ...rolePermissions(role), ...UNLIMITED }, { issuedAt })

/** The user of one camera's pod: another one for a Camera that was made again. */
export const cameraCreds = (signing: Signing, camera: CameraRef & { uid: string }, times: Times): string =>
  podCreds(signing, 'camera', camera, cameraPermissions(camera), times)

/** The user of one CameraDiscovery's pod. */
export const discoveryCreds = (signing: Signing, discovery: CameraRef & { uid: string }, times: Times): string =>
  podCreds(signing, 'discovery', discovery, discoveryPermissions(discovery), times)

const podCreds = (signing: Signing, what: string, ref: CameraRef & { uid: string }, permissions: Permissions, times: Times): string => {
  const name = `${what} ${refText(ref)}`
  return userCreds(signing, name, `${name} ${ref.uid}`, { ...permissions, ...POD_LIMITS }, times)
}

/** The public key of a camera's user. */
export const cameraUser = ({ seed }: Signing, camera: CameraRef & { uid: string }): string =>
  deriveUserKey(seed, `camera ${refText(camera)} ${camera.uid}`).getPublicKey()

/** A user of the system account, who may change the claims of ours and nothing else. */
export function systemCreds({ account, system, seed }: Signing & { system: string }): string {
  const inbox = '_INBOX.operator-of-the-system.>'
  const permissions = { pub: { allow: [claimsSubject(account)] }, sub: { allow: [inbox] } }
  return userCreds({ account: system, seed }, 'operator, of the system', 'system', { ...permissions, ...UNLIMITED }, { issuedAt: 1 })
}

type Allowed = Permissions & { subs: number; data: number; payload: number }

function userCreds({ account, seed }: Signing, name: string, purpose: string, allowed: Allowed, times: Times): string {
  const key = deriveUserKey(seed, purpose)
  const nats = { type: 'user' as const, issuer_account: account, ...allowed }
  return credsFile(sign({ name, subject: key.getPublicKey(), ...times, nats }, keyOf(seed)), key)
}
