// The whole way of real Cameras: Camera → Deployment → pod → sidecar process → NATS → gateway → gRPC, with a stand-in for the kubelet.
import ava, { type TestFn } from 'ava'
import { missingControlPlane, startKube, type Kube } from '../fixtures/kube.ts'
import { camerasIn, type Cameras } from '../fixtures/cluster-cameras.ts'
import { grpcClient, startGateway, type Client, type Gateway } from '../fixtures/gateway.ts'
import { startKubelet, type Kubelet } from '../fixtures/kubelet.ts'
import { startIdentity, type Identity } from '../fixtures/identity.ts'
import { leading, startOperator } from '../fixtures/operator.ts'
import { startCamera } from '../fixtures/rtsp-camera.ts'
import { until } from '../fixtures/wait.ts'

type Context = { kube: Kube; identity: Identity; kubelet: Kubelet; gateway: Gateway; client: Client; stack: AsyncDisposableStack }

const missing = missingControlPlane()
const contextual = ava as TestFn<Context>
const test = missing === undefined ? contextual.serial : contextual.serial.skip
const titled = (title: string) => (missing === undefined ? title : `${title} (skipped: ${missing})`)

if (missing === undefined) {
  contextual.before(async t => {
    await using stack = new AsyncDisposableStack()
    const kube = stack.use(await startKube({ controllers: true, crd: true }))
    const identity = stack.use(await startIdentity())
    const { nats } = identity
    const kubelet = stack.use(await startKubelet(kube.api))
    const env = {
      CHRYS_DENY_CIDRS: '255.255.255.255/32', // cameras are on loopback
      CHRYS_NATS_CREDS_FILE: await identity.role('operator'),
      CHRYS_NATS_SIGNING_DIR: identity.signingDir,
    }
    const operator = stack.use(await startOperator({ kubeconfig: await kube.kubeconfig('admin'), natsUrl: nats.url, env }))
    const gateway = stack.use(await startGateway(nats.url, { CHRYS_NATS_CREDS_FILE: await identity.role('gateway') }))
    const client = stack.use(grpcClient(gateway.port))
    await leading(operator)
    t.context = { kube, identity, kubelet, gateway, client, stack: stack.move() }
  })
  contextual.after.always(async t => t.context.stack?.disposeAsync())
}

const begin = async ({ kube }: Context): Promise<Cameras> => camerasIn(kube, await kube.createNamespace())

/** Asks until a frame comes that is not empty. */
const frame = (client: Client, device: string) =>
  until(
    async () => {
      const answer = await client.latest({ device_id: device })
      return answer.data.length > 0 && answer
    },
    { what: `a frame of ${device}`, timeoutMs: 60_000 },
  )

const secret = (kube: Kube, namespace: string, keys: Record<string, string>) =>
  kube.apply(`/api/v1/namespaces/${namespace}/secrets/login`, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'login', namespace },
    stringData: keys,
  })

test(titled('three Cameras that are applied give frames, are suspended, and go'), async t => {
  const { client, kubelet } = t.context
  const cameras = await begin(t.context)
  const url = 'testsrc:?size=320x180&rate=10'
  for (const name of ['one', 'two', 'three']) await cameras.apply(name, { source: { url } })
  for (const name of ['one', 'two', 'three']) {
    const { width, height, data, device_id } = await frame(client, `${cameras.namespace}/${name}`)
    t.deepEqual([width, height, data.length], [320, 180, 320 * 180 * 3])
    t.is(device_id, `${cameras.namespace}/${name}`)
  }
  // At first the rate may be that of a busy machine, which is late or makes up for it.
  const settled = async () => {
    const { status } = await cameras.ready('one', 'Streaming', 60_000)
    return status?.fps !== undefined && Math.abs(status.fps - 10) < 3 && status
  }
  const status = await until(settled, { what: 'the rate of 10 frames a second', timeoutMs: 60_000 })
  t.like(status, { node: 'edge-1', codec: 'h264', size: { width: 320, height: 180 }, restarts: 0 })
  t.is((await cameras.event('Streaming')).type, 'Normal')

  await cameras.apply('two', { source: { url }, suspend: true })
  await until(() => kubelet.process(cameras.namespace, 'two') === undefined, { what: 'the end of the suspended sidecar' })
  const listed = await until(
    async () => {
      const found = (await client.list()).find(({ name }) => name === `${cameras.namespace}/two`)
      return found?.paused === true && found
    },
    { what: 'a camera that is listed as paused' },
  )
  t.like(listed, { status: 'stopped', running: false })
  const latest = () => client.latest({ device_id: `${cameras.namespace}/two` })
  await until(async () => (await latest()).data.length === 0, { what: 'an answer without a frame' })

  await cameras.delete('three')
  await cameras.gone('three')
  await until(() => kubelet.process(cameras.namespace, 'three') === undefined, { what: 'the end of the deleted camera’s sidecar' })
  await until(
    () =>
      client.latest({ device_id: `${cameras.namespace}/three` }).then(
        () => false,
        ({ code }: { code: number }) => code === 5,
      ),
    {
      what: 'NOT_FOUND',
    },
  )
  for (const name of ['one', 'two']) await cameras.delete(name)
  for (const name of ['one', 'two']) await cameras.gone(name)
})

