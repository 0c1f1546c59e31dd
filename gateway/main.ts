// The gateway: cameras' frames, from NATS to gRPC clients.
import { ServerCredentials } from '@grpc/grpc-js'
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { countBuffersAsHeap } from '../common/patches/v8-external-memory.ts'
import { createLog } from '../common/log.ts'
import { reportConfinement } from '../common/media/confine.ts'
import { createRegistry } from '../common/metrics.ts'
import { connectNats, type Nats } from '../common/nats/connect.ts'
import { keepSharedBuckets } from '../common/nats/shared-buckets.ts'
import { serveProbes } from '../common/probes.ts'
import { aborted, every, runProcess, unlessStopped, within } from '../common/abort.ts'
import { refText } from '../proto/subjects.ts'
import { createAnnotationMetrics } from './annotations/metrics.ts'
import { AnnotationQueue } from './annotations/queue.ts'
import { RecentAnnotations } from './annotations/recent.ts'
import { followRecent } from './annotations/recent-stream.ts'
import type { Registry } from 'prom-client'
import type { Logger } from '../common/log.ts'
import { OPEN_ACCESS, type Access } from './access/access.ts'
import { createAccessMetrics } from './access/metrics.ts'
import { VisibleCameras } from './access/visible-cameras.ts'
import { Calls } from './rpc/calls.ts'
import { CallLimit } from './call-limit.ts'
import { Cameras } from './cameras.ts'
import { Cloud } from './annotations/cloud.ts'
import { readConfig, type AccessConfig } from './config.ts'
import { ClientCursors } from './frames/cursor.ts'
import { Delivery } from './annotations/delivery.ts'
import { createMetrics } from './metrics.ts'
import { reportProblem } from './annotations/report-problem.ts'
import { Archives } from './past/archives.ts'
import { BufferExtents } from './past/buffer-extents.ts'
import { Past } from './past/past.ts'
import { PacketStream, type Source } from './past/packet-reader.ts'
import { PastReads } from './past/reads.ts'
import { Runs } from './past/runs.ts'
import { wholeReceiving } from '../common/patches/nats-receive.ts'
import { serveHttp } from './http/server.ts'
import { serveGrpc } from './rpc/server.ts'
import { Refusal } from './refusal.ts'
import { Groups } from './groups/groups.ts'
import { createGroupMetrics } from './groups/metrics.ts'
import { PacketReaders } from './frames/packet-readers.ts'
import { FrameLinks, LINKS } from './frames/frame-links.ts'
import { FrameSource } from './frames/source.ts'
import { MEMORY_USES, MemoryBudget } from './memory-budget.ts'
import { Unsent } from './frames/unsent.ts'
import { removeVoidSwitches } from './switches.ts'
import { ServerTls } from './rpc/tls.ts'

/** For giving up this gateway's turn to deliver. */
const QUEUE_END_MS = 5_000

