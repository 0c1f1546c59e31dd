// NATS as a cluster of three: any one server may die or stand still, and nothing that was acknowledged is lost.
import test from 'ava'
import { connect, type Authenticator, type NatsConnection } from 'nats'
import { setTimeout as delay } from 'node:timers/promises'
import { createLog } from '../common/log.ts'
import { openBucket } from '../common/nats/buckets.ts'
import { connectNats } from '../common/nats/connect.ts'
import { ensurePacketStream } from '../common/nats/packet-stream.ts'
import { ANNOTATION_STREAM, BUCKET, bucketStream, packetStream, refText } from '../proto/subjects.ts'
import { annotate, annotation, stored } from './fixtures/annotations.ts'
import { cameraRecord } from './fixtures/cameras.ts'
import { startIdentity } from './fixtures/identity.ts'
import { startShared } from './fixtures/shared-state.ts'
import { framesClient, type WatchCall } from './fixtures/frames-client.ts'
import { grpcClient, startGateway } from './fixtures/gateway.ts'
import { startNatsCluster, type NatsCluster } from './fixtures/nats-cluster.ts'
import { startNats } from './fixtures/nats.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { until } from './fixtures/wait.ts'

type Camera = { namespace: string; name: string; uid: string }

const log = await createLog('test', { level: 'error', format: 'json' })
const never = new AbortController().signal
const REPLICAS = { CHRYS_NATS_REPLICAS: '3' }
const LIMITS = { durationMs: 60_000, maxBytes: 2 ** 20, storage: 'Memory', replicas: 1 } as const

type Servers = Pick<NatsCluster, 'servers'> & { authenticator?: Authenticator }

/** How the servers hold a stream. */
async function replicasOf({ servers, authenticator }: Servers, stream: string): Promise<number> {
  const nc = await connect({ servers: servers.map(({ url }) => url), ...(authenticator === undefined ? {} : { authenticator }) })
  try {
    const jsm = await nc.jetstreamManager({ checkAPI: false })
    const { cluster: held } = await jsm.streams.info(stream)
    return 1 + (held?.replicas?.filter(({ current }) => current).length ?? 0)
  } finally {
    await nc.close()
  }
}

/** The name of the server that holds a camera's buffer. */
async function leaderOf(nc: NatsConnection, camera: Camera): Promise<string> {
  const jsm = await nc.jetstreamManager({ checkAPI: false })
  const { cluster } = await jsm.streams.info(packetStream(camera))
  return cluster?.leader ?? ''
}

/** Each server in turn, when all hold what they should; they do so at the end again. */
async function forEachServer(cluster: Servers, act: (i: number) => Promise<void>): Promise<void> {
  for (const i of cluster.servers.keys()) {
    await allCopied(cluster)
    await act(i)
  }
  await allCopied(cluster)
}

async function allCopied(cluster: Servers): Promise<void> {
  for (const stream of [ANNOTATION_STREAM, bucketStream(BUCKET.cameras)]) {
    await until(async () => (await replicasOf(cluster, stream).catch(() => 0)) === 3, { what: `three copies of ${stream}` })
  }
}

const longestGap = (call: WatchCall, from: number): number =>
  Math.max(...call.frameMs.slice(from).map((ms, i) => ms - (call.frameMs[from + i - 1] ?? ms)))

