// Cameras → Deployments → status. One process leads and writes; others follow what happens, ready to take over.
import { createLog } from '../common/log.ts'
import { createRegistry } from '../common/metrics.ts'
import { serveProbes } from '../common/probes.ts'
import { aborted, every, runProcess, sleep } from '../common/abort.ts'
import { messageOf } from '../common/errors.ts'
import { refText } from '../proto/subjects.ts'
import { Writer } from './kube/apply.ts'
import { bufferLimits } from './camera/buffer-requests.ts'
import { DISCOVERIES, KubeApi } from '../common/kube/client.ts'
import { DiscoveryReconciler } from './discovery/reconcile.ts'
import type { WatchedDiscovery } from './discovery/objects.ts'
import { keepDiscovery } from './kube/kinds.ts'
import { keyOf } from './kube/reflector.ts'
import { Reflectors } from './kube/reflectors.ts'
import { readConfig } from './config.ts'
import { eventRecorder } from './kube/events.ts'
import { Elector, LEASE_TIMES, leadWith, leaseStore } from './kube/leader.ts'
import { camerasMetric, clientMetrics, leaderMetric, operatorMetrics, queueMetrics, reconcileMetrics } from './metrics.ts'
import { KeyedQueue, work } from './kube/queue.ts'
import { Reconciler } from './camera/reconcile.ts'
import { Revocations } from './identity/revocations.ts'
import { SharedState } from './camera/shared-state.ts'
import { World } from './camera/watched-objects.ts'

const LEASE = 'chrysalis-edge-operator'
const RESYNC_MS = 600_000

await runProcess(process.env, async signal => {
  const config = readConfig(process.env)
  const log = await createLog('operator', config.log)
  const registry = createRegistry()
  const metrics = operatorMetrics(registry)
  const api = new KubeApi(config.kubeconfig, clientMetrics(registry))
  const queue = new KeyedQueue({ metrics: queueMetrics(registry, () => queue.running()) })
  const world = new World(api, config.cameraNamespaces, metrics, log, key => queue.add(key))
  const discoveries = new Reflectors<WatchedDiscovery>(DISCOVERIES, config.cameraNamespaces, {
    ...{ api, metrics, log, keep: keepDiscovery },
    onChange: now => now !== undefined && discovering?.queue.add(keyOf(now)),
  })
  let discovering: DiscoveryReconciler | undefined
  const leads = leaderMetric(registry, LEASE)
  const reconciles = reconcileMetrics(registry, config.workers)
  camerasMetric(registry, () => world.cameras.values().map(({ status }) => status?.reason ?? 'Unknown'))
  await using probes = await serveProbes(config.probes, registry, () => (world.isSynced ? [] : ['the API server has not been read yet']))
  log.info({ probePort: probes.port, identity: config.identity }, 'operator starts')

  const store = leaseStore(api, config.namespace, LEASE, LEASE_TIMES.retry * 2)
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const watching = Promise.all([world.run(either), discoveries.run(either)])
  try {
    await leadWith(new Elector(store, config.identity), LEASE_TIMES, lead, isLeading => leads.set(isLeading ? 1 : 0), log, signal)
  } finally {
    stop.abort()
    // A list that is under way may have to wait for an API server that is gone; we don't.
    await Promise.race([watching, sleep(1_000, new AbortController().signal)])
  }
  log.info('operator stops')

  /** Runs while this process holds the lease; `mayWrite` aborts when it does not any more. */
  async function lead(mayWrite: AbortSignal): Promise<void> {
    await Promise.race([world.synced, aborted(mayWrite)])
    const begun = performance.now()
    const writer = new Writer(api, metrics, mayWrite)
    const events = eventRecorder(
      record => writer.writeEvent(record),
      () => metrics.eventsDropped.inc(),
      log,
    )
    const discovery = (discovering = new DiscoveryReconciler({
      ...{ discoveries, cameras: world.cameras, writer, settings: config.sidecar, log },
      onBad: bad => metrics.badMessages.inc({ reason: bad.reason }),
    }))
    const { signingDir, userValidity: validity } = config.sidecar
    const shared = new SharedState({
      revocations: signingDir === undefined ? undefined : new Revocations({ nats: config.nats, signingDir, validity, log }),
      nats: config.nats,
      metrics,
      log,
      onChange: key => queue.add(key),
      onBack: () => void collectLeftovers(),
      onProblem: () => everything(),
      onConnected: nc => discovery.listen(nc),
      bufferOf: ref => {
        const camera = world.cameras.get(refText(ref))
        if (camera === undefined || camera.metadata.deletionTimestamp !== undefined) return undefined
        return { uid: camera.metadata.uid, limits: bufferLimits(camera.spec) }
      },
    })
    const reconciler = new Reconciler({
      ...{ world, shared, writer, log, settings: config.sidecar, cleanUpMs: config.cleanUpMs },
      record: happening => events.record(happening),
      again: (key, ms) => queue.addAfter(key, ms),
      onLeftoverRemoved: () => metrics.leftovers.inc(),
      now: () => performance.now() - begun,
    })
    const reconcile = async (key: string) => {
      reconciles.active.inc()
      const done = reconciles.seconds.startTimer()
      try {
        await reconciler.reconcile(key)
        if (world.cameras.get(key) === undefined) queue.forget(key)
        reconciles.count('success')
      } catch (error) {
        if (mayWrite.aborted) return // what was begun goes on after the next start, here or elsewhere
        reconciles.count('error')
        throw error
      } finally {
        done()
        reconciles.active.dec()
      }
    }
    const everything = () => world.cameras.keys().forEach(key => queue.add(key))
    const collectLeftovers = async () => {
      everything()
      const present = await shared.present().catch((error: unknown) => {
        log.debug({ error: messageOf(error) }, 'could not list leftovers in NATS')
        return []
      })
      for (const key of reconciler.collect(present.map(refText))) queue.add(key)
    }
    everything()
    await Promise.all([
      work(queue, config.workers, reconcile, log, mayWrite),
      events.run(mayWrite),
      shared.run(mayWrite),
      discovery.run(mayWrite),
      every(RESYNC_MS, collectLeftovers, mayWrite),
    ])
  }
})
