// Frames that the gateway decodes from packets, and frames that it gets from the sidecar: clients can't tell them apart.
import { readFileSync } from 'node:fs'
import anyTest, { type TestFn } from 'ava'
import type { VideoFrame__Output } from '../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import { packetMessages } from '../proto/messages.ts'
import { packetStream, packetSubject, refText } from '../proto/subjects.ts'
import { encodedCamera, GOP } from './fixtures/encoded-camera.ts'
import { failure, grpcClient, startGateway, type Gateway } from './fixtures/gateway.ts'
import { descendants } from './fixtures/processes.ts'
import { digest } from './fixtures/reference.ts'
import { addCamera, decodedIn, labelOf, play, range, sendBoth, seqOf, startWorld, take, WHERE, type World } from './fixtures/shown.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest as TestFn<World>

test.before(async t => void (t.context = await startWorld()))
test.after.always(t => t.context.stack.disposeAsync())

for (const where of WHERE) {
  test(`${where}: two clients each get every frame once and in order, one by a stream and one by calls`, async t => {
    const { gateway } = t.context
    const camera = await addCamera(t, decodedIn(where))
    await using one = grpcClient(gateway.port)
    await using other = grpcClient(gateway.port)
    using stream = one.stream()
    const request = { device_id: camera.name }
    const asks = [() => stream.ask(request), () => other.latest(request)]
    await Promise.all(asks.map(ask => ask()))
    const [ofOne = [], ofOther = []] = await play(seq => camera.show(where, seq), [0, 59], asks)
    t.deepEqual(ofOne.map(seqOf), range(0, 59))
    t.deepEqual(ofOther.map(seqOf), range(0, 59))
    t.true(ofOne.every(frame => frame.device_id === camera.name && frame.data.length === frame.width * frame.height * 3))
    t.is(await gateway.metric('chrysalis_frames_decoded_total', labelOf(camera)), where === 'Gateway' ? 60 : 0)
  })

  test(`${where}: who wants keyframes gets those, beside one who gets all`, async t => {
    const camera = await addCamera(t, decodedIn(where))
    await using one = grpcClient(t.context.gateway.port)
    await using other = grpcClient(t.context.gateway.port)
    using all = one.stream()
    using keys = other.stream()
    const asks = [() => all.ask({ device_id: camera.name }), () => keys.ask({ device_id: camera.name, key_frame_only: true })]
    await Promise.all(asks.map(ask => ask()))
    const [ofAll = [], ofKeys = []] = await play(seq => camera.show(where, seq), [0, 39], asks, [1, GOP])
    t.deepEqual(ofAll.map(seqOf), range(0, 39))
    t.deepEqual(ofKeys.map(seqOf), [0, 10, 20, 30])
    t.true(ofKeys.every(({ is_keyframe }) => is_keyframe))
  })

  test(`${where}: a camera replaced by a namesake shows nothing of the old one`, async t => {
    const { cameras, gateway } = t.context
    const camera = await addCamera(t, decodedIn(where))
    await using client = grpcClient(gateway.port)
    using stream = client.stream()
    const ask = () => stream.ask({ device_id: camera.name })
    await ask()
    await play(seq => camera.show(where, seq), [0, 5], [ask])
    const other = { ...camera, uid: `${camera.uid}-again` }
    await cameras.put(other, decodedIn(where))
    const from = cameras.demands.length
    const isNew = () =>
      cameras.demands
        .slice(from)
        .some(({ camera: ref, wants, decoding }) => ref === refText(camera) && (wants !== 'none' || decoding !== undefined))
    await until(async () => (await ask(), isNew()), { what: 'demand for the new camera' })
    for (const seq of range(10, 20)) camera.show(where, seq)
    for (let i = 0; i < 10; i++) t.is((await ask()).data.length, 0)
    const encoded = await encodedCamera(cameras.nc, other)
    const epoch = Date.now()
    const show = (seq: number) => (where === 'Gateway' ? encoded.send(seq, { epoch }) : cameras.send(other, { seq, epoch }))
    const [frames = []] = await play(show, [0, 9], [ask])
    t.deepEqual(frames.map(seqOf), range(0, 9))
  })
}

test('who asks in the middle of a group of pictures gets the newest frame, of packets that were stored before', async t => {
  const camera = await addCamera(t, decodedIn('Gateway'))
  await camera.encoded.makeStream()
  for (const seq of range(0, 17)) await camera.encoded.store(seq)
  await using client = grpcClient(t.context.gateway.port)
  using stream = client.stream()
  const frames = await take(
    t,
    () => stream.ask({ device_id: camera.name }),
    'the newest frame',
    got => got.length > 0,
  )
  t.deepEqual(frames.map(seqOf), [17])
})

