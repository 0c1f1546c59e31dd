// What is too much for a gateway stays with its cause.
import { readFile } from 'node:fs/promises'
import anyTest, { type ExecutionContext } from 'ava'
import pino from 'pino'
import { Registry } from 'prom-client'
import { connectNats } from '../common/nats/connect.ts'
import { followDemand } from '../sidecar/demand.ts'
import { createMetrics } from '../sidecar/metrics.ts'
import { wholeSending } from '../common/patches/nats-send.ts'
import { FramePublisher } from '../sidecar/publish/frame-publisher.ts'
import { fakeFrame, HD, startCameras, type FakeCamera } from './fixtures/cameras.ts'
import { grpcClient, startGateway, type Client, type Gateway } from './fixtures/gateway.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest.serial
wholeSending()
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
  const demand = followDemand(control.nc, camera, 'main', {
    onWants: wanted => void (wants = wanted.wants),
    onElsewhere: () => {},
    onTaken: takers => publisher.taken(takers),
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

type Sending = AsyncDisposable & {
  readonly gateway: Gateway
  readonly cameras: readonly FakeCamera[]
  readonly server: NatsServer
  readonly client: Client
}

/** So many cameras of 1080p, whose pods decode them, and a gateway. */
async function startSending(count: number, fps: number, env: Record<string, string> = {}): Promise<Sending> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await startNats())
  const records = stack.use(await startCameras(server.url))
  const cameras = Array.from({ length: count }, (_, i) => ({ namespace: 'default', name: `cam-${i}`, uid: `uid-${i}` }))
  for (const camera of cameras) {
    await records.put(camera, { decoding: { keyFramesOnly: false, placement: 'Sidecar' } })
    await records.report(camera, { codec: HD, fps, epoch: Date.now() - 60_000 })
    stack.use(await sendHd(server, camera, fps))
  }
  const gateway = stack.use(await startGateway(server.url, env))
  await until(() => gateway.ready(), { what: 'the gateway' })
  const client = stack.use(grpcClient(gateway.port))
  const owned = stack.move()
  return { server, cameras, gateway, client, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Asking costs the client a frame, and keeps a wish up for ten seconds. */
const ASK_MS = 3_000

/** Watches all cameras until each has given so many frames more, on average. */
async function watchUntil({ cameras, client, gateway }: Sending, each: number): Promise<void> {
  const received = () => gateway.metric('chrysalis_frames_received_total')
  const before = await received()
  let askedMs = -Infinity
  const haveCome = async () => {
    if (performance.now() - askedMs > ASK_MS) {
      askedMs = performance.now()
      for (const { name } of cameras) await client.latest({ device_id: name })
    }
    return (await received()) >= before + each * cameras.length
  }
  await until(haveCome, { what: `${each} frames of each`, timeoutMs: 60_000 })
}

/** None of its links to NATS was cut, by NATS or by itself. */
async function assertLinked(t: ExecutionContext, { gateway, server }: Sending): Promise<void> {
  t.is(await gateway.metric('chrysalis_nats_reconnects_total'), 0)
  t.notRegex(server.log(), /Slow Consumer/)
}

test('a gateway that stands still for seconds is not cut off, however much its cameras send', async t => {
  await using sending = await startSending(12, 2)
  await watchUntil(sending, 3)
  process.kill(sending.gateway.pid, 'SIGSTOP')
  // 12 × 6.2 MB × 2 a second are 149 MB a second: in four seconds many times what NATS holds for a connection.
  await new Promise(resolve => setTimeout(resolve, 4_000))
  process.kill(sending.gateway.pid, 'SIGCONT')
  await watchUntil(sending, 2)
  await assertLinked(t, sending)
})

test('many watched cameras of 1080p leave the gateway within its memory, and its links whole', async t => {
  // As a container of 1 GiB would have it. Rings of ten frames each would take 750 MB.
  await using sending = await startSending(12, 1, { CHRYS_MEMORY_MAX_BYTES: '320Mi' })
  const { gateway } = sending
  await watchUntil(sending, 8)
  const rings = await gateway.metric('chrysalis_ring_bytes')
  const used = await gateway.metric('chrysalis_memory_used_bytes')
  const [, peak = '0'] = /^VmHWM:\s+(\d+) kB/m.exec(await readFile(`/proc/${gateway.pid}/status`, 'utf8')) ?? []
  t.true(rings > 12 * 6e6, `${rings}`)
  t.true(used <= 320 * 2 ** 20, `${used}`)
  t.true(Number(peak) * 1024 <= 2 ** 30, `${peak} kB`)
  t.is(await gateway.metric('chrysalis_decoders_refused'), 0)
  await assertLinked(t, sending)
})
