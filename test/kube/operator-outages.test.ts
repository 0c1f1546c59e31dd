// What the operator does when something is taken from it: its life, its watch, the API server, NATS, its lease. One after the other,
// since each operator sees all Cameras of the one API server.
import { createServer, connect as connectSocket } from 'node:net'
import { once } from 'node:events'
import ava, { type TestFn } from 'ava'
import { connect, StorageType } from 'nats'
import { KubeApi } from '../../common/kube/client.ts'
import { BUCKET, packetStream, packetSubject } from '../../proto/subjects.ts'
import { startApiProxy, type ApiProxy } from '../fixtures/api-proxy.ts'
import { camerasIn, type Cameras } from '../fixtures/cluster-cameras.ts'
import { missingControlPlane, startKube, type Kube } from '../fixtures/kube.ts'
import { startNats, type NatsServer } from '../fixtures/nats.ts'
import { leading, startOperator, type OperatorProcess } from '../fixtures/operator.ts'
import { freePort } from '../fixtures/ports.ts'
import { until, within } from '../fixtures/wait.ts'

type Context = { kube: Kube; nats: NatsServer; stack: AsyncDisposableStack }

const missing = missingControlPlane()
const contextual = ava as TestFn<Context>
const test = missing === undefined ? contextual.serial : contextual.serial.skip
const titled = (title: string) => (missing === undefined ? title : `${title} (skipped: ${missing})`)

if (missing === undefined) {
  contextual.before(async t => {
    await using stack = new AsyncDisposableStack()
    const kube = stack.use(await startKube({ controllers: true, crd: true }))
    const nats = stack.use(await startNats())
    t.context = { kube, nats, stack: stack.move() }
  })
  contextual.after.always(async t => t.context.stack?.disposeAsync())
}

/** Always the same process by its lease, so that one takes over from its own dead predecessor at once. */
const SAME = { CHRYS_IDENTITY: 'the-only-one' }

async function operatorBy(context: Context, proxy: ApiProxy | undefined, env: Record<string, string> = SAME): Promise<OperatorProcess> {
  return startOperator({ kubeconfig: await context.kube.kubeconfig('admin', proxy?.url), natsUrl: context.nats.url, env })
}

const begin = async ({ kube }: Context): Promise<Cameras> => camerasIn(kube, await kube.createNamespace())

