// Two streams of one camera: which frames come from which, and when the substream is connected.
import test from 'ava'
import { status, type ServiceError } from '@grpc/grpc-js'
import type { PacketsResponse__Output } from '../proto/generated/chrys/cloud/frames/v1/PacketsResponse.ts'
import { renditionFrom, substreamOf } from '../gateway/frames/substream.ts'
import type { KnownCamera } from '../gateway/cameras.ts'
import { frameId, isLater, placeOfFrame } from '../proto/frame-id.ts'
import { FULL_BGR24, type Rendition } from '../proto/rendition.ts'
import { sourceOf, substreamOf as substreamSource } from '../sidecar/source/source.ts'
import { cameraRecord, cameraState, startCameras } from './fixtures/cameras.ts'
import { framesClient } from './fixtures/frames-client.ts'
import { grpcClient, startGateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { startPythonClient } from './fixtures/python-client.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { until, within } from './fixtures/wait.ts'

const MAIN = { width: 640, height: 360, fps: 10, gop: 10 }
const SUB = { width: 320, height: 180, fps: 10, gop: 10 }
const DOOR = { namespace: 'default', name: 'door', uid: 'uid-door' }
const PLAIN = { namespace: 'default', name: 'plain', uid: 'uid-plain' }
const auth = { user: 'viewer', password: 'secret' }

test('small frames come from the substream, large ones from the main stream, and each is connected only while it is wanted', async t => {
  t.timeout(240_000)
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const cameras = stack.use(await startCameras(nats.url, [PLAIN]))
  const gateway = stack.use(await startGateway(nats.url))
  const [main, sub] = await Promise.all([startCamera({ ...MAIN, auth }), startCamera({ ...SUB, auth })])
  stack.use(main)
  stack.use(sub)
  await cameras.put(DOOR, { substream: true })
  const sidecar = stack.use(
    await startSidecar(nats, {
      ...{ name: DOOR.name, uid: DOOR.uid, credentials: { username: auth.user, password: auth.password } },
      spec: { source: { url: main.url, substream: { url: sub.url } } },
    }),
  )
  const client = stack.use(framesClient(gateway.port))
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })

  // Its size is learnt, and then it is let go.
  const learnt = await sidecar.stateWith('a substream whose size is known', ({ substream }) => substream?.codec !== undefined)
  t.like(learnt.substream, { codec: { width: SUB.width, height: SUB.height } })
  await sidecar.stateWith(
    'a substream that is off',
    ({ substream, connection }) => substream?.connection === 'off' && connection === 'streaming',
  )

  // One frame does not connect it.
  const size = { width: 160, format: 'PIXEL_FORMAT_GRAY8' } as const
  const brief = await client.snapshot({ camera: 'door', rendition: size })
  t.like(brief, { stream: 'STREAM_MAIN', width: 160, height: 90 })
  t.is((await sidecar.state())?.substream?.connection, 'off')

  using small = client.watch({ wish: { cameras: ['door'], rendition: size, mode: 'MODE_EVERY' }, credit: 1_000 })
  const from = (stream: string) => small.frames.filter(frame => frame.stream === stream)
  await until(() => from('STREAM_SUB').length >= 10, { what: 'frames of the substream', timeoutMs: 60_000 })
  const turn = small.frames.findIndex(({ stream }) => stream === 'STREAM_SUB')
  t.true(turn > 0, 'the main stream gives frames until the substream does')
  t.deepEqual([...new Set(small.frames.slice(0, turn).map(({ stream }) => stream))], ['STREAM_MAIN'])
  t.deepEqual([...new Set(small.frames.slice(turn).map(({ stream }) => stream))], ['STREAM_SUB'])
  t.deepEqual([...new Set(small.frames.map(({ width, height }) => `${width}x${height}`))], ['160x90'])
  t.like(small.frames.at(-1)?.geometry, { source_width: SUB.width, source_height: SUB.height })
  t.like(small.frames[0]?.geometry, { source_width: MAIN.width, source_height: MAIN.height })
  const times = small.frames.map(({ capture_time_ms }) => capture_time_ms)
  t.deepEqual(
    times.filter((time, i) => i > 0 && time <= (times[i - 1] ?? 0)),
    [],
    'time goes on over the change of streams',
  )
  t.is(new Set(small.frames.map(({ id }) => id)).size, small.frames.length)

  // What is in use already gives single frames too, and a client may insist on either.
  t.is((await client.snapshot({ camera: 'door', rendition: size })).stream, 'STREAM_SUB')
  t.is((await client.snapshot({ camera: 'door', rendition: size, stream: 'STREAM_MAIN' })).stream, 'STREAM_MAIN')
  const region = { x: 0, y: 0, width: 100, height: 100 }
  for (const rendition of [{}, { width: 322 }, { ...size, region }])
    t.is((await client.snapshot({ camera: 'door', rendition })).stream, 'STREAM_MAIN')
  t.like(await client.snapshot({ camera: 'door', stream: 'STREAM_SUB' }), { stream: 'STREAM_SUB', width: SUB.width, height: SUB.height })

  const packets = await firstPackets(client, 'STREAM_SUB', 3)
  t.like(packets.find(({ codec }) => codec)?.codec, { width: SUB.width, height: SUB.height })
  for (const { packet } of packets) if (packet) t.true(packet.id.endsWith('-s'), packet.id)
  t.like((await firstPackets(client, 'STREAM_UNSPECIFIED', 1)).find(({ codec }) => codec)?.codec, { width: MAIN.width })

  const url = `http://127.0.0.1:${gateway.httpPort}/cameras`
  const jpeg = await fetch(`${url}/door/frame.jpg?width=200`)
  t.regex(jpeg.headers.get('x-frame-id') ?? '', /-s$/)
  const over = new AbortController()
  const mp4 = await fetch(`${url}/door/live.mp4?stream=sub`, { signal: over.signal })
  t.is(mp4.status, 200)
  const { value = new Uint8Array() } = (await mp4.body?.getReader().read()) ?? {}
  t.true(value.length > 0)
  over.abort()
  const said = (await (await fetch(url)).json()) as { name: string; substream?: object; health: string }[]
  t.like(
    said.find(({ name }) => name === 'door'),
    { health: 'healthy', substream: { connected: true, width: SUB.width, height: SUB.height } },
  )
  t.is(said.find(({ name }) => name === 'plain')?.substream, undefined)

  await using program = startPythonClient(`127.0.0.1:${gateway.port}`, 'substream')
  t.is(await within(program.ended, { what: 'the Python program', timeoutMs: 60_000 }), 0, program.errors())
  const one = (event: string) => program.said.find(facts => facts.event === event)
  t.like(one('frame'), { stream: 'sub', source: [SUB.width, SUB.height], shape: [SUB.height, SUB.width] })
  t.like(one('snapshot'), { streams: ['main', 'sub'] })
  t.like(one('packet'), { width: SUB.width })
  t.like(one('info'), { connected: true, width: SUB.width, why: null })
  t.deepEqual(
    program.said.flatMap(({ event, got }) => (event === 'mistake' ? [got] : [])),
    ['BadOption', 'BadOption', 'BadOption'],
  )

  // Without it the main stream goes on, and the reason is told.
  await sub.kill()
  const broken = await sidecar.stateWith(
    'a substream that fails',
    ({ substream }) => substream?.connection === 'waiting' && substream.reason === 'ConnectionRefused',
  )
  t.is(broken.connection, 'streaming')
  const before = from('STREAM_MAIN').length
  await until(() => from('STREAM_MAIN').length > before + 5, { what: 'frames of the main stream again' })
  await using image = grpcClient(gateway.port)
  const listed = await until(async () => (await image.list()).find(({ name, error }) => name === 'door' && error !== ''), {
    what: 'a reason in ListStreams',
  })
  t.like(listed, { status: 'running', health_status: 'unhealthy' })
  t.regex(listed.error, /^ConnectionRefused: The substream: /)
  await sub.restart()
  const sofar = from('STREAM_SUB').length
  await until(() => from('STREAM_SUB').length > sofar + 5, { what: 'frames of the substream again', timeoutMs: 60_000 })

  // Nothing wants it any more.
  small[Symbol.dispose]()
  await sidecar.stateWith('a substream that is off again', ({ substream }) => substream?.connection === 'off', 60_000)
  t.false(sidecar.log().includes(auth.password))

  const refused = await client.snapshot({ camera: 'plain', stream: 'STREAM_SUB' }).catch((error: unknown) => error as ServiceError)
  t.like(refused, { code: status.FAILED_PRECONDITION, details: 'camera "plain" has no substream: set spec.source.substream' })
  for (const path of ['door/frame.jpg?stream=big', 'door/frame.jpg?stream=sub&at=1000', 'door/live.ts?stream=3'])
    t.is((await fetch(`${url}/${path}`)).status, 400)
  t.is((await fetch(`${url}/plain/live.mp4?stream=sub`)).status, 409)
})

