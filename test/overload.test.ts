// What is too much for a gateway stays with its cause.
import test from 'ava'
import pino from 'pino'
import { Registry } from 'prom-client'
import { connectNats } from '../common/nats/connect.ts'
import { refText } from '../proto/subjects.ts'
import { followDemand } from '../sidecar/demand.ts'
import { createMetrics } from '../sidecar/metrics.ts'
import { FramePublisher } from '../sidecar/publish/frame-publisher.ts'
import { fakeFrame, startCameras, type FakeCamera } from './fixtures/cameras.ts'
import { grpcClient, startGateway } from './fixtures/gateway.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { until } from './fixtures/wait.ts'

const log = pino({ level: 'silent' })

/** Sends frames of 1080p, as its sidecar does, while gateways want some. */
async function sendHd(server: NatsServer, camera: FakeCamera, fps: number): Promise<AsyncDisposable> {
  const options = { url: server.url, credsFile: undefined }
  const [control, frames] = await Promise.all(
    ['', ' frames'].map(name => connectNats(`${camera.name}${name}`, options, log, new AbortController().signal)),
  )
  if (control === undefined || frames === undefined) throw new Error('no link')
  const publisher = new FramePublisher(frames, camera, createMetrics(new Registry()), log)
  let wants = 'none'
  const demand = followDemand(control.nc, camera, {
    onWants: wanted => void (wants = wanted.wants),
    onElsewhere: () => {},
    onTaken: places => publisher.taken(places),
    onBad: () => {},
  })
  const frame = fakeFrame(camera, { seq: 0, width: 1920, height: 1080 })
  let seq = 0
  const timer = setInterval(() => {
    if (wants !== 'none') publisher.offer({ ...frame, seq: ++seq, timestamp: Date.now() })
  }, 1000 / fps)
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      demand[Symbol.dispose]()
      await Promise.all([control, frames].map(link => link[Symbol.asyncDispose]()))
    },
  }
}

test('a gateway that stands still for seconds is not cut off, however much its cameras send', async t => {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await startNats())
  const cameras = stack.use(await startCameras(server.url))
  const all = Array.from({ length: 12 }, (_, i) => ({ namespace: 'default', name: `cam-${i}`, uid: `uid-${i}` }))
  for (const camera of all) await cameras.put(camera, { decoding: { keyFramesOnly: false, placement: 'Sidecar' } })
  for (const camera of all) stack.use(await sendHd(server, camera, 5))
  const gateway = stack.use(await startGateway(server.url))
  await until(() => gateway.ready(), { what: 'the gateway' })
  const client = stack.use(grpcClient(gateway.port))
  const watch = async () => {
    for (const { name } of all) await client.latest({ device_id: name })
  }
  const received = () => gateway.metric('chrysalis_frames_received_total')
  const haveCome = async () => (await watch(), (await received()) > 3 * all.length)
  await until(haveCome, { what: 'frames of all', timeoutMs: 60_000 })
  process.kill(gateway.pid, 'SIGSTOP')
  // 12 × 6.2 MB × 5 a second are 370 MB a second: in four seconds many times what NATS holds for a connection.
  await new Promise(resolve => setTimeout(resolve, 4_000))
  process.kill(gateway.pid, 'SIGCONT')
  const before = await received()
  await until(async () => (await watch(), (await received()) > before + 2 * all.length), { what: 'frames again', timeoutMs: 60_000 })
  t.is(await gateway.metric('chrysalis_nats_reconnects_total'), 0)
  t.notRegex(server.log(), /Slow Consumer/)
  t.is(cameras.demands.findLast(({ camera }) => camera === refText(all[0] as FakeCamera))?.wants, 'all')
})
