// A site with many Cameras: the operator on a real control plane, NATS as a cluster of three, two gateways. Camera pods do not run here; what their
// sidecars would send is sent for them (site-sidecars.ts).
import { setTimeout as delay } from 'node:timers/promises'
import { camerasIn, type Cameras } from '../test/fixtures/cluster-cameras.ts'
import { grpcClient, startGateway } from '../test/fixtures/gateway.ts'
import { missingControlPlane, startKube, type Kube } from '../test/fixtures/kube.ts'
import { startNatsCluster } from '../test/fixtures/nats-cluster.ts'
import { allowOperator } from '../test/fixtures/operator-rbac.ts'
import { leading, startOperator, type OperatorProcess } from '../test/fixtures/operator.ts'
import { until } from '../test/fixtures/wait.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { simulateSidecars } from './site-sidecars.ts'
import { median } from './statistics.ts'
import { figure } from './table.ts'
import { measureUsage } from './usage.ts'

const COUNT = 1_000
/** So many of them send packets, 15 a second of 8 kB each, step by step. */
const STREAMING = [50, 100, 200]
const CLIENTS = 16
const LISTS = 20
const REPLICAS = { CHRYS_NATS_REPLICAS: '3' }
const PATIENCE = { timeoutMs: 600_000, everyMs: 200 }

export async function measureSite({ seconds }: Options): Promise<Measured> {
  const missing = missingControlPlane()
  if (missing !== undefined) throw new Error(missing)
  await using kube = await startKube({ controllers: true, crd: true, users: { operator: [] } })
  await allowOperator(kube, 'operator')
  await using nats = await startNatsCluster()
  // A small young generation: what comes from the API server and NATS is short-lived, and V8 would take 50 MB to find out.
  const env = { ...REPLICAS, NODE_OPTIONS: '--max-semi-space-size=4' }
  await using operator = await startOperator({ kubeconfig: await kube.kubeconfig('operator'), natsUrl: nats.url, env })
  await leading(operator)
  const cameras = camerasIn(kube, await kube.createNamespace())
  const names = Array.from({ length: COUNT }, (_, i) => `camera-${i}`)
  const creation = await create(kube, operator, cameras, names)

  await using first = await startGateway(nats.url, REPLICAS)
  await using second = await startGateway(nats.url, REPLICAS)
  const gateways = [first, second]
  for (const gateway of gateways) await until(() => gateway.ready(), { what: 'a gateway that knows its cameras' })
  await using sidecars = await simulateSidecars(nats.servers, cameras, names)
  await until(async () => (await listed(first.port)).count >= COUNT, { what: 'all cameras in the list', ...PATIENCE })
  const natsPids = nats.servers.map(({ pid }) => pid)
  const rows = [
    [
      'sending packets',
      'NATS × 3, CPU / MB',
      'two gateways, CPU / MB',
      'operator, CPU / MB',
      'ListStreams of all, median / most',
      'packets lost',
    ],
  ]
  const figures: unknown[] = []
  for (const streaming of [0, ...STREAMING]) {
    await sidecars.stream(streaming)
    await delay(3_000)
    const before = sidecars.counts()
    const cast = { camera: [], nats: natsPids, sidecars: [], gateways: gateways.map(({ pid }) => pid), clients: [operator.pid] }
    const [{ roles }, lists] = await Promise.all([measureUsage(cast, seconds), listTimes(first.port)])
    const after = sidecars.counts()
    const cost = (role: 'nats-server' | 'gateway' | 'client') => `${figure(roles[role]?.cpu)} % / ${figure(roles[role]?.rss)}`
    const [sent, refused] = [after.sent - before.sent, after.refused - before.refused]
    const list = `${figure(median(lists))} / ${figure(Math.max(...lists))} ms`
    rows.push([`${streaming} of ${COUNT}`, cost('nats-server'), cost('gateway'), cost('client'), list, `${refused} of ${sent}`])
    figures.push({ streaming, roles, lists, sent, refused })
  }
  const tables = [
    { title: `${COUNT} Cameras`, rows: creation.rows },
    { title: `${COUNT} sidecars that report every 5 s; some send 15 packets of 8 kB a second; without viewers`, rows },
  ]
  return { tables, targets: [], figures: { creation: creation.figures, figures } }
}

