// What clients and peers get that send what they should not: the answers of the API, and the gateway unharmed.
import { Client as GrpcClient, credentials, Metadata, status } from '@grpc/grpc-js'
import anyTest, { type TestFn } from 'ava'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { createConnection } from 'node:net'
import { gzipSync } from 'node:zlib'
import { headers as newHeaders } from 'nats'
import { frameMessages } from '../proto/messages.ts'
import { encodeState } from '../proto/state.ts'
import { cameraKey, frameSubject, HEADER, refText } from '../proto/subjects.ts'
import {
  cameraRecord,
  cameraState,
  fakeFrame,
  RUN,
  startCameras,
  type Cameras,
  type FakeCamera,
  type FrameOptions,
} from './fixtures/cameras.ts'
import { failure, grpcClient, startGateway, type Client, type Gateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { until } from './fixtures/wait.ts'

type World = { cameras: Cameras; gateway: Gateway; client: Client; stack: AsyncDisposableStack }
const test = anyTest as TestFn<World>

const CAMERA: FakeCamera = { namespace: 'default', name: 'door', uid: 'uid-door' }
const HERE: FakeCamera = { namespace: 'default', name: 'yard', uid: 'uid-here' }
const THERE: FakeCamera = { namespace: 'farm', name: 'yard', uid: 'uid-there' }
const FAR: FakeCamera = { namespace: 'farm', name: 'barn', uid: 'uid-barn' }
const TWICE = ['north', 'south'].map(namespace => ({ namespace, name: 'gate', uid: `uid-${namespace}` }))

test.before(async t => {
  const stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const cameras = stack.use(await startCameras(nats.url, [CAMERA, HERE, THERE, FAR, ...TWICE]))
  const gateway = stack.use(await startGateway(nats.url))
  const client = stack.use(grpcClient(gateway.port))
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  t.context = { cameras, gateway, client, stack }
})
test.after.always(t => t.context.stack.disposeAsync())

const RULE = 'device_id must be a camera name or namespace/name'
const SEVERAL = 'camera "gate" exists in several namespaces; name one of north/gate, south/gate'

for (const [title, deviceId, code, details] of [
  ['an empty device_id', '', status.INVALID_ARGUMENT, 'device_id is required'],
  ['a wildcard', '*', status.INVALID_ARGUMENT, RULE],
  ['a wildcard of many parts', 'a.>', status.INVALID_ARGUMENT, RULE],
  ['a space', 'a b', status.INVALID_ARGUMENT, RULE],
  ['a line break', 'door\r\nPUB x 0', status.INVALID_ARGUMENT, RULE],
  ['a NUL', 'door\0', status.INVALID_ARGUMENT, RULE],
  ['a path', '../x', status.INVALID_ARGUMENT, RULE],
  ['three parts', 'a/b/c', status.INVALID_ARGUMENT, RULE],
  ['an empty namespace', '/door', status.INVALID_ARGUMENT, RULE],
  ['an empty name', 'default/', status.INVALID_ARGUMENT, RULE],
  ['capitals', 'Door', status.INVALID_ARGUMENT, RULE],
  ['300 characters', 'x'.repeat(300), status.INVALID_ARGUMENT, RULE],
  ['an unknown camera', 'nowhere', status.NOT_FOUND, 'camera "nowhere" not found'],
  ['a known camera in a namespace it is not in', 'farm/door', status.NOT_FOUND, 'camera "farm/door" not found'],
  ['a name in several namespaces, none of them the gateway’s own', 'gate', status.INVALID_ARGUMENT, SEVERAL],
] as const) {
  test(`device_id: ${title}`, async t => {
    const { client } = t.context
    t.deepEqual(await failure(client.latest({ device_id: deviceId })), { code, details })
    const probe = new Promise((resolve, reject) => {
      client.stub.VideoProbe({ device_id: deviceId }, error => (error === null ? resolve(undefined) : reject(error)))
    })
    t.deepEqual(await failure(probe), { code, details })
    using stream = client.stream()
    await stream.ask({ device_id: 'door' })
    t.deepEqual(await failure(stream.ask({ device_id: deviceId })), { code, details })
  })
}

let seqs = 0
for (const [title, deviceId, camera] of [
  ['a bare name means the gateway’s own namespace first', 'yard', HERE],
  ['another namespace’s camera goes by its full name', 'farm/yard', THERE],
  ['a bare name that is the only one of all namespaces is enough', 'barn', FAR],
  ['the full name works in the own namespace too', 'default/yard', HERE],
] as const) {
  test.serial(title, async t => {
    const { cameras, client } = t.context
    const request = { device_id: deviceId }
    const seq = ++seqs
    const as = { 'client-id': deviceId }
    await client.latest(request, as)
    for (const other of [HERE, THERE, FAR]) cameras.send(other, { seq, height: other === camera ? 8 : 4 })
    const frame = await until(
      async () => {
        const got = await client.latest(request, as)
        return got.data.length > 0 && got
      },
      { what: 'a frame' },
    )
    t.is(frame.packet, seq)
    t.is(frame.height, 8)
    t.is(frame.device_id, deviceId) // as it was asked for: a client tells its cameras apart by it
  })
}

test('cameras are listed by their canonical names', async t => {
  const names = (await t.context.client.list()).map(({ name }) => name)
  t.deepEqual(names, ['door', 'farm/barn', 'farm/yard', 'north/gate', 'south/gate', 'yard'])
})

test('calls that are not served, and methods that do not exist, are UNIMPLEMENTED', async t => {
  const { client } = t.context
  const unknown = new Promise((resolve, reject) => {
    const same = (bytes: Buffer) => bytes
    client.stub.makeUnaryRequest('/chrys.cloud.videostreaming.v1beta1.Image/Nonsense', same, same, Buffer.alloc(3), error =>
      error === null ? resolve(undefined) : reject(error),
    )
  })
  t.is((await failure(unknown)).code, status.UNIMPLEMENTED)
})

test('a request of more than 1 MiB, gzip bombs and garbage harm nobody', async t => {
  const { client, gateway } = t.context
  t.is((await failure(client.latest({ device_id: 'x'.repeat(2 ** 20 + 1) }))).code, status.RESOURCE_EXHAUSTED)

  const session = connectHttp2(`http://127.0.0.1:${gateway.port}`)
  const post = async (body: Buffer, extra: Record<string, string>) => {
    const path = '/chrys.cloud.videostreaming.v1beta1.Image/VideoLatestImage'
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...extra })
    let code: unknown
    for (const event of ['response', 'trailers'] as const)
      stream.on(event, (fields: Record<string, unknown>) => (code ??= fields['grpc-status']))
    stream.resume().end(body)
    await once(stream, 'close')
    return Number(code)
  }
  const framed = (payload: Buffer, flag = 0) => {
    const head = Buffer.alloc(5)
    head.writeUInt8(flag, 0)
    head.writeUInt32BE(payload.length, 1)
    return Buffer.concat([head, payload])
  }
  const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20))
  t.is(await post(framed(bomb, 1), { 'grpc-encoding': 'gzip' }), status.RESOURCE_EXHAUSTED)
  t.is(await post(framed(Buffer.alloc(64, 0xff)), {}), status.INTERNAL)
  session.close()

  const socket = createConnection(gateway.port, '127.0.0.1')
  socket.on('error', () => {}).resume()
  socket.end('GET / HTTP/1.1\r\n\r\n' + 'x'.repeat(10_000))
  await once(socket, 'close')
  t.is((await client.latest({ device_id: 'door' })).device_id, 'door')
})

