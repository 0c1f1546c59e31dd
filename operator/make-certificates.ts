// Makes the certificates of the gateway and of NATS' servers, with an authority of its own (docs/install.md), and renews the gateway's. Run at
// each installation and upgrade, and every day; it changes nothing that need not change.
import { messageOf } from '../common/errors.ts'
import { createLog } from '../common/log.ts'
import { readSettings, logConfig } from '../common/env.ts'
import { runProcess, sleep } from '../common/abort.ts'
import { ApiAway, ApiError, KubeApi } from '../common/kube/client.ts'
import { MAKE_CERTIFICATES } from '../proto/settings.ts'
import { isUsableAuthority, needsRenewal, newAuthority, newServerCertificate, type Pair, type Server } from './identity/certificates.ts'
import { SecretStore } from './identity/secrets.ts'

const DEADLINE_MS = 120_000
const RETRY_MS = 2_000

await runProcess(process.env, async signal => {
  const { values, done } = readSettings(process.env, MAKE_CERTIFICATES)
  done()
  const log = await createLog('make-certificates', logConfig(values))
  const secrets = new SecretStore(new KubeApi(values.CHRYS_KUBECONFIG), values.CHRYS_NAMESPACE, log)
  const servers: Servers = {
    'gateway-tls': { names: values.CHRYS_CERTIFICATE_NAMES },
    'nats-tls': { names: values.CHRYS_NATS_CERTIFICATE_NAMES, isNats: true },
  }
  const ends = performance.now() + DEADLINE_MS
  for (;;) {
    try {
      await ensure(secrets, values.CHRYS_IDENTITY_PREFIX, servers)
      return log.info({ servers }, 'the certificates are valid')
    } catch (error) {
      const passes = error instanceof ApiAway || (error instanceof ApiError && (error.code === 429 || error.code >= 500))
      if (!passes || performance.now() > ends) throw error
      log.warn({ error: messageOf(error) }, 'trying again')
      await sleep(RETRY_MS, signal)
      signal.throwIfAborted()
    }
  }
})

/** By the ends of their Secrets' names. */
type Servers = Record<string, Server>

async function ensure(secrets: SecretStore, prefix: string, servers: Servers): Promise<void> {
  const nowMs = Date.now()
  const held = await secrets.texts(`${prefix}-ca`)
  const found = pairIn(held)
  const authority = isUsableAuthority(found, nowMs) ? found : newAuthority(nowMs)
  if (authority !== found) await secrets.keep(`${prefix}-ca`, { 'tls.crt': authority.cert, 'tls.key': authority.key })
  for (const [suffix, server] of Object.entries(servers)) {
    const name = `${prefix}-${suffix}`
    if (server.names.length === 0 || !needsRenewal(pairIn(await secrets.texts(name)), authority, server, nowMs)) continue
    const { cert, key } = newServerCertificate(authority, server, nowMs)
    await secrets.keep(name, { 'tls.crt': cert, 'tls.key': key, 'ca.crt': authority.cert })
  }
}

function pairIn(texts: Record<string, string>): Partial<Pair> {
  const { 'tls.crt': cert, 'tls.key': key } = texts
  return { ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) }
}