test('packets that came in parts are put together, whether they were stored or come now', async t => {
  const { cameras, gateway } = t.context
  const camera = await addCamera(t, decodedIn('Gateway'))
  const encoded = await encodedCamera(cameras.nc, camera, 300)
  await encoded.makeStream()
  for (const seq of range(0, 10)) await encoded.store(seq) // the last is a keyframe
  await using client = grpcClient(gateway.port)
  using stream = client.stream()
  const ask = () => stream.ask({ device_id: camera.name })
  t.deepEqual((await take(t, ask, 'the newest frame', got => got.length > 0)).map(seqOf), [10])
  for (const seq of range(11, 24)) await encoded.store(seq)
  const frames = await take(t, ask, 'frame 24', got => got.some(frame => seqOf(frame) === 24))
  t.true(frames.every(frame => seqOf(frame) > 10 && !frame.is_corrupt))
  t.is(await gateway.metric('chrysalis_frames_dropped_total', `${labelOf(camera)},reason="packets_lost"`), 0)
})

test('packets that were missed are read from the stream, and of those that nobody has nothing is guessed', async t => {
  const { gateway } = t.context
  const camera = await addCamera(t, decodedIn('Gateway'))
  const { encoded } = camera
  await encoded.makeStream()
  await using client = grpcClient(gateway.port)
  using stream = client.stream()
  const ask = () => stream.ask({ device_id: camera.name })
  await encoded.store(0)
  await take(t, ask, 'frame 0', got => got.some(frame => seqOf(frame) === 0))
  for (const seq of range(1, 2)) await encoded.store(seq)
  await take(t, ask, 'frame 2', got => got.some(frame => seqOf(frame) === 2))
  await encoded.store(3, { unheard: true })
  await encoded.store(4)
  await encoded.store(5)
  const next = await take(t, ask, 'frame 5', got => got.some(frame => seqOf(frame) === 5))
  t.true(next.every(frame => [3, 4, 5].includes(seqOf(frame))))
  t.is(await gateway.metric('chrysalis_frames_dropped_total', `${labelOf(camera)},reason="packets_lost"`), 0)
  // 6 is lost.
  for (const seq of range(7, 12)) await encoded.store(seq)
  const after = await take(t, ask, 'frame 12', got => got.some(frame => seqOf(frame) === 12))
  t.true(
    after.every(frame => seqOf(frame) >= 10 && !frame.is_corrupt),
    after.map(seqOf).join(' '),
  )
  t.true((await gateway.metric('chrysalis_frames_dropped_total', `${labelOf(camera)},reason="packets_lost"`)) >= 3)
})

const isRunning = (gateway: Gateway) => descendants(gateway.pid).filter(({ command }) => command.includes('ffmpeg')).length

test('nobody asked for ten seconds: the decoder is gone; and it goes with the gateway', async t => {
  const { nats, cameras } = t.context
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway' })
  const camera = await addCamera(t, decodedIn('Gateway'), gateway)
  await using client = grpcClient(gateway.port)
  const ask = () => client.latest({ device_id: camera.name })
  using _sending = sendBoth(camera)
  await take(t, ask, 'frames', got => got.length > 3)
  t.is(isRunning(gateway), 1)
  t.is(await gateway.metric('chrysalis_decoder_running', labelOf(camera)), 1)
  await until(() => isRunning(gateway) === 0, { what: 'the end of the decoder' })
  const last = () => cameras.demands.findLast(({ camera: ref }) => ref === refText(camera))
  await until(() => last()?.wants === 'none' && last()?.decoding === undefined, { what: 'nothing to be told of decoding' })
  await take(t, ask, 'frames again', got => got.length > 3)
  const [{ pid } = { pid: 0 }] = descendants(gateway.pid).filter(({ command }) => command.includes('ffmpeg'))
  t.is(await gateway.stop(), 0)
  t.throws(() => readFileSync(`/proc/${pid}/stat`))
})

