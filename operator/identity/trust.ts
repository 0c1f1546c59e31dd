// What nats-server trusts: an operator, our account, and the system account that it needs.
import { createAccount, createOperator, decode } from '@nats-io/jwt'
import { keyOf, seedOf, sign } from './keys.ts'
import type { Signing } from './users.ts'

/**
 * What is kept. The account's own key is not: it signs nothing. JetStream keeps streams by the account's public key, so that outlives all
 * others. The operator's key opens nothing as long as the server reads its accounts from a file.
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

/** Lines for nats-server's configuration. `issuedAt`: seconds since the epoch. */
export function accountsConf({ operator, account, system, seed }: Keys, issuedAt: number): string {
  const key = keyOf(operator)
  const accountToken = (subject: string, name: string, rest: Record<string, unknown>) =>
    sign({ name, subject, issuedAt, nats: { type: 'account', ...rest } }, key)
  const operatorToken = sign(
    { name: 'chrysalis-edge', subject: key.getPublicKey(), issuedAt, nats: { type: 'operator', system_account: system } },
    key,
  )
  const signingKey = keyOf(seed).getPublicKey()
  return `# Made by operator/make-identity.ts, and kept as it makes it: changes here are undone.
operator: "${operatorToken}"
system_account: "${system}"
resolver: MEMORY
resolver_preload: {
  "${account}": "${accountToken(account, 'chrysalis-edge', { limits: { ...LIMITS, ...JETSTREAM }, signing_keys: [signingKey] })}"
  "${system}": "${accountToken(system, 'SYS', { limits: LIMITS })}"
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
