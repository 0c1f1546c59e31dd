// The gateway through starts, stops and outages: each test has a nats-server and a gateway of its own.
import { status } from '@grpc/grpc-js'
import test from 'ava'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openBucket } from '../common/nats/buckets.ts'
import { encodeState } from '../proto/state.ts'
import { BUCKET, cameraKey } from '../proto/subjects.ts'
import { cameraRecord, startCameras, type FakeCamera } from './fixtures/cameras.ts'
import { failure, grpcClient, startGateway, type Client, type FrameStream, type Gateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { freePort } from './fixtures/ports.ts'
import { until } from './fixtures/wait.ts'

const CAMERA: FakeCamera = { namespace: 'default', name: 'door', uid: 'uid-door' }
const REQUEST = { device_id: 'door' }

const isReady = (gateway: Gateway) => until(() => gateway.ready(), { what: 'the gateway to be ready' })
const path = (method: string) => `/chrys.cloud.videostreaming.v1beta1.Image/${method}`
const byText = (a = '', b = '') => a.localeCompare(b)
/** A frame that comes in the end. */
const frame = (client: Client) => until(async () => [await client.latest(REQUEST)].find(({ data }) => data.length > 0), { what: 'a frame' })

test('bad configuration ends the process with 78 and a line for each problem', t => {
  const main = fileURLToPath(new URL('../gateway/main.ts', import.meta.url))
  const env = {
    PATH: process.env['PATH'],
    ...{
      CHRYS_NATS_URL: 'http://user:pass@nats',
      CHRYS_GRPC_PORT: 'abc',
      CHRYS_NAMESPACE: 'No',
      CHRYS_RING_MAX_BYTES: 'much',
      CHRYS_NONSENSE: '1',
    },
    CHRYS_NATS_CREDS_FILE: '/nonexistent/creds',
  }
  const { status: code, stderr } = spawnSync(process.execPath, [main], { env, encoding: 'utf8' })
  t.is(code, 78)
  const names = stderr
    .trim()
    .split('\n')
    .map(line => /^config: (\w+): ./.exec(line)?.[1])
  const bad = ['CHRYS_GRPC_PORT', 'CHRYS_NAMESPACE', 'CHRYS_NATS_CREDS_FILE', 'CHRYS_NATS_URL', 'CHRYS_NONSENSE', 'CHRYS_RING_MAX_BYTES']
  t.deepEqual(names.toSorted(byText), bad)
})

test('a port that is taken is said', async t => {
  await using nats = await startNats()
  await using first = await startGateway(nats.url)
  const error = await t.throwsAsync(startGateway(nats.url, { CHRYS_GRPC_PORT: String(first.port) }))
  t.regex(error?.message ?? '', /cannot serve gRPC on 127\.0\.0\.1:\d+/)
})

test('before it has its list the gateway says UNAVAILABLE and is not ready; then it is', async t => {
  const port = await freePort()
  await using gateway = await startGateway(`nats://127.0.0.1:${port}`)
  await using client = grpcClient(gateway.port)
  const unavailable = async () => {
    t.is((await failure(client.latest(REQUEST))).code, status.UNAVAILABLE)
    t.is((await failure(client.latest({ device_id: 'nowhere' }))).code, status.UNAVAILABLE)
    t.is((await failure(client.list())).code, status.UNAVAILABLE)
    t.false(await gateway.ready())
  }
  await unavailable()
  await using nats = await startNats({ port })
  await until(async () => (await gateway.metric('chrysalis_nats_connected')) === 1, { what: 'NATS to be reached' })
  await unavailable() // nobody has said yet which cameras there are
  await using _cameras = await startCameras(nats.url, [CAMERA])
  await isReady(gateway)
  t.is((await client.latest(REQUEST)).device_id, 'door')
  t.is((await failure(client.latest({ device_id: 'nowhere' }))).code, status.NOT_FOUND)
})

test('a gateway that never reached NATS stops as it is told', async t => {
  await using gateway = await startGateway(`nats://127.0.0.1:${await freePort()}`)
  t.is(await gateway.stop(), 0)
})

test('at the end running calls are told, demand is withdrawn, and the process exits with 0', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  await using client = grpcClient(gateway.port)
  using idle = client.stream()
  await idle.ask(REQUEST)
  using waiting = client.stream()
  await waiting.ask(REQUEST)
  const ends = [failure(idle.receive()), failure(waiting.ask(REQUEST).then(() => waiting.ask(REQUEST)))]
  const startMs = performance.now()
  t.is(await gateway.stop(), 0)
  t.true(performance.now() - startMs < 9_000)
  for (const end of ends) t.deepEqual(await end, { code: status.UNAVAILABLE, details: 'shutting down' })
  await until(() => cameras.demands.at(-1)?.wants === 'none', { what: 'the demand to be withdrawn' })
  t.false(/"level":(50|60)/.test(gateway.log()))
})

