// How the operator bears many Cameras, on a real control plane: `node bench/operator.ts [COUNT]`, 1000 unless given. Takes some minutes.
import { connect } from 'nats'
import { setTimeout as delay } from 'node:timers/promises'
import { openBucket } from '../common/nats/buckets.ts'
import { encodeState, type CameraState } from '../proto/state.ts'
import { cameraKey } from '../proto/subjects.ts'
import { camerasIn, type Cameras } from '../test/fixtures/cluster-cameras.ts'
import { missingControlPlane, startKube, type Kube } from '../test/fixtures/kube.ts'
import { startNats } from '../test/fixtures/nats.ts'
import { allowOperator } from '../test/fixtures/operator-rbac.ts'
import { leading, startOperator, type OperatorProcess } from '../test/fixtures/operator.ts'
import { until } from '../test/fixtures/wait.ts'

const HEARTBEAT_MS = 5_000
const MEASURE_MS = 60_000
const CLIENTS = 16

const missing = missingControlPlane()
if (missing !== undefined) throw new Error(missing)
const count = Number(process.argv[2] ?? 1000)
if (!Number.isInteger(count) || count < 1) throw new Error('the number of Cameras must be a whole number')

await using kube = await startKube({ controllers: true, crd: true, users: { operator: [] } })
await allowOperator(kube, 'operator')
await using nats = await startNats()
await using operator = await start()
await leading(operator)
const cameras = camerasIn(kube, await kube.createNamespace())
say('memory without Cameras', `${await memoryMb(operator)} MB`)

const names = Array.from({ length: count }, (_, i) => `camera-${i}`)
const begun = performance.now()
await Promise.all(
  Array.from({ length: CLIENTS }, (_, i) =>
    applyEach(
      cameras,
      names.filter((_name, n) => n % CLIENTS === i),
    ),
  ),
)
const applied = performance.now()
say(`${count} Cameras applied in`, seconds(applied - begun))
await until(async () => (await deploymentCount(kube, cameras)) === count, { what: 'all Deployments', timeoutMs: 600_000, everyMs: 100 })
say('all Deployments, after the last apply', seconds(performance.now() - applied))
await until(async () => (await podCount(kube, cameras)) === count && (await isQuiet(operator)), {
  what: 'quiet',
  timeoutMs: 600_000,
  everyMs: 500,
})
say('all pods made and told in status, after the last apply', seconds(performance.now() - applied))

say('idle CPU', await cpuShare(operator))
say('memory', `${await memoryMb(operator)} MB`)
say('a change of one Camera reaches its Deployment in', seconds(await changeOne(cameras, 'camera-0')))

await using heartbeats = await startHeartbeats(names)
say(`CPU with ${count} sidecars that report every ${HEARTBEAT_MS / 1000} s`, await cpuShare(operator))
say('memory', `${await memoryMb(operator)} MB`)
say('a change of one Camera reaches its Deployment in', seconds(await changeOne(cameras, 'camera-1')))

const stopped = performance.now()
await operator.kill('SIGTERM')
await using next = await start()
await leading(next)
await until(async () => (await metric(next, 'chrysalis_operator_deployment_writes_total')) >= count && (await isQuiet(next)), {
  what: 'the next operator to have looked at everything',
  timeoutMs: 600_000,
  everyMs: 200,
})
say('another operator has taken over and looked at everything after', seconds(performance.now() - stopped))
console.log(`heartbeats sent: ${heartbeats.sent()}`)

/** A small young generation: what comes from the API server and NATS is short-lived, and V8 would take 50 MB to find out. */
async function start(): Promise<OperatorProcess> {
  const env = { NODE_OPTIONS: '--max-semi-space-size=4' }
  return startOperator({ kubeconfig: await kube.kubeconfig('operator'), natsUrl: nats.url, env })
}

function say(what: string, value: string): void {
  console.log(`${what}: ${value}`)
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}

async function applyEach({ apply }: Cameras, these: string[]): Promise<void> {
  for (const name of these) await apply(name, { source: { url: `rtsp://10.0.0.1/${name}` } })
}

/** Cheap: one object, and how many follow it. */
async function countAt(api: Kube['api'], path: string): Promise<number> {
  type Page = { metadata: { remainingItemCount?: number }; items: unknown[] }
  const { metadata, items } = await api.request<Page>('GET', path, { query: { limit: 1 } })
  return items.length + (metadata.remainingItemCount ?? 0)
}

function deploymentCount({ api }: Kube, { namespace }: Cameras): Promise<number> {
  return countAt(api, `/apis/apps/v1/namespaces/${namespace}/deployments`)
}

function podCount({ api }: Kube, { namespace }: Cameras): Promise<number> {
  return countAt(api, `/api/v1/namespaces/${namespace}/pods`)
}

async function metric(of: OperatorProcess, name: string): Promise<number> {
  const line = (await of.metrics()).split('\n').find(each => each.startsWith(`${name} `) || each.startsWith(`${name}{`))
  return Number(line?.split(' ').at(-1) ?? 0)
}

/** Nothing waits, and nothing was reconciled for two seconds. */
async function isQuiet(of: OperatorProcess): Promise<boolean> {
  const reconciles = () => metric(of, 'controller_runtime_reconcile_total')
  const before = await reconciles()
  await delay(2_000)
  return (await metric(of, 'workqueue_depth')) === 0 && (await reconciles()) - before < 10
}

async function memoryMb(of: OperatorProcess): Promise<number> {
  return Math.round((await metric(of, 'process_resident_memory_bytes')) / 1e6)
}

async function cpuShare(of: OperatorProcess): Promise<string> {
  const cpu = () => metric(of, 'process_cpu_seconds_total')
  const before = await cpu()
  await delay(MEASURE_MS)
  return `${((((await cpu()) - before) / (MEASURE_MS / 1000)) * 100).toFixed(2)} % of a core`
}

async function changeOne({ apply, deployment }: Cameras, name: string): Promise<number> {
  const generation = (await deployment(name))?.metadata.generation ?? 0
  await apply(name, { source: { url: 'rtsp://10.0.0.2/' } })
  const changed = performance.now()
  await until(async () => ((await deployment(name))?.metadata.generation ?? 0) > generation, { what: 'the change', everyMs: 5 })
  return performance.now() - changed
}

/** What the sidecars would say. Their pods don't run here. */
async function startHeartbeats(of: string[]) {
  const nc = await connect({ servers: nats.url })
  const bucket = await openBucket(nc, 'states')
  const uids = new Map<string, string>()
  for (const name of of) uids.set(name, (await cameras.camera(name))?.metadata.uid ?? '')
  let sent = 0
  let next = 0
  const timer = setInterval(() => {
    const name = of[next++ % of.length] ?? ''
    const now = Date.now()
    const state: CameraState = {
      ...{ v: 1, uid: uids.get(name) ?? '', run: 1, at: now, connection: 'streaming', failingStreak: 0, reconnects: 0, pid: 1, epoch: 1 },
      ...{ fps: 29.5 + Math.random(), bitsPerSecond: 4e6 + Math.random() * 1e5, lastPacketAt: now },
      decoding: { active: false, ok: true },
      buffer: { ok: true },
    }
    void bucket.put(cameraKey({ namespace: cameras.namespace, name }), encodeState(state)).then(
      () => sent++,
      () => {},
    )
  }, HEARTBEAT_MS / of.length)
  await delay(2 * HEARTBEAT_MS)
  return {
    sent: () => sent,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await nc.close()
    },
  }
}
