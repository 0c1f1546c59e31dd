// Cameras that are decoded here or there, and go from one to the other while clients watch.
import anyTest, { type TestFn } from 'ava'
import { refText } from '../proto/subjects.ts'
import { HD, type FakeCamera } from './fixtures/cameras.ts'
import { grpcClient, startGateway } from './fixtures/gateway.ts'
import { addCamera, decodedIn, labelOf, sendBoth, seqOf, startWorld, take, type Where, type World } from './fixtures/shown.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest as TestFn<World>

test.before(async t => void (t.context = await startWorld()))
test.after.always(t => t.context.stack.disposeAsync())

const SETTLED = { epoch: Date.now() - 60_000, fps: 30 }

test('a camera that is watched goes to the gateway and back, as its size, its spec and its buffer change: no frame twice, none backwards', async t => {
  const { cameras, gateway } = t.context
  const camera = await addCamera(t, decodedIn('Auto'))
  using _another = cameras.anotherGateway(camera)
  const report = (change: object) => cameras.report(camera, { ...SETTLED, ...change })
  await report({ codec: { ...HD, width: 640, height: 360 } })
  await using client = grpcClient(gateway.port)
  using stream = client.stream()
  const ask = () => stream.ask({ device_id: camera.name })
  await ask()
  using sending = sendBoth(camera)
  const last = () => cameras.demands.findLast(({ camera: ref }) => ref === refText(camera))
  const isIn = (where: Where) =>
    (last()?.wants === 'none') === (where === 'Gateway') && (where === 'Sidecar' || last()?.decoding?.active === true)
  let before = -1
  const goesTo = async (where: Where, why: string) => {
    const frames = await take(t, ask, `frames of the ${where}: ${why}`, got => got.length > 5 && isIn(where))
    const more = await take(t, ask, `more frames of the ${where}: ${why}`, got => got.length > 10)
    for (const frame of [...frames, ...more]) {
      t.true(seqOf(frame) > before, `${why}: ${seqOf(frame)} after ${before}`)
      before = seqOf(frame)
    }
    t.true(sending.seq - before < 30, `${why}: frame ${before} of ${sending.seq}`)
    t.is(await gateway.metric('chrysalis_decoder_running', labelOf(camera)), where === 'Gateway' ? 1 : 0)
  }
  await goesTo('Sidecar', 'it is small')
  await report({ codec: HD })
  await goesTo('Gateway', 'it has become large')
  await report({ codec: HD, buffer: { ok: false, reason: 'BufferQuotaExceeded', message: '' } })
  await goesTo('Sidecar', 'its packets are not published')
  await report({ codec: HD })
  await goesTo('Gateway', 'they are again')
  await cameras.put(camera, decodedIn('Auto', { scale: '640:-2' }))
  await goesTo('Sidecar', 'it is scaled down')
  await cameras.put(camera, decodedIn('Gateway', { scale: '80:-2' }))
  await goesTo('Gateway', 'the spec wants it')
  const [scaled] = await take(t, ask, 'a frame', got => got.length > 0)
  t.deepEqual([scaled?.width, scaled?.height], [80, 48])
  await cameras.put(camera, decodedIn('Sidecar'))
  await goesTo('Sidecar', 'the spec wants it so')
  t.is(await gateway.metric('chrysalis_decoding_moves_total', labelOf(camera)), 6)
})

test('the limit is the gateway’s own: with another one it decodes what it did not before', async t => {
  const { nats, cameras } = t.context
  const camera = await addCamera(t, decodedIn('Auto'))
  using _another = cameras.anotherGateway(camera)
  await cameras.report(camera, { ...SETTLED, codec: { ...HD, width: 640, height: 360 } })
  using _sending = sendBoth(camera)
  for (const [limit, decoded] of [
    ['26', 0], // a fifth more than it takes, so that it goes back once the other gateway is heard of
    ['20', 1],
  ] as const) {
    await using gateway = await startGateway(nats.url, { CHRYS_RAW_FRAMES_MAX_MB: limit })
    await until(() => gateway.ready(), { what: 'the gateway' })
    await using client = grpcClient(gateway.port)
    // As long as it has not heard the camera's size it leaves the camera where it is.
    await until(async () => (await client.latest({ device_id: camera.name })).data.length > 0, { what: 'a frame' })
    const isSettled = async () => {
      await client.latest({ device_id: camera.name })
      return (await gateway.metric('chrysalis_decoder_running', labelOf(camera))) === decoded
    }
    await until(isSettled, { what: `${decoded} decoders with a limit of ${limit} MB` })
    const given = decoded === 1 ? 'chrysalis_frames_decoded_total' : 'chrysalis_frames_received_total'
    const gives = async () => (await isSettled()) && (await gateway.metric(given, labelOf(camera))) > 0
    t.true(await until(gives, { what: given }))
  }
})

