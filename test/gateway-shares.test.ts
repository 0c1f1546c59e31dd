// One client that takes all it can get: the others are served all the same.
import anyTest, { type TestFn } from 'ava'
import { connect as connectHttp2, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import { once } from 'node:events'
import { status } from '@grpc/grpc-js'
import { annotate, annotation } from './fixtures/annotations.ts'
import { startCloud } from './fixtures/cloud.ts'
import { startCameras, type Cameras } from './fixtures/cameras.ts'
import { failure, grpcClient, startGateway, type Client, type Gateway } from './fixtures/gateway.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { until } from './fixtures/wait.ts'

type World = { nats: NatsServer; gateway: Gateway; cameras: Cameras; stack: AsyncDisposableStack }
const test = anyTest as TestFn<World>
const CAMERA = { namespace: 'default', name: 'door', uid: 'uid-door' }
const HEALTH = '/grpc.health.v1.Health/Watch'
/** A message without fields, framed. */
const EMPTY = Buffer.alloc(5)
const REQUEST = { device_id: 'door', key_frame_only: false }

test.before(async t => {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const cameras = stack.use(await startCameras(nats.url, [CAMERA]))
  const gateway = stack.use(await startGateway(nats.url, { CHRYS_GRPC_MAX_CALLS: '100', CHRYS_GRPC_REFLECTION: '0' }))
  await until(() => gateway.ready(), { what: 'the gateway' })
  t.context = { nats, gateway, cameras, stack: stack.move() }
})
test.after.always(t => t.context.stack.disposeAsync())

/** Opens calls that ask for nothing, until one is refused; returns how many there are. */
async function hoard(client: Client, max: number): Promise<{ count: number; refusal: string }> {
  for (let count = 0; count < max; count++) {
    const stream = client.stream()
    const refused = new Promise<string>(resolve => stream.call.once('error', error => resolve(error.message)))
    stream.send(REQUEST)
    const answered = stream.receive().then(
      () => undefined,
      () => refused,
    )
    const refusal = await answered
    if (refusal !== undefined) return { count, refusal }
  }
  return { count: max, refusal: '' }
}

test('one connection has half of all calls at most, and another still gets some', async t => {
  const { gateway } = t.context
  await using greedy = grpcClient(gateway.port)
  await using modest = grpcClient(gateway.port)
  const { count, refusal } = await hoard(greedy, 100)
  t.is(count, 50)
  t.regex(refusal, /RESOURCE_EXHAUSTED: too many calls of one caller: others need the rest/)
  t.is((await modest.latest(REQUEST)).device_id, 'door')
  const { count: rest } = await hoard(modest, 100)
  t.is(rest, 25)
})

/** Makes many calls on one connection, bare HTTP/2, with `request`, or with none yet; says how many were refused. */
async function makeCalls(
  port: number,
  path: string,
  count: number,
  request?: Buffer,
): Promise<{ session: ClientHttp2Session; refused: () => number }> {
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  await once(session, 'connect')
  let isClosed = false
  // A flood that fills what the gateway's side may hold loses its connection, and all its calls with it.
  session.on('error', () => (isClosed = true))
  const [headers, statuses] = [
    { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' },
    new Array<string>(),
  ]
  for (let i = 0; i < count; i++) {
    const stream = session.request(headers)
    const note = ({ 'grpc-status': code }: IncomingHttpHeaders) => void (typeof code === 'string' && statuses.push(code))
    stream
      .on('response', note)
      .on('trailers', note)
      .on('error', () => {})
      .on('end', () => stream.end()) // else a refused one keeps its place on the connection
      .resume()
    if (request !== undefined) stream.end(request)
  }
  return { session, refused: () => (isClosed ? count : statuses.filter(code => code === String(status.RESOURCE_EXHAUSTED)).length) }
}

test('health that is watched again and again is refused beyond a share of each connection, counted, and others are served', async t => {
  const { gateway } = t.context
  const running = () => gateway.metric('chrysalis_calls_running', 'method="health or reflection"')
  const floods: Awaited<ReturnType<typeof makeCalls>>[] = []
  for (let i = 0; i < 4; i++) floods.push(await makeCalls(gateway.port, HEALTH, 100, EMPTY))
  await until(() => floods.some(({ refused }) => refused() > 20), { what: 'refusals' })
  t.true((await running()) <= 256)
  const late = await makeCalls(gateway.port, HEALTH, 1, EMPTY)
  await using client = grpcClient(gateway.port)
  t.is((await client.latest(REQUEST)).device_id, 'door')
  t.is(late.refused(), 0)
  for (const { session } of [...floods, late]) session.destroy()
  await until(async () => (await running()) === 0, { what: 'their end' })
})

test('of 10,000 streams those beyond the limit are refused at once, and others are served', async t => {
  await using gateway = await startGateway(t.context.nats.url)
  await until(() => gateway.ready(), { what: 'the gateway' })
  const path = '/chrys.cloud.videostreaming.v1beta1.Image/VideoLatestImage'
  const floods = await Promise.all(Array.from({ length: 4 }, () => makeCalls(gateway.port, path, 2_500)))
  await until(() => floods.reduce((sum, { refused }) => sum + refused(), 0) >= 9_000, { what: 'refusals', timeoutMs: 60_000 })
  await using client = grpcClient(gateway.port)
  const startMs = performance.now()
  t.is((await client.latest(REQUEST)).device_id, 'door')
  t.true(performance.now() - startMs < 1_000, `${performance.now() - startMs} ms`)
  for (const { session } of floods) session.destroy()
  await until(async () => (await gateway.metric('chrysalis_calls_running', 'method="VideoLatestImage"')) <= 1, { what: 'their end' })
})

test('where reflection is off, the services are not described', async t => {
  await using client = grpcClient(t.context.gateway.port)
  const asked = new Promise((_resolve, reject) => {
    const same = (value: Buffer) => value
    const call = client.stub.makeBidiStreamRequest('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', same, same)
    call.on('error', reject)
    call.on('data', () => {})
  })
  t.is((await failure(asked)).code, status.UNIMPLEMENTED)
})

test('one client that floods the annotation queue is refused at its share of it, and another is not', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [CAMERA])
  await using cloud = await startCloud()
  cloud.answer(() => ({ status: 503 }))
  await using gateway = await startGateway(nats.url, { ...cloud.env, CHRYS_ANNOTATION_QUEUE_MAX_BYTES: '1Mi' })
  await until(() => gateway.ready(), { what: 'the gateway' })
  await using greedy = grpcClient(gateway.port)
  await using modest = grpcClient(gateway.port)
  const large = annotation({ device_name: 'door', custom_meta_1: 'x'.repeat(60_000) })
  let stored = 0
  const flood = async () => {
    for (; stored < 16; stored++) await annotate(greedy, large)
  }
  const refused = await failure(flood())
  t.deepEqual(refused, {
    code: status.RESOURCE_EXHAUSTED,
    details: 'the annotation queue is more than half full, and you have filled your share: try again later',
  })
  t.true(stored >= 8 && stored <= 11, `${stored}`)
  t.is((await annotate(modest, annotation({ device_name: 'door' }))).device_name, 'door')
  t.is(await gateway.metric('chrysalis_annotations_unstored_total', 'reason="share"'), 1)
})