async function firstPackets(
  client: ReturnType<typeof framesClient>,
  stream: 'STREAM_SUB' | 'STREAM_UNSPECIFIED',
  count: number,
): Promise<PacketsResponse__Output[]> {
  const call = client.stub.Packets({ camera: 'door', stream })
  call.on('error', () => {})
  const got: PacketsResponse__Output[] = []
  call.on('data', (response: PacketsResponse__Output) => got.push(response))
  await until(() => got.filter(({ packet }) => packet).length >= count, { what: `packets of ${stream}` })
  call.cancel()
  return got
}

const codec = (width: number, height: number) => ({
  ...{ name: 'h264', longName: '', width, height, pixFmt: 'yuv420p', extradata: '', timeBase: [1, 90_000] as [number, number], reorder: 0 },
})
function known(main: [number, number], sub: [number, number] | undefined): KnownCamera {
  const state = cameraState(DOOR, {
    codec: codec(...main),
    substream: { connection: 'streaming', fps: 10, ...(sub === undefined ? {} : { codec: codec(...sub) }) },
  })
  const record = cameraRecord(DOOR, { substream: true })
  return { ref: DOOR, uid: DOOR.uid, deviceId: 'door', record, report: { state, receivedMs: 0 }, runningSince: 0 }
}

const CASES: [string, [number, number], [number, number] | undefined, Partial<Rendition>, string | undefined][] = [
  ['smaller', [1920, 1080], [640, 360], { width: 320, height: 180 }, '320x180'],
  ['of the same size', [1920, 1080], [640, 360], { width: 640, height: 360 }, '640x360'],
  ['wider', [1920, 1080], [640, 360], { width: 642, height: 100 }, undefined],
  ['higher', [1920, 1080], [640, 360], { width: 100, height: 362 }, undefined],
  ['the whole frame', [1920, 1080], [640, 360], {}, undefined],
  ['whose height follows', [1920, 1080], [640, 360], { width: 320 }, '320x180'],
  ['whose width follows', [1920, 1080], [640, 360], { height: 360 }, '640x360'],
  ['whose height follows, of another shape: that of the main stream', [1920, 1080], [704, 576], { width: 320 }, '320x180'],
  ['in a letterbox', [1920, 1080], [640, 360], { width: 320, height: 320, fit: 'letterbox' }, '320x320'],
  ['in a letterbox, of another shape', [1920, 1080], [704, 576], { width: 320, height: 320, fit: 'letterbox' }, undefined],
  ['cut, of another shape', [1920, 1080], [704, 576], { width: 320, height: 320, fit: 'crop' }, undefined],
  ['of a region', [1920, 1080], [640, 360], { width: 320, height: 180, region: { x: 0, y: 0, width: 9, height: 9 } }, undefined],
  ['before the size is known', [1920, 1080], undefined, { width: 320, height: 180 }, undefined],
]
for (const [what, main, sub, change, expected] of CASES) {
  test(`which rendition the substream gives: ${what}`, t => {
    const camera = known(main, sub)
    const found = renditionFrom(camera, substreamOf(camera), { ...FULL_BGR24, ...change })
    t.is(found && `${found.width}x${found.height}`, expected)
  })
}

