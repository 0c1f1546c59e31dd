// Runs before the chart is uninstalled: stops the operator, which would finalize Cameras as long as it runs, removes the decoders, which it
// could not remove any more, and lets go of the Cameras, which without it could never be deleted. Cameras themselves are left; their status
// says that nothing runs for them.
import { setTimeout as delay } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { createLog, type Logger } from '../common/log.ts'
import { runProcess } from '../common/abort.ts'
import { Writer } from './kube/apply.ts'
import {
  ApiAway,
  ApiError,
  CAMERAS,
  DEPLOYMENTS,
  ignoringMissing,
  KubeApi,
  labelSelector,
  listPaths,
  MERGE_PATCH,
} from '../common/kube/client.ts'
import { MANAGED_BY } from './camera/deployment.ts'
import { FINALIZER, keepCamera, type Deployment, type Pod } from './kube/kinds.ts'
import { operatorMetrics } from './metrics.ts'
import { isOver } from './camera/pods.ts'
import type { KubeObject } from './kube/reflector.ts'
import { readReleaseConfig, type ReleaseConfig } from './release-config.ts'
import { uninstalledStatus } from './camera/status.ts'

/** The operator's pods end within their grace period; that of a lost node never does. */
const STOPPING_MS = 45_000
const POLL_MS = 500
const PAGE = 500
const AT_ONCE = 8
/** Changed meanwhile, too many requests, the server's own trouble. */
const PASSING = [409, 422, 429, 500, 503, 504]

await runProcess(process.env, async stopped => {
  const config = readReleaseConfig(process.env)
  const log = await createLog('release-finalizers', config.log)
  const signal = AbortSignal.any([stopped, AbortSignal.timeout(config.timeoutMs)])
  try {
    const api = new KubeApi(config.kubeconfig)
    await persist(() => stopOperator(api, config, log, signal), log, signal)
    await persist(() => removeDecoders(api, config, log, signal), log, signal)
    await persist(() => releaseCameras(api, config, log, signal), log, signal)
    await persist(() => removeSecrets(api, config, log), log, signal)
  } catch (error) {
    if (!signal.aborted) throw error
    throw new Error(`not done within ${config.timeoutMs / 1000} s; go on without it: helm uninstall --no-hooks`, { cause: error })
  }
})

/** Again while the API server is unreachable or busy, until `signal` aborts. */
async function persist(step: () => Promise<void>, log: Logger, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return await step()
    } catch (error) {
      const passes = error instanceof ApiAway || (error instanceof ApiError && PASSING.includes(error.code))
      if (!passes) throw error
      log.warn({ error: error.message }, 'trying again')
      await delay(POLL_MS, undefined, { signal })
    }
  }
}

async function stopOperator(api: KubeApi, { namespace, operator }: ReleaseConfig, log: Logger, signal: AbortSignal): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${operator}`
  type Scaled = { spec: { selector: { matchLabels: Record<string, string> } } }
  const patch = { body: { spec: { replicas: 0 } }, contentType: MERGE_PATCH }
  const deployment = await ignoringMissing(api.request<Scaled>('PATCH', path, patch))
  if (deployment === undefined) return log.info({ operator }, 'found no operator to stop')
  const ofOperator = labelSelector(deployment.spec.selector.matchLabels)
  const pods = `/api/v1/namespaces/${namespace}/pods`
  const endMs = performance.now() + STOPPING_MS
  while ((await list<Pod>(api, pods, ofOperator)).some(pod => !isOver(pod))) {
    if (performance.now() > endMs) return log.warn({ operator }, 'the operator does not stop; continuing')
    await delay(POLL_MS, undefined, { signal })
  }
  log.info({ operator }, 'stopped the operator')
}

async function removeDecoders(api: KubeApi, { cameraNamespaces }: ReleaseConfig, log: Logger, signal: AbortSignal): Promise<void> {
  const deployments = await listIn<Deployment>(api, listPaths(DEPLOYMENTS, cameraNamespaces), labelSelector(MANAGED_BY))
  await each(deployments, signal, async ({ metadata: { namespace, name, uid } }) => {
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`
    await ignoringMissing(api.request('DELETE', path, { body: { preconditions: { uid }, propagationPolicy: 'Background' } }))
  })
  log.info({ count: deployments.length }, 'deleted camera Deployments')
}

async function releaseCameras(api: KubeApi, { cameraNamespaces }: ReleaseConfig, log: Logger, signal: AbortSignal): Promise<void> {
  const writer = new Writer(api, operatorMetrics(new Registry()), signal)
  const cameras = (await listIn<KubeObject>(api, listPaths(CAMERAS, cameraNamespaces))).map(keepCamera)
  const left = cameras.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  await each(left, signal, camera => ignoringMissing(writer.writeStatus(camera, uninstalledStatus(camera, Date.now()))))
  const held = cameras.filter(({ metadata }) => metadata.finalizers?.includes(FINALIZER) === true)
  await each(held, signal, camera => writer.removeFinalizer(camera))
  log.info({ count: held.length }, 'removed finalizers from Cameras')
}

async function removeSecrets(api: KubeApi, { namespace, secrets }: ReleaseConfig, log: Logger): Promise<void> {
  for (const name of secrets) await ignoringMissing(api.request('DELETE', `/api/v1/namespaces/${namespace}/secrets/${name}`))
  if (secrets.length > 0) log.info({ secrets }, 'deleted NATS keys')
}

async function listIn<T>(api: KubeApi, paths: string[], selector?: string): Promise<T[]> {
  const items: T[] = []
  for (const path of paths) items.push(...(await list<T>(api, path, selector)))
  return items
}

/** Page by page; nothing where the resource does not exist. */
async function list<T>(api: KubeApi, path: string, selector?: string): Promise<T[]> {
  const items: T[] = []
  let next: string | undefined
  do {
    type Page = { metadata: { continue?: string }; items: T[] }
    const query = { limit: PAGE, labelSelector: selector, continue: next }
    const page: Page | undefined = await ignoringMissing(api.request<Page>('GET', path, { query }))
    items.push(...(page?.items ?? []))
    next = page?.metadata.continue || undefined
  } while (next !== undefined)
  return items
}

/** A few at a time. */
async function each<T>(items: readonly T[], signal: AbortSignal, act: (item: T) => Promise<unknown>): Promise<void> {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) {
      signal.throwIfAborted()
      await act(item)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
