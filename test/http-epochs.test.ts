// What becomes of live streams by URL when the camera's stream changes: packets as a sidecar publishes them, a real gateway.
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import type { EncodedCamera } from './fixtures/encoded-camera.ts'
import type { FakeCamera } from './fixtures/cameras.ts'
import { packetMessages, type Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { packetSubject } from '../proto/subjects.ts'
import { addStreaming, startWorld, type World } from './fixtures/frames-world.ts'
import { testVideo } from './fixtures/media.ts'
import { boxesOf, frameEvents } from './fixtures/mp4-boxes.ts'
import { packetsOf } from './fixtures/packets.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest as TestFn<World>
test.before(async t => {
  t.context = await startWorld()
})
test.after.always(t => t.context.stack?.disposeAsync())

const EPOCH = Date.now()

/** What has come of an answer, and whether it has ended. */
async function follow(t: ExecutionContext<World>, camera: FakeCamera, name: string) {
  const over = new AbortController()
  t.teardown(() => over.abort())
  const answer = await fetch(`http://127.0.0.1:${t.context.gateway.httpPort}/cameras/${camera.name}/${name}`, { signal: over.signal })
  const state = { bytes: Buffer.alloc(0), isEnded: false, status: answer.status }
  const reading = async () => {
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) state.bytes = Buffer.concat([state.bytes, chunk])
    state.isEnded = true
  }
  void reading().catch(() => {})
  return state
}

/** Ten frames of an epoch. */
function play(camera: FakeCamera & { encoded: EncodedCamera }, keyframe: number, change: (i: number) => Partial<Packet>): void {
  for (let i = 0; i < 10; i++) camera.encoded.send(i, { keyframe, index: i, epoch: EPOCH, ...change(i) })
}

/** Both streams, once the first frames of an epoch have come. */
async function followBoth(t: ExecutionContext<World>, camera: FakeCamera & { encoded: EncodedCamera }) {
  const opened = Promise.all(['live.mp4', 'live.ts'].map(name => follow(t, camera, name)))
  const first = setInterval(
    () => play(camera, 1, i => ({ pts: i * 3000, dts: i * 3000, timestamp: EPOCH + Math.round((i * 100) / 3) })),
    200,
  )
  const [mp4, ts] = await opened
  clearInterval(first)
  if (mp4 === undefined || ts === undefined) throw new Error('no answers')
  await until(() => frameEvents(boxesOf(mp4.bytes)).length >= 9, { what: 'the first frames' })
  return { mp4, ts }
}

test('after a reconnect with the same codec streams go on, and media time advances by the time that has passed', async t => {
  const camera = await addStreaming(t)
  await camera.encoded.makeStream()
  const { mp4, ts } = await followBoth(t, camera)
  const before = ts.bytes.length
  play(camera, 1, i => ({ epoch: EPOCH + 5_000, pts: i * 3000, dts: i * 3000, timestamp: EPOCH + 5_000 + Math.round((i * 100) / 3) }))
  await until(() => frameEvents(boxesOf(mp4.bytes)).length >= 19 && ts.bytes.length > before, { what: 'frames of the new epoch' })
  const events = frameEvents(boxesOf(mp4.bytes))
  const [a, b] = [events.find(({ captureTime }) => captureTime === EPOCH), events.find(({ captureTime }) => captureTime === EPOCH + 5_000)]
  t.is(Math.round(((b?.mediaTime ?? 0) - (a?.mediaTime ?? 0)) * 1000), 5_000)
  t.false(mp4.isEnded || ts.isEnded)
})

test('with another size live.mp4 ends, and live.ts goes on', async t => {
  const camera = await addStreaming(t)
  await camera.encoded.makeStream()
  const { mp4, ts } = await followBoth(t, camera)
  const before = ts.bytes.length
  const { packets, info } = await packetsOf(await testVideo({ width: 320, height: 192, seconds: 2, gop: 10 }))
  if (info === undefined) throw new Error('no packets')
  const codec: Codec = { ...camera.encoded.codec, width: 320, height: 192, extradata: info.extradata.toString('base64') }
  for (const [i, { data, key }] of packets.slice(0, 10).entries()) {
    const times = { pts: i * 3000, dts: i * 3000, timestamp: EPOCH + 5_000 + i * 33 }
    const packet = { epoch: EPOCH + 5_000, keyframe: 1, index: i, ...times, key, corrupt: false, data }
    for (const { headers, payload } of packetMessages(camera.uid, packet, 0, codec, 2 ** 20)) {
      t.context.cameras.nc.publish(packetSubject(camera), payload, { headers })
    }
  }
  await until(() => mp4.isEnded && ts.bytes.length > before, { what: 'one to end and one to go on' })
  t.false(ts.isEnded)
  const again = await follow(t, camera, 'live.mp4')
  t.is(again.status, 200)
})

test('a camera that is deleted ends its streams', async t => {
  const camera = await addStreaming(t)
  await camera.encoded.makeStream()
  const opened = follow(t, camera, 'live.ts')
  const first = setInterval(
    () => play(camera, 1, i => ({ pts: i * 3000, dts: i * 3000, timestamp: EPOCH + Math.round((i * 100) / 3) })),
    200,
  )
  const ts = await opened
  clearInterval(first)
  await until(() => ts.bytes.length > 0, { what: 'the first frames' })
  await t.context.cameras.remove(camera)
  await until(() => ts.isEnded, { what: 'the end of the stream' })
  t.pass()
})