test(titled('a Secret may come late, be rotated and be deleted; the pod stays the same'), async t => {
  const { kube, kubelet, client } = t.context
  const cameras = await begin(t.context)
  await using source = await startCamera({ auth: { user: 'viewer', password: 'first' } })
  await cameras.apply('front', { source: { url: source.url, credentialsSecretRef: { name: 'login' } } })
  const late = await cameras.ready('front', 'SecretNotFound', 60_000)
  t.regex(
    late.status?.conditions?.find(({ type }) => type === 'Connected')?.message ?? '',
    /Create it with the keys username and password in the Camera’s namespace/,
  )
  const pid = kubelet.process(cameras.namespace, 'front')?.pid

  await secret(kube, cameras.namespace, { username: 'viewer' })
  await cameras.ready('front', 'SecretKeyMissing', 60_000)
  await secret(kube, cameras.namespace, { username: 'viewer', password: 'wrong' })
  await cameras.ready('front', 'AuthFailed', 60_000)
  const listed = (await client.list()).find(({ name }) => name === `${cameras.namespace}/front`)
  t.like(listed, { status: 'failed', running: false })
  t.regex(listed?.error ?? '', /^AuthFailed: /)

  await secret(kube, cameras.namespace, { username: 'viewer', password: 'first' })
  await frame(client, `${cameras.namespace}/front`)
  await cameras.ready('front', 'Streaming', 60_000)

  await source.restart({ auth: { user: 'viewer', password: 'second' } })
  await secret(kube, cameras.namespace, { username: 'viewer', password: 'second' })
  const epochs = () => kubelet.process(cameras.namespace, 'front')?.log.match(/a new epoch begins/g)?.length
  await until(() => epochs() === 2, { what: 'the stream with the second password', timeoutMs: 60_000 })

  await kube.api.request('DELETE', `/api/v1/namespaces/${cameras.namespace}/secrets/login`)
  await new Promise(resolve => setTimeout(resolve, 4_000)) // the kubelet takes the files away, the sidecar looks for them
  await frame(client, `${cameras.namespace}/front`)
  t.is(epochs(), 2, 'the stream was interrupted')
  t.is(kubelet.process(cameras.namespace, 'front')?.pid, pid)
  const log = kubelet.process(cameras.namespace, 'front')?.log ?? ''
  for (const password of ['first', 'second', 'wrong']) t.false(log.includes(password))
  await cameras.delete('front')
  await cameras.gone('front')
})

test(titled('a sidecar that is killed comes back, and its restart is told'), async t => {
  const { kubelet, client } = t.context
  const cameras = await begin(t.context)
  await cameras.apply('front', { source: { url: 'testsrc:?size=320x180&rate=10' } })
  await frame(client, `${cameras.namespace}/front`)
  const { pid = 0 } = kubelet.process(cameras.namespace, 'front') ?? {}
  process.kill(pid, 'SIGKILL')
  const epochs = () => kubelet.process(cameras.namespace, 'front')?.log.match(/a new epoch begins/g)?.length
  await until(() => epochs() === 2, { what: 'the next process’ stream' })
  await frame(client, `${cameras.namespace}/front`)
  const restarted = await until(
    async () => {
      const found = await cameras.camera('front')
      return found?.status?.restarts === 1 && found
    },
    { what: 'a restart in the status', everyMs: 100 },
  )
  t.is(restarted.status?.observedGeneration, 1)
  const listed = (await client.list()).find(({ name }) => name === `${cameras.namespace}/front`)
  t.is(listed?.exit_code, 137)
  await cameras.delete('front')
  await cameras.gone('front')
})

test(titled('with a new signing key a camera gets another NATS user in a new pod; both users go with the Camera'), async t => {
  const { client, identity, kube, kubelet } = t.context
  const cameras = await begin(t.context)
  await cameras.apply('front', { source: { url: 'testsrc:?size=320x180&rate=10' } })
  const device = `${cameras.namespace}/front`
  const { timestamp } = await frame(client, device)
  const pid = kubelet.process(cameras.namespace, 'front')?.pid
  const users = async () => {
    type List = { items: { metadata: { name: string }; type: string }[] }
    const { items } = await kube.api.request<List>('GET', `/api/v1/namespaces/${cameras.namespace}/secrets`)
    return items.filter(({ type }) => type === 'video.chrys.cloud/nats-user').map(({ metadata }) => metadata.name)
  }
  t.is((await users()).length, 1)
  await identity.rotate()
  await until(async () => (await users()).length === 2, { what: 'another user' })
  await until(() => kubelet.process(cameras.namespace, 'front')?.pid !== pid, { what: 'another pod' })
  t.true((await frame(client, device)).timestamp > timestamp)
  await cameras.delete('front')
  await cameras.gone('front')
  await until(async () => (await users()).length === 0, { what: 'the end of the Secrets' })
})

test(titled('no process has done what its NATS user may not'), t => {
  const ofOldUsers = /Authorization Violation|authentication/i // until their files were replaced
  t.deepEqual(
    t.context.identity.violations().filter(line => !ofOldUsers.test(line)),
    [],
  )
})