test('a camera whose packets don’t come is left to its own pod after a while', async t => {
  const { cameras, gateway } = t.context
  const camera = await addCamera(t, decodedIn('Auto'))
  const codec = HD
  await cameras.report(camera, { ...SETTLED, codec, lastPacketAt: Date.now() })
  await using client = grpcClient(gateway.port)
  const last = () => cameras.demands.findLast(({ camera: ref }) => ref === refText(camera))
  const asked = async () => {
    await cameras.report(camera, { ...SETTLED, codec, lastPacketAt: Date.now() })
    await client.latest({ device_id: camera.name })
  }
  await until(async () => (await asked(), last()?.wants === 'none'), { what: 'the gateway to decode', everyMs: 200 })
  await until(async () => (await asked(), last()?.wants === 'all'), { what: 'the gateway to give up', everyMs: 200 })
  camera.show('Sidecar', 1)
  t.deepEqual(
    (
      await take(
        t,
        () => client.latest({ device_id: camera.name }),
        'the frame',
        got => got.length > 0,
      )
    ).map(seqOf),
    [1],
  )
})

test('decoders are bounded: the next cameras give keyframes, and then none, and say so', async t => {
  const { nats, cameras } = t.context
  await using gateway = await startGateway(nats.url, { CHRYS_DECODERS_MAX: '1', CHRYS_RAW_FRAMES_MAX_MB: '0' })
  await until(() => gateway.ready(), { what: 'the gateway' })
  const UHD = { ...HD, width: 3840, height: 2160 }
  const [first, second, auto, third] = [
    await addCamera(t, decodedIn('Gateway'), gateway),
    await addCamera(t, decodedIn('Gateway'), gateway),
    await addCamera(t, decodedIn('Auto'), gateway),
    await addCamera(t, decodedIn('Gateway'), gateway),
  ]
  await cameras.report(first, { ...SETTLED, codec: HD })
  for (const camera of [second, auto, third]) await cameras.report(camera, { ...SETTLED, codec: UHD })
  await using client = grpcClient(gateway.port)
  const demandOf = (camera: FakeCamera) => cameras.demands.findLast(({ camera: ref }) => ref === refText(camera))
  const others = [second, auto, third]
  await client.latest({ device_id: first.name })
  for (const { name } of others) await client.latest({ device_id: name })
  await until(() => others.every(camera => demandOf(camera)?.decoding?.ok === false), { what: 'word of the cameras without room' })
  const busy = 'all 1 decoders of the gateway are in use'
  const shortage = (message: string) => ({ wants: 'none' as const, decoding: { ok: false, reason: 'DecodersBusy' as const, message } })
  t.like(demandOf(second), shortage(`only keyframes are given: ${busy}`))
  // A camera too many of 4K is not moved raw instead, which would take the link from all others.
  t.like(demandOf(auto), shortage(busy))
  t.like(demandOf(third), shortage(busy))
  await until(async () => (await gateway.metric('chrysalis_decoders_refused')) === 2, { what: 'the metric of those refused' })
  await until(async () => (await gateway.metric('chrysalis_cameras_thinned')) === 1, { what: 'the metric of those with fewer frames' })
  t.is(demandOf(first)?.decoding?.reason, undefined)
  // Nobody watches the first one any more: its decoder is free for whoever comes first.
  const freed = async () => {
    await Promise.all(others.map(({ name }) => client.latest({ device_id: name })))
    return others.some(camera => demandOf(camera)?.decoding?.ok === true)
  }
  await until(freed, { what: 'the decoder to go to another camera', everyMs: 500 })
})