test('ids of the two streams differ, and cannot be compared', t => {
  const place = { epoch: 1_700_000_000_000, keyframe: 2, index: 3 }
  const ids = [frameId(place), frameId({ ...place, sub: true })]
  t.is(new Set(ids).size, 2)
  t.deepEqual(ids.map(placeOfFrame), [place, { ...place, sub: true }])
  t.true(isLater({ ...place, sub: true }, place))
  t.true(isLater(place, { ...place, sub: true }))
  t.is(placeOfFrame(`${ids[0]}-x`), undefined)
})

const WRONG: [string, { url?: string; onvif?: { address: string; profile: string } }, { url?: string; profile?: string }, RegExp][] = [
  ['neither', { url: 'rtsp://a/' }, {}, /^spec\.source\.substream: must be exactly one of url and profile/],
  ['both', { url: 'rtsp://a/' }, { url: 'rtsp://a/', profile: 'sub' }, /^spec\.source\.substream: must be exactly one/],
  ['a profile of no device', { url: 'rtsp://a/' }, { profile: 'sub' }, /^spec\.source\.substream\.profile: needs spec\.source\.onvif/],
  ['a file', { url: 'rtsp://a/' }, { url: 'file:///etc/passwd' }, /^spec\.source\.substream\.url: must start with rtsp:/],
  ['a password', { url: 'rtsp://a/' }, { url: 'rtsp://u:p@h/' }, /^spec\.source\.substream\.url: credentials belong in/],
]
for (const [what, main, sub, message] of WRONG) {
  test(`a substream is refused: ${what}`, t => {
    t.throws(() => substreamSource(main, sub), { message })
    t.notThrows(() => sourceOf(main))
  })
}
