// Makes and renews the gateway's certificate, with an authority of its own (docs/install.md). Run at each installation and upgrade, and every
// day; it changes nothing that need not change.
import { messageOf } from '../common/errors.ts'
import { createLog } from '../common/log.ts'
import { readSettings, logConfig } from '../common/env.ts'
import { runProcess, sleep } from '../common/abort.ts'
import { ApiAway, ApiError, KubeApi } from '../common/kube/client.ts'
import { MAKE_CERTIFICATES } from '../proto/settings.ts'
import { isUsableAuthority, needsRenewal, newAuthority, newServerCertificate, type Pair } from './identity/certificates.ts'
import { SecretStore } from './identity/secrets.ts'

const DEADLINE_MS = 120_000
const RETRY_MS = 2_000

await runProcess(process.env, async signal => {
  const { values, done } = readSettings(process.env, MAKE_CERTIFICATES)
  done()
  const log = await createLog('make-certificates', logConfig(values))
  const secrets = new SecretStore(new KubeApi(values.CHRYS_KUBECONFIG), values.CHRYS_NAMESPACE, log)
  const ends = performance.now() + DEADLINE_MS
  for (;;) {
    try {
      await ensure(secrets, values.CHRYS_IDENTITY_PREFIX, values.CHRYS_CERTIFICATE_NAMES)
      return log.info({ names: values.CHRYS_CERTIFICATE_NAMES }, 'the certificate is valid')
    } catch (error) {
      const passes = error instanceof ApiAway || (error instanceof ApiError && (error.code === 429 || error.code >= 500))
      if (!passes || performance.now() > ends) throw error
      log.warn({ error: messageOf(error) }, 'trying again')
      await sleep(RETRY_MS, signal)
      signal.throwIfAborted()
    }
  }
})

async function ensure(secrets: SecretStore, prefix: string, names: readonly string[]): Promise<void> {
  const nowMs = Date.now()
  const held = await secrets.texts(`${prefix}-ca`)
  const found = pairIn(held)
  const authority = isUsableAuthority(found, nowMs) ? found : newAuthority(nowMs)
  if (authority !== found) await secrets.keep(`${prefix}-ca`, { 'tls.crt': authority.cert, 'tls.key': authority.key })
  const server = pairIn(await secrets.texts(`${prefix}-gateway-tls`))
  if (!needsRenewal(server, authority, names, nowMs)) return
  const { cert, key } = newServerCertificate(authority, names, nowMs)
  await secrets.keep(`${prefix}-gateway-tls`, { 'tls.crt': cert, 'tls.key': key, 'ca.crt': authority.cert })
}

function pairIn(texts: Record<string, string>): Partial<Pair> {
  const { 'tls.crt': cert, 'tls.key': key } = texts
  return { ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) }
}