/** A frame's only message, to be spoilt. */
function message(options: FrameOptions) {
  const [only] = frameMessages(CAMERA.uid, fakeFrame(CAMERA, options), 2 ** 20)
  if (only === undefined) throw new Error('a frame has one message at least')
  return only
}

test.serial('bad frames are dropped and counted, and good ones go on', async t => {
  const { cameras, client, gateway } = t.context
  const request = { device_id: CAMERA.name }
  const bad = (reason: string) => gateway.metric('chrysalis_bad_messages_total', `reason="${reason}"`)
  await client.latest(request)
  let seq = 100
  const spoilt: [reason: string, spoil: () => { headers: ReturnType<typeof newHeaders>; payload: Uint8Array }][] = [
    ['empty', () => ({ ...message({ seq: ++seq }), payload: new Uint8Array() })],
    ['version', () => ({ headers: newHeaders(), payload: Buffer.from('hello') })],
    ['version', () => withHeader(HEADER.version, '2')],
    ['header', () => withHeader(HEADER.frame, '')],
    ['header', () => withHeader(HEADER.frame, '{"epoch":')],
    ['header', () => withHeader(HEADER.frame, 'null')],
    ['header', () => withHeader(HEADER.frame, JSON.stringify({ epoch: -1, seq: 'x' }))],
    ['camera', () => withHeader(HEADER.camera, 'uid-of-another')],
    ['size', () => ({ ...message({ seq: ++seq }), payload: message({ seq }).payload.subarray(1) })],
    ['timestamp', () => message({ seq: ++seq, timestamp: Date.now() - 11 * 365.25 * 86_400_000 })],
    ['shape', () => spoiltShape()],
    ['sequence', () => message({ seq: 1 })],
    ['sequence', () => message({ seq: 1000, epoch: RUN - 1 })],
    ['incomplete', () => withHeader(HEADER.part, '2/3')],
    ['header', () => withHeader(HEADER.part, '9/3')],
  ]
  function withHeader(name: string, value: string) {
    const { headers, payload } = message({ seq: ++seq })
    headers.set(name, value)
    return { headers, payload }
  }
  function spoiltShape() {
    const { headers, payload } = message({ seq: ++seq })
    headers.set(HEADER.frame, headers.get(HEADER.frame).replace('"width":16', '"width":1600'))
    return { headers, payload }
  }
  const ask = () =>
    until(
      async () => {
        const frame = await client.latest(request)
        return frame.data.length > 0 && frame
      },
      { what: 'a frame' },
    )
  for (const [reason, spoil] of spoilt) {
    cameras.send(CAMERA, { seq: ++seq })
    t.is((await ask()).packet, seq, reason)
    const before = await bad(reason)
    const { headers, payload } = spoil()
    cameras.nc.publish(frameSubject(CAMERA), payload, { headers })
    await until(async () => (await bad(reason)) === before + 1, { what: `a bad message to be counted as ${reason}` })
  }
  cameras.nc.publish(frameSubject(CAMERA), Buffer.alloc(1000, 0xff)) // no headers at all
  cameras.send(CAMERA, { seq: ++seq })
  t.is((await ask()).packet, seq)
  t.is(gateway.log().match(/dropped bad frames/g)?.length, 1) // at most once a minute
})