test('at the end who takes what waits for it is told, and who reads nothing is cut off as unavailable after ten seconds', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  await using clientOfSlow = grpcClient(gateway.port)
  await using clientOfStuck = grpcClient(gateway.port)
  const streams = [clientOfSlow.stream(), clientOfStuck.stream()]
  const [slow, stuck] = streams as [FrameStream, FrameStream]
  const ends = streams.map(({ call }) => failure(once(call, 'never')))
  await Promise.all(streams.map(stream => stream.ask(REQUEST)))
  for (const { call } of streams) call.pause()
  for (let seq = 1; seq < 60; seq++) {
    for (const stream of streams) stream.send(REQUEST)
    cameras.send(CAMERA, { seq, width: 1280, height: 720 })
    await cameras.nc.flush()
  }
  const twoFrames = 2 * 1280 * 720 * 3
  await until(async () => (await gateway.metric('chrysalis_unsent_bytes')) >= twoFrames, { what: 'frames that wait to be sent' })
  const startMs = performance.now()
  const stopped = gateway.stop()
  await delay(1_000)
  slow.end().catch(() => {})
  t.deepEqual(await ends[0], { code: status.UNAVAILABLE, details: 'shutting down' })
  t.is((await ends[1])?.code, status.UNAVAILABLE)
  t.true(performance.now() - startMs > 9_500)
  t.is(await stopped, 0)
  stuck[Symbol.dispose]()
})

test('at the end who watches the health is told to try again', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  await using client = grpcClient(gateway.port)
  const plain = (bytes: Buffer) => bytes
  const watching = client.stub.makeServerStreamRequest('/grpc.health.v1.Health/Watch', plain, plain, Buffer.alloc(0))
  await once(watching, 'data')
  const end = failure(once(watching, 'never'))
  t.is(await gateway.stop(), 0)
  t.deepEqual(await end, { code: status.UNAVAILABLE, details: 'shutting down' })
})

test('calls that clients abandon are over at once, and what they held is let go', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  await using client = grpcClient(gateway.port)
  const streams = Array.from({ length: 20 }, () => client.stream())
  await Promise.all(streams.map(stream => stream.ask(REQUEST)))
  const running = () => gateway.metric('chrysalis_calls_running')
  t.is(await running(), 20)
  for (const stream of streams) {
    stream.send(REQUEST)
    cameras.send(CAMERA, { seq: 1, width: 1280, height: 720 })
    stream[Symbol.dispose]()
  }
  await until(async () => (await running()) === 0, { what: 'the calls to end' })
  t.is(await gateway.metric('chrysalis_unsent_bytes'), 0)
  t.is((await client.latest(REQUEST)).device_id, 'door')
})

test('a client that cancels calls by the thousand keeps its connection', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  const session = connectHttp2(`http://127.0.0.1:${gateway.port}`)
  const call = (method: string) => session.request({ ':method': 'POST', ':path': path(method), 'content-type': 'application/grpc' })
  await once(session, 'connect')
  for (let batch = 0; batch < 30; batch++) {
    const calls = Array.from({ length: 50 }, () => call('VideoLatestImage').resume())
    const closed = Promise.all(calls.map(stream => once(stream, 'close')))
    await delay(5) // for them to be on their way
    for (const stream of calls) stream.close(constants.NGHTTP2_CANCEL)
    await closed
  }
  const [fields] = (await once(call('SystemTime').end(Buffer.alloc(5)), 'response')) as [Record<string, unknown>]
  t.is(fields[':status'], 200)
  session.close()
})