async function create(kube: Kube, operator: OperatorProcess, cameras: Cameras, names: readonly string[]) {
  const emptyMb = await metric(operator, 'process_resident_memory_bytes')
  const requestsBefore = await metric(operator, 'rest_client_requests_total')
  const begun = performance.now()
  const applyEach = async (client: number) => {
    for (let i = client; i < names.length; i += CLIENTS) await cameras.apply(names[i] ?? '', { source: { url: `rtsp://10.0.0.1/${i}` } })
  }
  await Promise.all(Array.from({ length: CLIENTS }, (_, i) => applyEach(i)))
  const applied = performance.now()
  await until(async () => (await countAt(kube.api, `/apis/apps/v1/namespaces/${cameras.namespace}/deployments`)) === names.length, {
    what: 'all Deployments',
    ...PATIENCE,
  })
  const deployed = performance.now()
  await until(() => isQuiet(operator), { what: 'quiet', ...PATIENCE })
  const requests = (await metric(operator, 'rest_client_requests_total')) - requestsBefore
  const generation = (await cameras.deployment('camera-0'))?.metadata.generation ?? 0
  await cameras.apply('camera-0', { source: { url: 'rtsp://10.0.0.2/' } })
  const changed = performance.now()
  await until(async () => ((await cameras.deployment('camera-0'))?.metadata.generation ?? 0) > generation, {
    what: 'the change',
    everyMs: 5,
  })
  const changeMs = performance.now() - changed
  const mb = (await metric(operator, 'process_resident_memory_bytes')) / 1e6
  const figures = { appliedMs: applied - begun, deployedMs: deployed - begun, requests, changeMs, mb, emptyMb: emptyMb / 1e6 }
  const rows = [
    ['applied in', `${figure(figures.appliedMs / 1000, 1)} s`],
    ['all Deployments exist after', `${figure(figures.deployedMs / 1000, 1)} s`],
    ['requests of the operator to the API server, per Camera', figure(requests / names.length, 1)],
    ['from a change of one Camera to its Deployment', `${figure(changeMs)} ms`],
    ['memory of the operator, without and with Cameras', `${figure(figures.emptyMb)} / ${figure(mb)} MB`],
  ]
  return { rows, figures }
}

/** Cheap: one object, and how many follow it. */
async function countAt(api: Kube['api'], path: string): Promise<number> {
  type Page = { metadata: { remainingItemCount?: number }; items: unknown[] }
  const { metadata, items } = await api.request<Page>('GET', path, { query: { limit: 1 } })
  return items.length + (metadata.remainingItemCount ?? 0)
}

/** The sum over all labels. */
async function metric(of: OperatorProcess, name: string): Promise<number> {
  const lines = (await of.metrics()).split('\n').filter(each => each.startsWith(`${name} `) || each.startsWith(`${name}{`))
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1) ?? 0), 0)
}

/** Nothing waits, and nothing was reconciled for two seconds. */
async function isQuiet(of: OperatorProcess): Promise<boolean> {
  const reconciles = () => metric(of, 'controller_runtime_reconcile_total')
  const before = await reconciles()
  await delay(2_000)
  return (await metric(of, 'workqueue_depth')) === 0 && (await reconciles()) - before < 10
}

async function listed(port: number): Promise<{ ms: number; count: number }> {
  await using client = grpcClient(port)
  const startMs = performance.now()
  const { length: count } = await client.list()
  return { ms: performance.now() - startMs, count }
}

async function listTimes(port: number): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < LISTS; i++) times.push((await listed(port)).ms)
  return times
}
