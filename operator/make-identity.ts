// Makes what NATS' users are recognized by, and keeps it: the Secrets of nats-server, the operator and the gateway (docs/nats.md). Run
// before each installation and upgrade; running it again changes nothing that need not change.
import { logConfig, readSettings } from '../common/env.ts'
import { createLog } from '../common/log.ts'
import { messageOf } from '../common/errors.ts'
import { runProcess, sleep, Stopped } from '../common/abort.ts'
import { MAKE_IDENTITY } from '../proto/settings.ts'
import { ApiAway, ApiError, KubeApi } from '../common/kube/client.ts'
import { ensureIdentity, secretNames } from './identity/secrets.ts'

const DEADLINE_MS = 120_000
const RETRY_MS = 2_000

await runProcess(process.env, async signal => {
  const { kubeconfig, place, ...config } = readConfig()
  const log = await createLog('make-identity', config.log)
  const api = new KubeApi(kubeconfig)
  const ends = performance.now() + DEADLINE_MS
  for (; !signal.aborted; await sleep(RETRY_MS, signal)) {
    try {
      await ensureIdentity(api, place, log)
      log.info({ ...place, secrets: Object.values(secretNames(place.prefix)) }, 'the NATS identity is complete')
      return
    } catch (error) {
      if (!mayPass(error) || performance.now() + RETRY_MS > ends) throw new Error(explain(error, place), { cause: error })
      log.warn({ error: messageOf(error) }, 'trying again')
    }
  }
  throw new Stopped('stopped before the identity was there')
})

function readConfig() {
  const { values, done } = readSettings(process.env, MAKE_IDENTITY)
  done()
  const place = { namespace: values.CHRYS_NAMESPACE, prefix: values.CHRYS_IDENTITY_PREFIX }
  return { kubeconfig: values.CHRYS_KUBECONFIG, place, log: logConfig(values) }
}

function mayPass(error: unknown): boolean {
  return error instanceof ApiAway || (error instanceof ApiError && (error.code === 429 || error.code >= 500))
}

function explain(error: unknown, { namespace, prefix }: { namespace: string; prefix: string }): string {
  const names = Object.values(secretNames(prefix)).join(', ')
  if (error instanceof ApiError && error.code === 403) {
    return `${error.message}: the ServiceAccount needs create on secrets, and get and patch on ${names}, in namespace ${namespace}`
  }
  return `the NATS identity in namespace ${namespace} could not be made: ${messageOf(error)}`
}