test('a call whose deadline passes before its client half-closes is over then', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  const session = connectHttp2(`http://127.0.0.1:${gateway.port}`)
  for (const method of ['ListStreams', 'SystemTime']) {
    const stream = session.request({
      ':method': 'POST',
      ':path': path(method),
      'content-type': 'application/grpc',
      'grpc-timeout': '50m',
    })
    stream.write(Buffer.alloc(5)) // a message without fields
    const [fields] = (await once(stream, 'response')) as [Record<string, unknown>]
    t.is(Number(fields['grpc-status']), status.DEADLINE_EXCEEDED)
    stream.resume().end()
    await once(stream, 'close')
  }
  session.close()
  await using client = grpcClient(gateway.port)
  t.is((await client.list()).length, 1) // by then what came before has been dealt with
  await until(async () => (await gateway.metric('chrysalis_calls_running')) === 0, { what: 'the calls to end' })
})

test('a deadline that is a month away or more has not passed', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  for (const timeout of ['720H', '5000000S', '99999999M', '99999999H']) {
    using asking = await askWithoutReading(gateway, 1, { 'grpc-timeout': timeout })
    t.deepEqual(asking.statuses, [undefined], timeout)
  }
})

test('more calls at once than the gateway takes are RESOURCE_EXHAUSTED, and the others go on', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url, { CHRYS_GRPC_MAX_CALLS: '2' })
  await isReady(gateway)
  await using client = grpcClient(gateway.port)
  using one = client.stream()
  using two = client.stream()
  await Promise.all([one.ask(REQUEST), two.ask(REQUEST)])
  t.deepEqual(await failure(client.latest(REQUEST)), {
    code: status.RESOURCE_EXHAUSTED,
    details: 'too many calls, at most 2 are served at once',
  })
  t.is((await one.ask(REQUEST)).device_id, 'door')
  await two.end()
  await until(async () => (await client.latest(REQUEST)).device_id === 'door', { what: 'room for a call' })
})

test('frames over the budget for unsent bytes are withheld, not queued', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url, { CHRYS_UNSENT_MAX_BYTES: '1Ki' })
  await isReady(gateway)
  await using client = grpcClient(gateway.port)
  await client.latest(REQUEST)
  cameras.send(CAMERA, { seq: 1, width: 640, height: 360 })
  await until(
    async () => {
      t.is((await client.latest(REQUEST)).data.length, 0)
      return (await gateway.metric('chrysalis_frames_withheld_total')) === 1
    },
    { what: 'the frame to be withheld' },
  )
})

/** Asks for a frame by a connection of its own, and reads none of it. */
async function askWithoutReading(gateway: Gateway, streams: number, metadata: Record<string, string> = {}) {
  const session = connectHttp2(`http://127.0.0.1:${gateway.port}`)
  const fields = { ':method': 'POST', ':path': path('VideoLatestImage'), 'content-type': 'application/grpc', ...metadata }
  const request = Buffer.from('\0\0\0\0\x06\x12\x04door')
  const calls = Array.from({ length: streams }, (_, i) => session.request({ ...fields, 'client-id': `${i}` }).on('error', () => {}))
  for (const call of calls) call.write(request)
  const responses = (await Promise.all(calls.map(call => once(call, 'response')))) as [Record<string, unknown>][]
  return { calls, statuses: responses.map(([fields]) => fields['grpc-status']), [Symbol.dispose]: () => session.destroy() }
}

test('a connection with many streams that nobody reads leaves others their frames', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url, { CHRYS_UNSENT_MAX_BYTES: '8Mi' })
  await isReady(gateway)
  await using client = grpcClient(gateway.port)
  await client.latest(REQUEST)
  cameras.send(CAMERA, { seq: 1, width: 1280, height: 720 })
  await frame(client)
  using _stuck = await askWithoutReading(gateway, 10)
  await until(async () => (await gateway.metric('chrysalis_unsent_bytes')) > 0, { what: 'frames that wait to be sent' })
  cameras.send(CAMERA, { seq: 2, width: 1280, height: 720 })
  t.is((await frame(client)).packet, 2)
})

