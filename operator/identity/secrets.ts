// The Secrets that hold a cluster's NATS identity: made where they are missing, completed where something is missing in them, and
// otherwise kept. Two that run at the same time come to the same result.
import type { Logger } from '../../common/log.ts'
import { ignoringMissing, isApiError, MERGE_PATCH, type KubeApi } from '../../common/kube/client.ts'
import { accountsConf, accountsIn, newKeys, newSigningSeed, type Keys } from './trust.ts'
import { roleCreds } from './users.ts'

type Secret = {
  metadata: { name: string; resourceVersion: string; creationTimestamp: string }
  data?: Record<string, string>
}
type Data = Record<string, string>

/** Names in the Secret `PREFIX-nats-signing`; the operator reads them, as files. */
export const OPERATOR_SEED = 'operator.seed'
export const SYSTEM = 'system.pub'
export const ACCOUNT = 'account.pub'
export const SIGNING_SEED = 'signing.seed'
export const CREDS = 'user.creds'
const ACCOUNTS = 'accounts.conf'

export type Place = { namespace: string; prefix: string }
export const secretNames = (prefix: string) => ({
  server: `${prefix}-nats-server`,
  signing: `${prefix}-nats-signing`,
  operator: `${prefix}-nats-operator`,
  gateway: `${prefix}-nats-gateway`,
})

/** Rejects with ApiError or ApiAway; called again, it goes on where it was. */
export async function ensureIdentity(api: KubeApi, { namespace, prefix }: Place, log: Logger): Promise<void> {
  const names = secretNames(prefix)
  const secrets = new SecretStore(api, namespace, log)
  const { keys, issuedAt } = await ensureKeys(secrets, names.signing, names.server, log)
  await secrets.keep(names.server, { [ACCOUNTS]: accountsConf(keys, issuedAt) })
  await secrets.keep(names.operator, { [CREDS]: roleCreds(keys, 'operator', issuedAt) })
  await secrets.keep(names.gateway, { [CREDS]: roleCreds(keys, 'gateway', issuedAt) })
}

/** The keys that are kept, whole; those that were lost are made again, for the same account wherever anything still names it. */
async function ensureKeys(secrets: SecretStore, name: string, server: string, log: Logger): Promise<{ keys: Keys; issuedAt: number }> {
  for (;;) {
    const found = await secrets.read(name)
    const held = found === undefined ? {} : textsOf(found)
    const kept: Partial<Keys> = {
      ...(held[OPERATOR_SEED] && { operator: held[OPERATOR_SEED] }),
      ...(held[SYSTEM] && { system: held[SYSTEM] }),
      ...(held[ACCOUNT] && { account: held[ACCOUNT] }),
      ...(held[SIGNING_SEED] && { seed: held[SIGNING_SEED] }),
    }
    const { operator, system, account, seed } = kept
    const isWhole = operator !== undefined && system !== undefined && account !== undefined && seed !== undefined
    if (found !== undefined && isWhole) {
      return { keys: { operator, system, account, seed }, issuedAt: Math.floor(Date.parse(found.metadata.creationTimestamp) / 1_000) }
    }
    const known = account === undefined || system === undefined ? await accountsOf(secrets, server) : undefined
    const keys = { ...newKeys(known), ...kept, seed: seed ?? newSigningSeed() }
    const missing = Object.entries({ operator, system, account, seed }).flatMap(([key, value]) => (value === undefined ? [key] : []))
    log.info({ secret: name, made: missing, account: keys.account }, 'created missing NATS keys')
    const data = { [OPERATOR_SEED]: keys.operator, [SYSTEM]: keys.system, [ACCOUNT]: keys.account, [SIGNING_SEED]: keys.seed }
    await secrets.write(name, data, found) // the quicker one counts: read again
  }
}

async function accountsOf(secrets: SecretStore, server: string): Promise<{ account: string; system: string } | undefined> {
  const secret = await secrets.read(server)
  return secret === undefined ? undefined : accountsIn(textsOf(secret)[ACCOUNTS] ?? '')
}

const textsOf = ({ data = {} }: Secret): Data =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))

/** Secrets of one namespace, of which the API server lets us read and change those that the Role names. */
export class SecretStore {
  readonly #api: KubeApi
  readonly #path: string
  readonly #log: Logger

  constructor(api: KubeApi, namespace: string, log: Logger) {
    this.#api = api
    this.#path = `/api/v1/namespaces/${namespace}/secrets`
    this.#log = log
  }

  read(name: string): Promise<Secret | undefined> {
    return ignoringMissing(this.#api.request<Secret>('GET', `${this.#path}/${name}`))
  }

  /** Its data as text; empty for one that does not exist. */
  async texts(name: string): Promise<Data> {
    const found = await this.read(name)
    return found === undefined ? {} : textsOf(found)
  }

  /** Makes it so, where it is not. Two that want the same don't disturb each other. */
  async keep(name: string, data: Data): Promise<void> {
    for (;;) {
      const found = await this.read(name)
      const held = found === undefined ? undefined : textsOf(found)
      if (held !== undefined && Object.entries(data).every(([key, value]) => held[key] === value)) {
        return this.#log.info({ secret: name }, 'unchanged')
      }
      if (await this.write(name, data, found)) return
    }
  }

  /** False when another made or changed it since it was read. */
  async write(name: string, data: Data, found: Secret | undefined): Promise<boolean> {
    const encoded = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]))
    const labels = { 'app.kubernetes.io/part-of': 'chrysalis-edge', 'app.kubernetes.io/component': 'nats-identity' }
    try {
      if (found === undefined) {
        const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name, labels }, type: 'Opaque', data: encoded }
        await this.#api.request('POST', this.#path, { body })
      } else {
        const { resourceVersion } = found.metadata
        const body = { metadata: { resourceVersion }, data: encoded }
        await this.#api.request('PATCH', `${this.#path}/${name}`, { body, contentType: MERGE_PATCH })
      }
    } catch (error) {
      if (isApiError(error, 409)) return false
      throw error
    }
    this.#log.info({ secret: name }, found === undefined ? 'made' : 'changed')
    return true
  }
}