test('a gateway that begins to listen in the middle of a frame, or does so anew, counts no bad message', async t => {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url, [CAMERA])
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await using client = grpcClient(gateway.port)
  const request = { device_id: CAMERA.name }
  let seq = 0
  const beginInTheMiddle = async () => {
    await client.latest(request)
    const [, ...rest] = frameMessages(CAMERA.uid, fakeFrame(CAMERA, { seq: ++seq }), 100)
    for (const { headers, payload } of rest) cameras.nc.publish(frameSubject(CAMERA), payload, { headers })
    const goesOn = async () => {
      cameras.send(CAMERA, { seq: ++seq, partBytes: 100 })
      return (await client.latest(request)).data.length > 0
    }
    await until(goesOn, { what: 'a whole frame' })
    t.is(await gateway.metric('chrysalis_bad_messages_total'), 0)
  }
  await beginInTheMiddle()
  await nats.restart()
  await until(async () => (await gateway.metric('chrysalis_nats_reconnects_total')) === 6, { what: 'the gateway’s links to be back' })
  await until(
    () =>
      cameras.nc.flush().then(
        () => true,
        () => false,
      ),
    { what: 'the camera to be back' },
  )
  await beginInTheMiddle()
})

test.serial('bad values about cameras are dropped and counted, and what was known stays', async t => {
  const { cameras, client, gateway } = t.context
  const bad = () => gateway.metric('chrysalis_bad_messages_total')
  const key = cameraKey(CAMERA)
  for (const [bucket, at, value] of [
    ['cameras', key, '{'],
    ['cameras', key, '[]'],
    ['cameras', key, Buffer.from([0xff, 0xfe])],
    ['cameras', key, ''],
    ['cameras', key, JSON.stringify({ ...cameraRecord(CAMERA), v: 2 })],
    ['cameras', key, encodeState(cameraRecord(HERE))],
    ['cameras', key, encodeState(cameraRecord({ ...CAMERA, name: 'a.b' }))],
    ['cameras', 'one', encodeState(cameraRecord(CAMERA))],
    ['states', key, 'null'],
    ['states', key, encodeState(cameraState(CAMERA, { failingStreak: -1 }))],
    ['states', 'a.b.c', encodeState(cameraState(CAMERA))],
  ] as const) {
    const before = await bad()
    await cameras.putRaw(bucket, at, value)
    await until(async () => (await bad()) > before, { what: `a bad value at ${bucket} ${at} to be counted` })
  }
  t.is((await client.latest({ device_id: CAMERA.name })).device_id, CAMERA.name)
  t.is((await client.list()).length, 6)
  t.is(refText(CAMERA), 'default/door')
})

test('metadata that is none is not written to the log', async t => {
  const { gateway } = t.context
  const session = connectHttp2(`http://127.0.0.1:${gateway.port}`)
  const path = '/chrys.cloud.videostreaming.v1beta1.Image/SystemTime'
  const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', 'x-note': 'gardé' })
  const [fields] = (await once(stream.end(Buffer.alloc(5)), 'response')) as [Record<string, unknown>]
  t.is(fields[':status'], 200)
  await once(stream.resume(), 'close')
  session.close()
  t.notRegex(gateway.log(), /^[^{]/m)
})

test('health checks by the standard service', async t => {
  const client = new GrpcClient(`127.0.0.1:${t.context.gateway.port}`, credentials.createInsecure())
  const check = (service: string) =>
    new Promise<number>((resolve, reject) => {
      const request = Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)])
      const parse = (bytes: Buffer) => (bytes[0] === 0x08 ? (bytes[1] ?? 0) : 0)
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        () => request,
        parse,
        {},
        new Metadata(),
        (error, value) => (error === null ? resolve(value ?? 0) : reject(error)),
      )
    })
  await until(async () => (await check('')) === 1, { what: 'health SERVING' })
  t.is(await check('chrys.cloud.videostreaming.v1beta1.Image'), 1)
  t.is((await failure(check('nonsense'))).code, status.NOT_FOUND)
  client.close()
})

test('reflection describes the Image service', async t => {
  const client = new GrpcClient(`127.0.0.1:${t.context.gateway.port}`, credentials.createInsecure())
  const same = (bytes: Buffer) => bytes
  const call = client.makeBidiStreamRequest('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', same, same)
  call.write(Buffer.from([0x3a, 0x00])) // list_services
  const [answer] = (await once(call, 'data')) as [Buffer]
  t.true(answer.includes('chrys.cloud.videostreaming.v1beta1.Image'))
  call.end()
  client.close()
})