countBuffersAsHeap()
await runProcess(process.env, async signal => {
  const config = readConfig(process.env)
  const log = await createLog('gateway', config.log)
  const registry = createRegistry()
  const metrics = createMetrics(registry)
  await reportConfinement(registry, log)
  const annotationMetrics = createAnnotationMetrics(registry)
  const identity = `${hostname().slice(0, 48)}-${randomBytes(4).toString('hex')}`

  let link: Nats | undefined
  const isConnected = () => link?.connected() ?? false
  const memory = new MemoryBudget(config.memoryMax)
  metrics.memoryBudget.set(memory.max)
  const frames = new FrameSource(identity, config, memory, metrics, log)
  const runs = new Runs()
  const streamOver = (over: () => Nats | undefined) => (source: Source) => {
    const nats = over()
    if (nats?.connected() !== true) throw new Refusal('unavailable', 'the buffer cannot be reached: NATS is unreachable')
    return new PacketStream(nats.nc, source, runs)
  }
  const bufferOf = streamOver(() => link)
  const bufferExtents = new BufferExtents(bufferOf)
  let packetLink: Nats | undefined
  const packets = streamOver(() => packetLink)
  const readers = new PacketReaders(identity, () => packetLink, metrics, log)
  const cameras = new Cameras(config.namespace, metrics, log, uid => {
    frames.end(uid)
    readers.end(uid)
    bufferExtents.forget(uid)
  })
  const cursors = new ClientCursors()
  const unsent = new Unsent(config.unsentBytesMax, memory, bytes => metrics.unsentBytes.set(bytes))
  const { credentials, annotationsUrl, apiUrl, queue } = config.cloud
  const cloud = credentials && new Cloud(credentials, annotationMetrics)
  const annotations = new AnnotationQueue({ ...queue, isDelivered: annotationsUrl !== undefined }, () => link, annotationMetrics)
  const recent = new RecentAnnotations()
  const access = config.access === undefined ? OPEN_ACCESS : await kubeAccess(config.access, registry, log)
  const calls = new Calls(new CallLimit(config.grpc.callsMax), access, metrics, log)

  const missing = () => [
    ...(link === undefined ? ['NATS has not been reached yet'] : []),
    ...(cameras.isListed ? [] : ['the list of cameras has not been received yet']),
  ]
  await using probes = await serveProbes(config.probes, registry, missing)
  const past = new Past(
    packets,
    new Archives(
      () => packetLink,
      ({ reason }) => metrics.badMessages.inc({ reason }),
    ),
  )
  const reads = new PastReads(config.bufferedReadsMax, memory, metrics)
  const storage = cloud && apiUrl !== undefined ? { cloud, apiUrl } : undefined
  const groups = new Groups(createGroupMetrics(registry), log)
  const live = { frames, cursors, unsent, groups }
  const parts = {
    calls,
    cameras: new VisibleCameras(cameras, access),
    metrics,
    isConnected,
    link: () => link,
    ...live,
    packets,
    readers,
    past,
    bufferOf,
    reads,
    annotations,
    storage,
  }
  using tls = config.tls && new ServerTls(config.tls.files, config.tls.certificate, metrics.tls, log)
  // From the start: until there is a list of cameras, clients and health checks are told so.
  await using server = await serveGrpc(config.grpc, tls?.credentials ?? ServerCredentials.createInsecure(), parts, log)
  await using http = await serveHttp(
    config.http,
    tls,
    { ...parts, access, packets: readers, bufferExtents, recent, annotationMetrics },
    log,
  )
  log.info(
    { identity, namespace: config.namespace, grpcPort: server.port, httpPort: http.port, probePort: probes.port },
    'the gateway is up',
  )

  if (!wholeReceiving()) log.warn('this version of nats.js gathers large messages at a cost: expect more CPU per frame')
  const connection = await unlessStopped(connectNats(identity, config.nats, log, signal), signal)
  if (connection === undefined) return
  await using nats = connection
  link = nats
  const names = ['packets', ...Array.from({ length: LINKS }, (_, i) => `frames ${i + 1}`)]
  const open = (name: string) => connectNats(`${identity} ${name}`, config.nats, log.child({ link: name }), signal)
  const links = await unlessStopped(Promise.all(names.map(open)), signal)
  if (links === undefined) return
  await using _links = all(links)
  const [ofPackets, ...ofFrames] = links as [Nats, ...Nats[]]
  packetLink = ofPackets
  await using _demand = frames.start(nats, new FrameLinks(ofPackets, ofFrames))
  const count = () => {
    cursors.expire(performance.now())
    metrics.cursors.set(cursors.size)
    for (const what of MEMORY_USES) metrics.memoryUsed.set({ what }, memory.uses[what])
    metrics.natsConnected.set(isConnected() ? 1 : 0)
    annotationMetrics.recent.set(recent.size)
  }
  const tidy = () => {
    if (cameras.isListed) void metrics.forgetOthersThan(new Set(cameras.list().map(({ ref }) => refText(ref))))
  }
  const over = new AbortController()
  using _over = { [Symbol.dispose]: () => over.abort() }
  void every(1_000, count, over.signal)
  void readers.run(over.signal)
  void every(10_000, tidy, over.signal)
  if (access !== OPEN_ACCESS) void calls.recheck(over.signal)
  const counted = (link: string, ...all: readonly Nats[]) => all.forEach(one => one.onReconnect(() => metrics.natsReconnects.inc({ link })))
  counted('control', nats)
  counted('packets', ofPackets)
  counted('frames', ...ofFrames)
  void cameras.follow(nats, log, signal)
  void keepSharedBuckets(nats, log, signal)
  void groups.run(nats, signal)
  void followRecent(nats, recent, { onBad: () => metrics.badMessages.inc({ reason: 'annotation' }), log }, signal)
  void reportProblem(nats, identity, () => annotations.problem(), signal)
  void removeVoidSwitches(nats, cameras, log, signal)
  const queueing = [annotations.keep(nats, log, signal)]
  if (cloud && annotationsUrl !== undefined) {
    queueing.push(new Delivery(nats, { cloud, url: annotationsUrl }, annotationMetrics, log, signal).run())
    log.info({ to: new URL(annotationsUrl).origin }, 'delivering annotations')
  }
  void cameras.listed.then(() => {
    if (signal.aborted) return
    server.setServing(true)
    log.info('received the list of cameras')
  })

  const lost = nats.nc.closed()
  await Promise.race([aborted(signal), lost])
  await server.drain()
  if (signal.aborted) await within(QUEUE_END_MS, 'the annotation queue', Promise.all(queueing))
  else throw new Error('the connection to NATS ended for good', { cause: await lost })
})

function all(links: readonly Nats[]): AsyncDisposable {
  return { [Symbol.asyncDispose]: async () => void (await Promise.all(links.map(link => link[Symbol.asyncDispose]()))) }
}

/** Kubernetes' client is large, and loaded only where it is used. */
async function kubeAccess({ audiences, kubeconfig }: AccessConfig, registry: Registry, log: Logger): Promise<Access> {
  const [{ KubeApi }, { KubeAccess }, { kubeReviewer }] = await Promise.all([
    import('../common/kube/client.ts'),
    import('./access/access.ts'),
    import('./access/reviewer.ts'),
  ])
  return new KubeAccess(kubeReviewer(new KubeApi(kubeconfig), audiences), createAccessMetrics(registry), log)
}