test('clients that read nothing are cut off when others have no room', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url, { CHRYS_UNSENT_MAX_BYTES: '4Mi' })
  await isReady(gateway)
  await using client = grpcClient(gateway.port)
  await client.latest(REQUEST)
  cameras.send(CAMERA, { seq: 1, width: 1280, height: 720 })
  await frame(client)
  using stuck = await askWithoutReading(gateway, 1)
  await until(async () => (await gateway.metric('chrysalis_unsent_bytes')) > 0, { what: 'a frame that waits to be sent' })
  const startMs = performance.now()
  for (let seq = 2; (await client.latest(REQUEST)).data.length === 0; seq++) {
    cameras.send(CAMERA, { seq, width: 1280, height: 720 })
    t.true(performance.now() - startMs < 20_000)
    await delay(500)
  }
  t.true(performance.now() - startMs > 9_000)
  await until(() => stuck.calls[0]?.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM, { what: 'the end of the call' })
})

test('NATS killed and back: clients see empty answers, then frames, and no error', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  await cameras.report(CAMERA)
  await using client = grpcClient(gateway.port)
  using stream = client.stream()
  await stream.ask(REQUEST)
  cameras.send(CAMERA, { seq: 1 })
  t.is((await frame(client)).packet, 1)

  await nats.kill()
  await until(async () => (await gateway.metric('chrysalis_nats_connected')) === 0, { what: 'the outage to be noticed' })
  for (let i = 0; i < 5; i++) t.is((await client.latest(REQUEST)).data.length, 0)
  t.is((await failure(client.latest({ device_id: 'nowhere' }))).code, status.NOT_FOUND) // by the last known list
  t.is((await client.list()).length, 1)
  t.true(await gateway.ready())

  cameras.demands.length = 0
  await nats.restart()
  await until(
    async () => {
      await stream.ask(REQUEST)
      return cameras.demands.some(({ wants }) => wants === 'all')
    },
    { what: 'demand after the outage' },
  )
  const reconnects = (link: string) => gateway.metric('chrysalis_nats_reconnects_total', `link="${link}"`)
  await until(async () => (await reconnects('frames')) === 4, { what: 'the links for frames' })
  cameras.send(CAMERA, { seq: 2 })
  t.is((await frame(client)).packet, 2)
  t.is(await reconnects('control'), 1)
  // The memory bucket was lost; states are heard of again, and so are new cameras.
  await cameras.report(CAMERA, { pid: 99 })
  await until(async () => (await client.list())[0]?.pid === 99, { what: 'a state after the outage' })
  await cameras.put({ ...CAMERA, name: 'yard', uid: 'uid-yard' })
  await until(async () => (await client.latest({ device_id: 'yard' })).device_id === 'yard', { what: 'a camera after the outage' })
})

test('a list of cameras that was lost is filled again without any of them being denied', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA, { ...CAMERA, name: 'yard', uid: 'uid-yard' }])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  await using client = grpcClient(gateway.port)
  const manager = await cameras.nc.jetstreamManager()
  const deadline = performance.now() + 12_000
  await manager.streams.delete(`KV_${BUCKET.cameras}`)
  let isFilled = false
  const fill = async () => {
    await new Promise(resolve => setTimeout(resolve, 2_000))
    await cameras.putRaw('cameras', cameraKey(CAMERA), encodeState(cameraRecord(CAMERA)))
    isFilled = true
  }
  const filling = fill()
  let isYardGone = false
  while (!isYardGone && performance.now() < deadline + 20_000) {
    t.is((await client.latest(REQUEST)).device_id, 'door')
    const { code } = await failure(client.latest({ device_id: 'yard' }).then(() => Promise.reject({ code: status.OK, details: '' })))
    isYardGone = code === status.NOT_FOUND
    if (isYardGone) t.true(isFilled)
  }
  await filling
  t.true(isYardGone)
})

test('a new list of cameras that stays empty for a while denies none of them', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await isReady(gateway)
  await using client = grpcClient(gateway.port)
  using stream = client.stream()
  await stream.ask(REQUEST)
  await (await cameras.nc.jetstreamManager()).streams.delete(`KV_${BUCKET.cameras}`)
  await until(() => gateway.log().includes('waiting for a KV bucket'), { what: 'the loss to be noticed' })
  await openBucket(cameras.nc, 'cameras')
  // The operator has to look at each camera before it tells of it.
  const filling = delay(3_000).then(() => cameras.put(CAMERA))
  const end = performance.now() + 7_000
  while (performance.now() < end) t.is((await stream.ask(REQUEST)).device_id, 'door')
  await filling
  await cameras.remove(CAMERA)
  await until(async () => (await failure(client.latest(REQUEST))).code === status.NOT_FOUND, { what: 'the camera to go' })
})
