// A NATS user as a Secret. It is worked out, not looked up: the operator may create Secrets, and neither read, change nor delete any. So another
// user is another Secret, whose name is unknown before it exists.
import { createHash } from 'node:crypto'
import type { V1OwnerReference, V1Secret } from '@kubernetes/client-node'
import { CREDS } from './secrets.ts'
import type { Times } from './users.ts'

/** Of the Secrets with NATS users: the chart's admission policy lets the operator create no others. */
const TYPE = 'video.chrys.cloud/nats-user'
const DAY_SECONDS = 86_400

/** How long a user is valid, in days. It is replaced when half of that is over. */
export type Validity = { days: number }
export type UserSecret = V1Secret & { metadata: { name: string } }

export type SecretOwner = {
  /** Names of its Secrets begin with it. */
  prefix: string
  namespace: string
  labels: Record<string, string>
  reference: V1OwnerReference
  creationTimestamp: string | undefined
}

/** The owner's user now: the same for the same credentials, to the byte, until half of its validity is over. */
export function userSecret(owner: SecretOwner, credsAt: (times: Times) => string, { days }: Validity, nowMs: number): UserSecret {
  const created = Math.floor((Date.parse(owner.creationTimestamp ?? '') || 0) / 1_000)
  const half = (days * DAY_SECONDS) / 2
  const issuedAt = created + Math.max(0, Math.floor((nowMs / 1_000 - created) / half)) * half
  const creds = credsAt({ issuedAt, expiresAt: issuedAt + 2 * half })
  // Of the credentials, which hold a key: without them the name can't be known.
  const suffix = createHash('sha256').update(creds).digest('hex').slice(0, 10)
  const { prefix, namespace, labels, reference } = owner
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: `${prefix}-nats-${suffix}`, namespace, labels, ownerReferences: [reference] },
    type: TYPE,
    immutable: true,
    data: { [CREDS]: Buffer.from(creds).toString('base64') },
  }
}