/** Operators by way of a proxy, one after the other: each is killed when the API server has carried out the nth write. */
async function mortalOperators(context: Context) {
  const proxy = await startApiProxy(context.kube.url)
  let operator = await operatorBy(context, proxy)
  return {
    /** Changes something, and kills the operator at its nth write since. Tells whether it came to that before `done` held. */
    async killedAtWrite(n: number, change: () => Promise<unknown>, done: () => Promise<boolean>): Promise<boolean> {
      await leading(operator)
      const before = proxy.writes.length
      let isKilled = false
      proxy.onWritten = nth => {
        if (isKilled || nth - before < n) return
        isKilled = true
        process.kill(operator.pid, 'SIGKILL')
      }
      await change()
      // What the server has carried out is seen before the proxy hears of it.
      const isOver = async () => (await done()) && proxy.writes.length - before < n
      await until(async () => isKilled || (await isOver()), { what: `write ${n}, or the end` })
      proxy.onWritten = undefined
      if (!isKilled) return false
      await operator.exited
      operator = await operatorBy(context, proxy)
      await leading(operator)
      return true
    },
    async [Symbol.asyncDispose]() {
      await operator.kill()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

const isSettled = async (cameras: Cameras, name: string) => {
  const camera = await cameras.camera(name)
  return camera?.status?.reason === 'PodPending' && (await cameras.pods()).length === 1
}

test(titled('an operator killed at any of its writes while it makes a camera leaves nothing that the next can’t finish'), async t => {
  await using operators = await mortalOperators(t.context)
  let writes = 0
  for (let killed = true; killed;) {
    const cameras = await begin(t.context)
    const settled = () => isSettled(cameras, 'front')
    killed = await operators.killedAtWrite(writes + 1, () => cameras.apply('front'), settled)
    if (killed) writes++
    await until(settled, { what: `what the kill at write ${writes} interrupted` })
    const [deployment, ...more] = await cameras.deployments()
    t.is(more.length, 0)
    t.is(deployment?.metadata.generation, 1, 'the Deployment was changed after it was made')
    t.is(deployment?.metadata.ownerReferences?.length, 1)
    t.deepEqual((await cameras.camera('front'))?.metadata.finalizers, ['video.chrys.cloud/streams'])
    await cameras.delete('front')
    await cameras.gone('front')
  }
  t.true(writes >= 3, `only ${writes} writes`) // finalizer, Deployment, status
})

test(titled('an operator killed at any of its writes while it removes a camera leaves nothing behind'), async t => {
  await using operators = await mortalOperators(t.context)
  const nc = await connect({ servers: t.context.nats.url })
  const kv = await nc.jetstream().views.kv(BUCKET.cameras, { bindOnly: true })
  let writes = 0
  for (let killed = true; killed;) {
    const cameras = await begin(t.context)
    const gone = async () => (await cameras.camera('front')) === undefined
    await cameras.apply('front')
    await until(() => isSettled(cameras, 'front'), { what: 'the camera' })
    killed = await operators.killedAtWrite(writes + 1, () => cameras.delete('front'), gone)
    if (killed) writes++
    await cameras.gone('front')
    await until(async () => (await cameras.deployments()).length + (await cameras.pods()).length === 0, { what: 'the Deployment to go' })
    await until(async () => (await kv.get(`${cameras.namespace}.front`))?.operation !== 'PUT', { what: 'the record to go' })
  }
  t.true(writes >= 2, `only ${writes} writes`) // Deployment to 0, finalizer
  await nc.close()
})

test(titled('a watch that is cut goes on where it was, and one whose version is gone begins with a new list'), async t => {
  await using proxy = await startApiProxy(t.context.kube.url)
  await using operator = await operatorBy(t.context, proxy)
  await leading(operator)
  const cameras = await begin(t.context)
  const relists = async () => Number(/relists_total\{resource="cameras"\} (\d+)/.exec(await operator.metrics())?.[1])
  t.is(await relists(), 1)

  proxy.cutWatches()
  await cameras.apply('cut')
  await cameras.deploymentWith('cut', 'after the cut', () => true)
  t.is(await relists(), 1)

  proxy.refuseWatches = 410
  proxy.cutWatches()
  await cameras.apply('gone')
  await cameras.deploymentWith('gone', 'although no watch was possible', () => true)
  t.true((await relists()) > 1)
  proxy.refuseWatches = undefined
  await cameras.apply('again')
  await cameras.deploymentWith('again', 'after all that', () => true)
  for (const name of ['cut', 'gone', 'again']) await cameras.delete(name)
  for (const name of ['cut', 'gone', 'again']) await cameras.gone(name)
})

test(titled('of two operators one writes; the other takes over within 15 s of its death, and within 3 s of its end'), async t => {
  await using proxyA = await startApiProxy(t.context.kube.url)
  await using proxyB = await startApiProxy(t.context.kube.url)
  await using a = await operatorBy(t.context, proxyA, { CHRYS_IDENTITY: 'a' })
  await leading(a)
  await using b = await operatorBy(t.context, proxyB, { CHRYS_IDENTITY: 'b' })
  await until(() => b.isReady(), { what: 'the second operator' })
  const cameras = await begin(t.context)
  await cameras.apply('one')
  await cameras.ready('one', 'PodPending')
  t.false(await b.isLeading())
  t.deepEqual(proxyB.writes, [])

  const killed = performance.now()
  await a.kill('SIGKILL')
  await cameras.apply('two')
  await leading(b)
  t.log(`after SIGKILL: ${Math.round(performance.now() - killed)} ms`)
  t.true(performance.now() - killed < 15_000)
  await cameras.deploymentWith('two', 'by the second operator', () => true)

  await using proxyC = await startApiProxy(t.context.kube.url)
  await using c = await operatorBy(t.context, proxyC, { CHRYS_IDENTITY: 'c' })
  await until(() => c.isReady(), { what: 'the third operator' })
  const ended = performance.now()
  await Promise.all([b.kill('SIGTERM'), leading(c)])
  t.log(`after SIGTERM: ${Math.round(performance.now() - ended)} ms`)
  t.true(performance.now() - ended < 3_000)
  t.is(await b.exited, 0)
  for (const name of ['one', 'two']) await cameras.delete(name)
  for (const name of ['one', 'two']) await cameras.gone(name)
})

test(titled('an operator that ends gives its lease away within 3 s although NATS has stopped answering'), async t => {
  const { nats } = t.context
  await using a = await operatorBy(t.context, undefined, { CHRYS_IDENTITY: 'a' })
  await leading(a)
  const cameras = await begin(t.context)
  await cameras.apply('front')
  await until(() => isSettled(cameras, 'front'), { what: 'the camera' })
  await using b = await operatorBy(t.context, undefined, { CHRYS_IDENTITY: 'b' })
  await until(() => b.isReady(), { what: 'the second operator' })
  nats.stop()
  try {
    await cameras.apply('next') // whose record NATS does not take
    await cameras.deploymentWith('next', 'without NATS', () => true)
    const ended = performance.now()
    await Promise.all([a.kill('SIGTERM'), leading(b)])
    t.log(`after SIGTERM: ${Math.round(performance.now() - ended)} ms`)
    t.true(performance.now() - ended < 3_000)
    t.is(await a.exited, 0)
  } finally {
    nats.cont()
  }
  for (const name of ['front', 'next']) await cameras.delete(name)
  for (const name of ['front', 'next']) await cameras.gone(name)
})

test(
  titled('a Camera deleted while NATS is unreachable goes after a while, with an Event; what it left is removed when NATS is back'),
  async t => {
    const { nats } = t.context
    await using operator = await operatorBy(t.context, undefined, { ...SAME, CHRYS_CLEAN_UP_SECONDS: '4' })
    await leading(operator)
    const cameras = await begin(t.context)
    await cameras.apply('front')
    await until(() => isSettled(cameras, 'front'), { what: 'the camera' })
    const ref = { namespace: cameras.namespace, name: 'front' }
    const make = async () => {
      const nc = await connect({ servers: nats.url })
      const jsm = await nc.jetstreamManager()
      await jsm.streams.add({ name: packetStream(ref), subjects: [packetSubject(ref)], storage: StorageType.File })
      await nc.close()
    }
    await make()
    await nats.kill('SIGTERM')

    const begun = performance.now()
    await cameras.delete('front')
    await cameras.gone('front')
    t.true(performance.now() - begun > 3_000)
    t.regex((await cameras.event('CleanUpSkipped')).message, /could not be removed: NATS is unreachable.*when NATS is reachable again/)

    await nats.restart()
    const nc = await connect({ servers: nats.url })
    const jsm = await nc.jetstreamManager()
    const kv = await nc.jetstream().views.kv(BUCKET.cameras, { bindOnly: true })
    await until(async () => (await kv.get(`${cameras.namespace}.front`))?.operation === 'DEL', { what: 'the removal of the record' })
    await t.throwsAsync(jsm.streams.info(packetStream(ref)), { message: /stream not found/ })
    await nc.close()
  },
)

test(titled('while NATS is unreachable cameras are made all the same'), async t => {
  const { nats } = t.context
  await nats.kill('SIGTERM')
  await using operator = await operatorBy(t.context, undefined)
  await leading(operator)
  const cameras = await begin(t.context)
  await cameras.apply('front')
  await until(() => isSettled(cameras, 'front'), { what: 'the camera' })
  t.deepEqual(
    operator.complaints().filter(({ level }) => level >= 50),
    [],
  )

  await nats.restart()
  const nc = await connect({ servers: nats.url })
  await until(
    async () => {
      const kv = await nc.jetstream().views.kv(BUCKET.cameras, { bindOnly: true })
      return (await kv.get(`${cameras.namespace}.front`))?.operation === 'PUT'
    },
    { what: 'the record' },
  )
  await nc.close()
  await cameras.delete('front')
  await cameras.gone('front')
})

test(titled('a short absence of the API server is survived; a long one ends the process, and the next one goes on'), async t => {
  const { kube } = t.context
  const cameras = await begin(t.context)
  await using operator = await operatorBy(t.context, undefined)
  await leading(operator)
  await cameras.apply('before')
  await cameras.deploymentWith('before', 'at all', () => true)

  await kube.stopApi()
  await kube.startApi() // takes about 3 s, of the 7 s within which the lease has to be renewed
  t.true(operator.isRunning)
  await cameras.apply('between')
  await cameras.deploymentWith('between', 'after a short outage', () => true)

  // As in an outage of a minute: from the lost lease on the length makes no difference, since all that is done is to try again.
  await kube.stopApi()
  t.is(await within(operator.exited, { what: 'the end of an operator without a lease' }), 1)
  await using next = await operatorBy(t.context, undefined) // as the kubelet does
  await until(() => next.log().includes('list failed'), { what: 'an operator that finds no API server' })
  t.false(await next.isReady())
  const { metadata } = (await kube.startApi(), await cameras.apply('after'))
  const begun = performance.now()
  await cameras.deploymentWith('after', 'after a long outage', each => each.metadata.ownerReferences?.[0]?.uid === metadata.uid)
  t.log(`after the API server's return: ${Math.round(performance.now() - begun)} ms`)
  t.true(performance.now() - begun < 30_000)
  t.true(next.isRunning)
})

test(titled('the client keeps its connections to the API server, where the library would open one for each call'), async t => {
  const upstream = new URL(t.context.kube.url)
  let connections = 0
  const port = await freePort()
  const tunnel = createServer(client => {
    connections++
    const server = connectSocket(Number(upstream.port), upstream.hostname)
    client.pipe(server).pipe(client)
    for (const socket of [client, server]) socket.on('error', () => (client.destroy(), server.destroy()))
  }).listen(port, '127.0.0.1')
  await once(tunnel, 'listening')
  const api = new KubeApi(await t.context.kube.kubeconfig('admin', `https://127.0.0.1:${port}`))
  for (let i = 0; i < 40; i++) await api.request('GET', '/api/v1/namespaces/default')
  t.is(connections, 1)
  tunnel.close()
})
