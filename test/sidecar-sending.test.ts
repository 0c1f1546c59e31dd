import test from 'ava'
import { connect, Events, headers } from 'nats'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp, createServer, type AddressInfo } from 'node:net'
import pino from 'pino'
import { Registry } from 'prom-client'
import { connectNats } from '../common/nats/connect.ts'
import { createMetrics } from '../sidecar/metrics.ts'
import { FramePublisher } from '../sidecar/publish/frame-publisher.ts'
import { wholeSending } from '../common/patches/nats-send.ts'
import { fakeFrame } from './fixtures/cameras.ts'
import { startNats } from './fixtures/nats.ts'
import { until, within } from './fixtures/wait.ts'

test('this nats.js is one that can send without a copy', t => {
  t.true(wholeSending())
})

test('messages of all sizes arrive whole and in their order, over a link that was lost too', async t => {
  t.true(wholeSending())
  await using server = await startNats()
  const nc = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
  const sizes = [17, 5_000_000, 3, 262_144, 3_000_001, 0, 70_000, 1_000_000, 1]
  const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
  for (const round of ['at first', 'after a reconnect']) {
    const sent = sizes.map(size => randomBytes(size))
    const got: string[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const listening = nc.subscribe('a.b', {
      callback: (_, { data, headers: fields }) => {
        got.push(`${fields?.get('Size')} ${hash(data)}`)
        if (got.length === sent.length) resolve()
      },
    })
    await nc.flush()
    for (const bytes of sent) {
      const fields = headers()
      fields.set('Size', String(bytes.length))
      nc.publish('a.b', bytes, { headers: fields })
    }
    await within(promise, { what: `the messages ${round}` })
    t.deepEqual(
      got,
      sent.map(bytes => `${bytes.length} ${hash(bytes)}`),
      round,
    )
    listening.unsubscribe()
    const isBack = (async () => {
      for await (const { type } of nc.status()) if (type === Events.Reconnect) return
    })()
    await server.restart()
    await within(isBack, { what: 'the link' })
  }
  await nc.close()
})

/** A way to the server that takes so many bytes a second. */
async function startSlowLink(toPort: number, bytesPerSecond: number) {
  const link = createServer(near => {
    const far = connectTcp(toPort, '127.0.0.1', () => void far.pipe(near))
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on('error', () => {}).on('close', () => other.destroy())
    near.on('data', bytes => {
      far.write(bytes)
      near.pause()
      setTimeout(() => near.resume(), (bytes.length / bytesPerSecond) * 1_000)
    })
  })
  link.listen(0, '127.0.0.1')
  await once(link, 'listening')
  return { url: `nats://127.0.0.1:${(link.address() as AddressInfo).port}`, [Symbol.dispose]: () => void link.close() }
}

test('over a link that takes seconds for a frame no more than two are on their way', async t => {
  const camera = { namespace: 'default', name: 'cam', uid: 'uid-cam' }
  await using server = await startNats()
  using link = await startSlowLink(server.port, 1_000_000)
  const log = pino({ level: 'silent' })
  await using nats = await connectNats('test', { url: link.url, credsFile: undefined }, log, new AbortController().signal)
  const registry = new Registry()
  const publisher = new FramePublisher(nats, camera, createMetrics(registry), log)
  const counted = async () => (await registry.getSingleMetric('chrysalis_frames_published_total')?.get())?.values[0]?.value ?? 0
  const frame = fakeFrame(camera, { seq: 1, width: 1280, height: 720 })
  let offered = 0
  const areTwoTaken = async () => {
    publisher.offer({ ...frame, seq: ++offered })
    const { outMsgs } = nats.nc.stats()
    const taken = await counted()
    t.true(outMsgs <= taken + 2, `${outMsgs} sent, ${taken} taken`)
    return taken >= 2
  }
  await until(areTwoTaken, { what: 'two frames to be taken' })
})