test('each server dies in turn: no acknowledged annotation and no camera is lost, frames go on within seconds, each with its own user', async t => {
  t.timeout(180_000)
  await using identity = await startIdentity({ isCluster: true })
  const { servers } = identity
  const authenticator = identity.admin()
  const cluster = { servers, authenticator }
  const [first, second, third] = servers
  if (first === undefined || second === undefined || third === undefined) throw new Error('three servers are needed')
  await using sidecars = new AsyncDisposableStack()
  const spec = { source: { url: 'testsrc:?size=160x96&rate=30' } }
  const cameras = servers.map((_, i) => ({ namespace: 'default', name: `cam-${i}`, uid: `uid-${i}` }))
  await using operator = await startShared(
    identity,
    Object.fromEntries(cameras.map(camera => [refText(camera), { uid: camera.uid, limits: LIMITS }])),
    3,
  )
  for (const [i, server] of servers.entries()) {
    const camera = cameras[i]
    if (camera === undefined) continue
    const env = { ...REPLICAS, CHRYS_NATS_CREDS_FILE: await identity.camera(camera) }
    sidecars.use(await startSidecar(server, { ...camera, spec, env, authenticator }))
    await operator.shared.put(cameraRecord(camera))
  }
  await using gateway = await startGateway(first.url, { ...REPLICAS, CHRYS_NATS_CREDS_FILE: await identity.role('gateway') })
  await until(() => gateway.ready(), { what: 'the gateway' })

  await using client = grpcClient(gateway.port)
  const acknowledged: string[] = []
  const stop = new AbortController()
  const annotating = (async () => {
    for (let i = 0; !stop.signal.aborted; i++) {
      const id = `annotation-${i}`
      await annotate(client, annotation({ device_name: 'cam-0', type: id }), id).then(
        () => acknowledged.push(id),
        () => delay(100),
      )
      await delay(20)
    }
  })()

  const watching = cameras.map(({ name }) => {
    const watched = sidecars.use(framesClient(gateway.port))
    const call = watched.watch({ wish: { cameras: [name], rendition: { width: 16, height: 16 } }, credit: 5 })
    call.onFrame = () => call.send({ credit: 1 })
    return call
  })
  for (const call of watching) await call.frameCount(20)
  const gaps: number[] = []
  await forEachServer(cluster, async i => {
    const from = watching.map(({ frames }) => frames.length)
    const server = servers[i]
    if (i === 1) server?.stop()
    else await server?.kill()
    for (const [j, call] of watching.entries()) await call.frameCount((from[j] ?? 0) + 100)
    if (i === 1) await server?.kill()
    await server?.restart()
    gaps.push(Math.round(Math.max(...watching.map((call, j) => longestGap(call, from[j] ?? 1)))))
  })
  stop.abort()
  await annotating
  t.log(`longest gaps of frames: ${gaps.join(', ')} ms; annotations acknowledged: ${acknowledged.length}`)
  const [died = Infinity, frozen = Infinity, diedToo = Infinity] = gaps
  t.true(died < 5_000 && diedToo < 5_000 && frozen < 12_000, gaps.join(' '))
  t.true(acknowledged.length > 100)
  const kept = new Set((await stored(second, ANNOTATION_STREAM, authenticator)).map(({ header }) => header.get('Nats-Msg-Id')))
  t.deepEqual(
    acknowledged.filter(id => !kept.has(id)),
    [],
  )
  t.is((await client.list()).length, 3)
  t.deepEqual(identity.violations(), [])
})

test('a buffer in the memory of a server that died begins again on another, one in files waits for it', async t => {
  await using cluster = await startNatsCluster()
  const inFiles = { namespace: 'default', name: 'files', uid: 'f' }
  await using first = await connectNats('operator', { url: cluster.url, credsFile: undefined, replicas: 3 }, log, never)
  await ensurePacketStream(first.nc, inFiles, { ...LIMITS, storage: 'File' })
  const victim = await leaderOf(first.nc, inFiles)
  const survivor = cluster.servers[victim === 'n0' ? 1 : 0]?.url ?? ''
  await using nats = await connectNats('operator', { url: survivor, credsFile: undefined, replicas: 3 }, log, never)
  const lost: Camera[] = []
  // The servers share the buffers among them, so that each gets one soon.
  for (let i = 0; lost.length < 2 && i < 30; i++) {
    const owner = { namespace: 'default', name: `cam-${i}`, uid: `${i}` }
    await ensurePacketStream(nats.nc, owner, LIMITS)
    if ((await leaderOf(nats.nc, owner)) === victim) lost.push(owner)
  }
  t.is(lost.length, 2)
  await cluster.servers[Number(victim.slice(1))]?.kill()
  for (const owner of lost) {
    await until(
      () =>
        ensurePacketStream(nats.nc, owner, LIMITS).then(
          () => true,
          () => false,
        ),
      { what: 'the stream on another server' },
    )
    t.not(await leaderOf(nats.nc, owner), victim)
  }
  await t.throwsAsync(ensurePacketStream(nats.nc, inFiles, { ...LIMITS, storage: 'File' }))
  await cluster.servers[Number(victim.slice(1))]?.restart()
  await until(
    () =>
      ensurePacketStream(nats.nc, inFiles, { ...LIMITS, storage: 'File' }).then(
        () => true,
        () => false,
      ),
    { what: 'its server' },
  )
  t.is(await leaderOf(nats.nc, inFiles), victim)
})

test('from one copy to three and back nothing is lost; a server alone says why it cannot have three', async t => {
  await using cluster = await startNatsCluster()
  const link = (replicas: number, url = cluster.url) => connectNats('operator', { url, credsFile: undefined, replicas }, log, never)
  await using one = await link(1)
  await (await openBucket(one.nc, 'cameras')).put('default.cam', 'kept')
  t.is(await replicasOf(cluster, bucketStream(BUCKET.cameras)), 1)
  await using three = await link(3)
  const bucket = await openBucket(three.nc, 'cameras')
  await until(async () => (await replicasOf(cluster, bucketStream(BUCKET.cameras))) === 3, { what: 'three copies' })
  t.is((await bucket.get('default.cam'))?.string(), 'kept')
  t.is((await (await openBucket(one.nc, 'cameras')).get('default.cam'))?.string(), 'kept')
  await until(async () => (await replicasOf(cluster, bucketStream(BUCKET.cameras))) === 1, { what: 'one copy' })

  await using alone = await startNats()
  await using asked = await link(3, alone.url)
  await t.throwsAsync(openBucket(asked.nc, 'cameras'), {
    message: 'KV_chrys_cameras cannot have 3 replicas: NATS has fewer servers with JetStream. Add servers, or lower the number of replicas',
  })
})
