// What nats-server trusts: an operator, our account, and the system account that it needs.
import { createAccount, createOperator, decode } from '@nats-io/jwt'
import { keyOf, seedOf, sign } from './keys.ts'
import type { Signing } from './users.ts'

/**
 * What is kept. The account's own key is not: it signs nothing. JetStream keeps streams by the account's public key, so that outlives all
 * others. With the operator's key and a user of the system account a running server takes new claims of an account: so users are revoked.
 */
export type Keys = Signing & {
  /** The seed of the operator's key, which signs accounts. */
  operator: string
  /** The system account's public key. */
  system: string
}

/** New keys; the accounts that there are already stay what they are. */
export function newKeys({ account, system }: { account?: string; system?: string } = {}): Keys {
  return {
    operator: seedOf(createOperator()),
    account: account ?? createAccount().getPublicKey(),
    system: system ?? createAccount().getPublicKey(),
    seed: newSigningSeed(),
  }
}

export const newSigningSeed = (): string => seedOf(createAccount())

const UNLIMITED = -1
const LIMITS = {
  ...{ subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED, conn: UNLIMITED, imports: UNLIMITED, exports: UNLIMITED },
  wildcards: true,
  disallow_bearer: true,
}
/** The server's own quotas bound it. */
const JETSTREAM = { mem_storage: UNLIMITED, disk_storage: UNLIMITED, streams: UNLIMITED, consumer: UNLIMITED }

/** Where a running server takes an account's claims. */
export const claimsSubject = (account: string): string => `$SYS.REQ.ACCOUNT.${account}.CLAIMS.UPDATE`

/** The claims of our account. `issuedAt`: seconds since the epoch. `revocations`: by a user's public key, of tokens issued until then. */
export function accountToken({ operator, account, seed }: Keys, issuedAt: number, revocations: Record<string, number> = {}): string {
  const revoked = Object.keys(revocations).length === 0 ? {} : { revocations }
  const claims = { limits: { ...LIMITS, ...JETSTREAM }, signing_keys: [keyOf(seed).getPublicKey()], ...revoked }
  return sign({ name: 'chrysalis-edge', subject: account, issuedAt, nats: { type: 'account', ...claims } }, keyOf(operator))
}

/** Lines for nats-server's configuration. `issuedAt`: seconds since the epoch. */
export function accountsConf(keys: Keys, issuedAt: number): string {
  const { operator, account, system, seed } = keys
  const key = keyOf(operator)
  const operatorToken = sign(
    { name: 'chrysalis-edge', subject: key.getPublicKey(), issuedAt, nats: { type: 'operator', system_account: system } },
    key,
  )
  const systemClaims = { type: 'account' as const, limits: LIMITS, signing_keys: [keyOf(seed).getPublicKey()] }
  const systemToken = sign({ name: 'SYS', subject: system, issuedAt, nats: systemClaims }, key)
  return `# Made by operator/make-identity.ts, and kept as it makes it: changes here are undone.
operator: "${operatorToken}"
system_account: "${system}"
resolver: MEMORY
resolver_preload: {
  "${account}": "${accountToken(keys, issuedAt)}"
  "${system}": "${systemToken}"
}
`
}

/** The accounts that a configuration of ours names; undefined where it names none. */
export function accountsIn(conf: string): { account: string; system: string } | undefined {
  const tokens = [...conf.matchAll(/"(A[A-Z2-7]{55})": "(ey[\w.-]+)"/g)]
  const named = (name: string) => tokens.find(([, subject, token]) => isTokenOf(token as string, subject as string, name))?.[1]
  const account = named('chrysalis-edge')
  const system = named('SYS')
  return account === undefined || system === undefined ? undefined : { account, system }
}

function isTokenOf(token: string, subject: string, name: string): boolean {
  try {
    const claims = decode(token)
    return claims.sub === subject && claims.name === name
  } catch {
    return false
  }
}