test('packets of a broken or hostile peer are dropped and counted, and harm neither their camera nor others', async t => {
  const { nats, cameras } = t.context
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway' })
  const good = await addCamera(t, decodedIn('Gateway'), gateway)
  const bad = await addCamera(t, decodedIn('Gateway'), gateway)
  await using client = grpcClient(gateway.port)
  using ofGood = client.stream()
  using ofBad = client.stream()
  const ask = () => ofGood.ask({ device_id: good.name })
  await ofBad.ask({ device_id: bad.name })
  using _sending = sendBoth(good)
  await take(t, ask, 'frames', got => got.length > 3)
  const { encoded } = bad
  const publish = (uid: string, packet: Parameters<typeof packetMessages>[1], codec = encoded.codec) => {
    for (const { headers, payload } of packetMessages(uid, packet, 0, codec, 8 << 20))
      cameras.nc.publish(packetSubject(bad), payload, { headers })
  }
  cameras.nc.publish(packetSubject(bad), Buffer.alloc(0))
  cameras.nc.publish(packetSubject(bad), Buffer.from('garbage'))
  publish('another-uid', encoded.packet(0))
  publish(bad.uid, encoded.packet(0, { timestamp: 1 }))
  publish(bad.uid, encoded.packet(0), { ...encoded.codec, width: 70_000 })
  for (const reason of ['empty', 'version', 'camera', 'timestamp', 'header']) {
    await until(async () => (await gateway.metric('chrysalis_bad_messages_total', `reason="${reason}"`)) > 0, { what: `a bad ${reason}` })
  }
  // Well-formed, and still no pictures: noise, a size that isn't true, an unknown codec, epochs from the future, repetitions.
  const noise = () => Buffer.from(Array.from({ length: 2_000 }, () => Math.floor(Math.random() * 256)))
  for (let seq = 0; seq < 50; seq++) publish(bad.uid, encoded.packet(seq, { epoch: 1, data: noise() }))
  for (let seq = 0; seq < 20; seq++) publish(bad.uid, encoded.packet(seq, { epoch: 2 }), { ...encoded.codec, width: 16, height: 16 })
  publish(bad.uid, encoded.packet(0, { epoch: 3 }), { ...encoded.codec, name: 'theora' })
  publish(bad.uid, encoded.packet(0, { epoch: 4 }), { ...encoded.codec, width: 65_535, height: 65_535 })
  publish(bad.uid, encoded.packet(0, { epoch: 5, pts: Number.MAX_SAFE_INTEGER, dts: -Number.MAX_SAFE_INTEGER }))
  publish(bad.uid, encoded.packet(3, { epoch: 5, pts: -Number.MAX_SAFE_INTEGER }))
  const frames = await take(t, ask, 'frames of the other camera', got => got.length > 60)
  t.true(frames.length > 60)
  // And the camera itself goes on where honest packets come.
  const epoch = Date.now()
  let seq = 0
  const timer = setInterval(() => encoded.send(seq++, { epoch, timestamp: Date.now() }), 33)
  // Of the packets whose size wasn't true there may be a picture left.
  const askBad = async () => {
    const frame = await ofBad.ask({ device_id: bad.name })
    return frame.timestamp > epoch ? frame : { ...frame, data: Buffer.alloc(0) }
  }
  await take(t, askBad, 'frames of the camera itself', got => got.length > 10)
  clearInterval(timer)
  t.true(isRunning(gateway) <= 3)
  t.is((await failure(client.latest({ device_id: 'nowhere' }))).details, 'camera "nowhere" not found')
})

test('frames go on after the packet stream was purged, deleted and made anew', async t => {
  const { cameras, gateway } = t.context
  const camera = await addCamera(t, decodedIn('Gateway'))
  await camera.encoded.makeStream()
  const jsm = await cameras.nc.jetstreamManager()
  await using client = grpcClient(gateway.port)
  using stream = client.stream()
  const ask = () => stream.ask({ device_id: camera.name })
  using _sending = sendBoth(camera)
  await take(t, ask, 'frames', got => got.length > 5)
  await jsm.streams.purge(packetStream(camera))
  await take(t, ask, 'frames after the purge', got => got.length > 10)
  await jsm.streams.delete(packetStream(camera))
  await take(t, ask, 'frames without a stream', got => got.length > 10)
  await camera.encoded.makeStream()
  const frames = await take(t, ask, 'frames with a new stream', got => got.length > 10)
  t.true(frames.length > 10)
})

test('what a client has not read yet is not overwritten, however many pictures come meanwhile', async t => {
  const camera = await addCamera(t, decodedIn('Gateway', { scale: '1280:-2' })) // more than sockets and windows take in
  await using slow = grpcClient(t.context.gateway.port)
  await using fast = grpcClient(t.context.gateway.port)
  using stuck = slow.stream()
  using other = fast.stream()
  const request = { device_id: camera.name }
  const ask = () => other.ask(request)
  await Promise.all([stuck.ask(request), ask()])
  const show = (seq: number) => camera.show('Gateway', seq)
  const [first = []] = await play(show, [0, 9], [ask])
  stuck.call.pause()
  for (let i = 0; i < 20; i++) stuck.send(request)
  const [rest = []] = await play(show, [10, 69], [ask])
  const pictures = new Map([...first, ...rest].map(frame => [seqOf(frame), digest(frame.data)]))
  t.is(pictures.size, 70)
  const late = (await stuck.end()).filter(({ data }) => data.length > 0)
  t.true(late.length > 0 && seqOf(late[0] ?? ({} as VideoFrame__Output)) < 30, late.map(seqOf).join(' '))
  for (const frame of late) t.is(digest(frame.data), pictures.get(seqOf(frame)) ?? '', `frame ${seqOf(frame)}`)
})
