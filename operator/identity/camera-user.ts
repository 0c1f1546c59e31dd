// The keys that NATS users are made with, and each camera's user.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { controllerOf, deploymentName, objectLabels } from '../camera/deployment.ts'
import type { WatchedCamera } from '../kube/kinds.ts'
import { ACCOUNT, OPERATOR_SEED, SIGNING_SEED, SYSTEM } from './secrets.ts'
import type { Keys } from './trust.ts'
import { userSecret, type UserSecret, type Validity } from './user-secret.ts'
import { cameraCreds, type Signing } from './users.ts'

const SIGNING = /^SA[A-Z2-7]{56}$/
const OPERATOR = /^SO[A-Z2-7]{56}$/
const PUBLIC = /^A[A-Z2-7]{55}$/

/** Reads the mounted files, each time, since they may be rotated. Rejects when they are not what `make-identity` writes. */
export async function readSigning(folder: string): Promise<Signing> {
  const [account = '', seed = ''] = await Promise.all([ACCOUNT, SIGNING_SEED].map(name => readFile(join(folder, name), 'utf8')))
  if (!PUBLIC.test(account.trim())) throw new Error(`${ACCOUNT} in ${folder} is no account’s public key`)
  if (!SIGNING.test(seed.trim())) throw new Error(`${SIGNING_SEED} in ${folder} is no account’s seed`)
  return { account: account.trim(), seed: seed.trim() }
}

/** What revoking a user takes more. */
export async function readKeys(folder: string): Promise<Keys> {
  const signing = await readSigning(folder)
  const [operator = '', system = ''] = await Promise.all([OPERATOR_SEED, SYSTEM].map(name => readFile(join(folder, name), 'utf8')))
  if (!OPERATOR.test(operator.trim())) throw new Error(`${OPERATOR_SEED} in ${folder} is no operator’s seed`)
  if (!PUBLIC.test(system.trim())) throw new Error(`${SYSTEM} in ${folder} is no account’s public key`)
  return { ...signing, operator: operator.trim(), system: system.trim() }
}

/** The camera's user now: the same for the same Camera and key until half of its validity is over. */
export function cameraSecret(signing: Signing, camera: WatchedCamera, validity: Validity, nowMs: number): UserSecret {
  const { namespace, name, uid, creationTimestamp } = camera.metadata
  const owner = {
    prefix: deploymentName(camera),
    namespace,
    labels: objectLabels(camera),
    reference: controllerOf(camera),
    creationTimestamp,
  }
  return userSecret(owner, times => cameraCreds(signing, { namespace, name, uid }, times), validity, nowMs)
}
