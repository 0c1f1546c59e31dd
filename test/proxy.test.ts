// Forwarding by a real sidecar to a real RTMP server.
import { rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { once } from 'node:events'
import { parseJson } from '../proto/messages.ts'
import { encodeState, StreamKey, type CameraSwitches } from '../proto/state.ts'
import { BUCKET, cameraKey, streamKeySubject } from '../proto/subjects.ts'
import { selfSigned } from './fixtures/certificate.ts'
import { testVideo, type VideoOptions } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { pictureHash, type Demuxed } from './fixtures/packets.ts'
import { freePort } from './fixtures/ports.ts'
import { descendants } from './fixtures/processes.ts'
import { startCamera, type CameraCodec } from './fixtures/rtsp-camera.ts'
import { startRtmpServer, STREAM_KEY } from './fixtures/rtmp.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { testInTurns } from './fixtures/turns.ts'
import { until } from './fixtures/wait.ts'

const inTurn = testInTurns(3)

type Options = { url?: string | undefined; enabled?: boolean; codec?: CameraCodec; video?: VideoOptions; env?: Record<string, string> }

async function setUp({ url, enabled = true, codec = 'h264', video = {}, env = {} }: Options) {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const file = await testVideo({ codec, fps: 15, gop: 15, ...video })
  const camera = stack.use(await startCamera({ codec, file }))
  const folder = stack.use(await temporaryFolder())
  const urlFile = folder.file('url')
  if (url !== undefined) await writeFile(urlFile, `${url}\n`)
  const spec = { source: { url: camera.url }, buffer: { duration: '10m', maxBytes: '256Mi' }, proxy: { enabled } }
  const sidecar = stack.use(await startSidecar(nats, { spec, env: { CHRYS_PROXY_URL_FILE: urlFile, CHRYS_LOG_LEVEL: 'debug', ...env } }))
  const owned = stack.move()
  return { nats, camera, sidecar, urlFile, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const active = (sidecar: Sidecar, timeoutMs = 60_000) => sidecar.stateWith('forwarding', ({ proxy }) => proxy?.active === true, timeoutMs)
const failing = (sidecar: Sidecar, reason: string, timeoutMs = 60_000) =>
  sidecar.stateWith(reason, ({ proxy }) => proxy?.reason === reason, timeoutMs)
const receive = (received: Demuxed, count: number) =>
  until(() => received.packets.length >= count, { what: `${count} packets at the RTMP server`, timeoutMs: 60_000 })

async function turn({ nc, camera }: Sidecar, proxy: CameraSwitches['proxy']): Promise<void> {
  const bucket = await nc.jetstream().views.kv(BUCKET.switches)
  await bucket.put(cameraKey(camera), encodeState({ v: 1, uid: camera.uid, ...(proxy === undefined ? {} : { proxy }) }))
}

const hashes = (packets: readonly { data: Uint8Array }[]): string[] => packets.map(({ data }) => pictureHash('h264', data))

/** The number of lines that the metric has in all its series. */
async function metric(sidecar: Sidecar, name: string): Promise<number> {
  const lines = (await sidecar.metrics()).split('\n').filter(line => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

for (const bFrames of [0, 2]) {
  inTurn(`the RTMP server gets the camera’s packets, all from a keyframe on, byte for byte (B-frames: ${bFrames})`, async t => {
    await using server = await startRtmpServer()
    await using parts = await setUp({ url: server.url, video: { bFrames } })
    const { sidecar } = parts
    t.deepEqual((await active(sidecar)).proxy, { active: true, ok: true })
    await receive(server.received, 60)
    t.is(descendants(sidecar.pid).filter(({ command }) => command.includes('-f rtsp')).length, 1) // one connection to the camera
    const { packets } = server.received
    const stored = await sidecar.packets()
    const all = hashes(stored)
    const got = hashes(packets.slice(0, 60))
    const first = all.indexOf(got[0] ?? '')
    t.true(stored[first]?.key)
    t.deepEqual(got, all.slice(first, first + 60))
    const [origin] = packets
    for (const [i, { pts, key }] of packets.slice(0, 60).entries()) {
      const expected = ((stored[first + i]?.pts ?? 0) - (stored[first]?.pts ?? 0)) / 90
      t.true(Math.abs((pts ?? 0) - (origin?.pts ?? 0) - expected) <= 1.5, `${i}: ${pts}, not ${expected}`)
      t.is<boolean | undefined, boolean | undefined>(key, stored[first + i]?.key)
    }
    t.is(await metric(sidecar, 'chrysalis_forwarding_active'), 1)
    t.true((await metric(sidecar, 'chrysalis_forwarding_packets_total')) >= 60)
    t.is(await metric(sidecar, 'chrysalis_buffer_dropped_total'), 0)
  })
}

inTurn('forwarding starts with the current group of pictures, without waiting for the next keyframe', async t => {
  await using server = await startRtmpServer()
  await using parts = await setUp({ url: server.url, enabled: false, video: { gop: 240, seconds: 16 } })
  const { sidecar } = parts
  await until(async () => (await metric(sidecar, 'chrysalis_packets_total')) > 60, { what: 'the middle of a GOP', everyMs: 100 })
  t.deepEqual((await sidecar.state())?.proxy, { active: false, ok: true })
  await turn(sidecar, { on: true, base: false })
  await receive(server.received, 62)
  const stored = await sidecar.packets()
  t.is(stored.filter(({ key }) => key).length, 1)
  t.deepEqual(hashes(server.received.packets.slice(0, 62)), hashes(stored.slice(0, 62)))
})

inTurn('the switch outlives the sidecar, ends forwarding, and is void once the spec says otherwise', async t => {
  await using server = await startRtmpServer()
  await using parts = await setUp({ url: server.url, enabled: false })
  const { sidecar } = parts
  await sidecar.stateWith('streaming', state => state.connection === 'streaming')
  await turn(sidecar, { on: true, base: true }) // made when the spec said on, and not any more
  await turn(sidecar, { on: true, base: false })
  await active(sidecar)
  const killed = once(sidecar.child, 'exit')
  sidecar.child.kill('SIGKILL')
  await killed
  await server.ended
  await using next = await startRtmpServer(server.port)
  await sidecar.restart()
  await receive(next.received, 10)
  await active(sidecar)
  await turn(sidecar, { on: false, base: false })
  await next.ended
  await sidecar.stateWith('the end', ({ proxy }) => proxy?.active === false && proxy.ok)
  t.is(await metric(sidecar, 'chrysalis_forwarding_failures_total'), 0)
  await turn(sidecar, { on: true, base: true })
  await new Promise(resolve => setTimeout(resolve, 1_000))
  t.deepEqual((await sidecar.state())?.proxy, { active: false, ok: true })
})

inTurn('a target that is missing, bad, late or changed is said to be so, and taken up', async t => {
  await using first = await startRtmpServer()
  await using second = await startRtmpServer()
  await using parts = await setUp({})
  const { sidecar, urlFile } = parts
  const missing = await failing(sidecar, 'ForwardingTargetMissing')
  t.false(missing.proxy?.ok)
  t.regex(missing.proxy?.message ?? '', /urlSecretRef/)
  await writeFile(urlFile, 'https://h/s3cret-token')
  t.notRegex((await failing(sidecar, 'ForwardingTargetInvalid')).proxy?.message ?? '', /s3cret/)
  await writeFile(urlFile, first.url)
  await receive(first.received, 10)
  await active(sidecar)
  await rm(urlFile)
  const before = first.received.packets.length
  await receive(first.received, before + 60) // what runs goes on without its Secret
  await writeFile(urlFile, second.url)
  await receive(second.received, 10)
  await first.ended
  t.true(second.received.packets[0]?.key)
})

inTurn('a server that refuses is tried again, and one that comes back gets the stream from a keyframe on', async t => {
  const port = await freePort()
  await using parts = await setUp({ url: `rtmp://127.0.0.1:${port}/live/app/${STREAM_KEY}?token=s3cret-token` })
  const { sidecar } = parts
  const refused = await failing(sidecar, 'ForwardingConnectionRefused')
  t.is(refused.connection, 'streaming')
  t.is(refused.proxy?.active, false)
  const server = await startRtmpServer(port)
  await receive(server.received, 10)
  await active(sidecar)
  await server[Symbol.asyncDispose]()
  await sidecar.stateWith('a failure', ({ proxy }) => proxy?.ok === false)
  await using again = await startRtmpServer(port)
  await receive(again.received, 20)
  t.true(again.received.packets[0]?.key)
  await active(sidecar)
  const stored = hashes(await sidecar.packets())
  const got = hashes(again.received.packets.slice(0, 20))
  t.deepEqual(got, stored.slice(stored.indexOf(got[0] ?? ''), stored.indexOf(got[0] ?? '') + 20))
  t.true((await metric(sidecar, 'chrysalis_forwarding_failures_total')) >= 2)
  t.true((await metric(sidecar, 'chrysalis_forwarding_dropped_total')) > 0)
})

inTurn('a server that accepts and never answers fails, and disturbs nothing', async t => {
  const sockets = new Set<Socket>()
  const server = createServer(socket => sockets.add(socket.pause().on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await using parts = await setUp({ url: `rtmp://127.0.0.1:${port}/live/${STREAM_KEY}` })
  const { sidecar } = parts
  await using watching = await sidecar.watch('all')
  const state = await failing(sidecar, 'ForwardingFailed')
  t.regex(state.proxy?.message ?? '', /within 10 s/)
  await until(() => watching.frames.length > 60, { what: 'frames' })
  t.is(await metric(sidecar, 'chrysalis_buffer_dropped_total'), 0)
  for (const socket of sockets) socket.destroy()
  server.close()
})

inTurn('a server that stops reading in mid-stream fails, drops are counted, and frames and buffer go on', async t => {
  // 8 Mbit/s, so that what systems and we ourselves hold is full before long.
  const video = { width: 1280, height: 720, bitrate: 16_000_000, noise: 40, seconds: 4 }
  await using server = await startRtmpServer()
  await using parts = await setUp({ url: server.url, video })
  const { sidecar } = parts
  await receive(server.received, 15)
  await active(sidecar)
  await using watching = await sidecar.watch('all')
  await until(() => watching.frames.length > 5, { what: 'frames' })
  process.kill(server.pid, 'SIGSTOP')
  const stalled = await failing(sidecar, 'ForwardingFailed', 120_000)
  t.regex(stalled.proxy?.message ?? '', /taken nothing for 10 s/)
  t.is(stalled.connection, 'streaming')
  const before = watching.frames.length
  await until(() => watching.frames.length > before + 30, { what: 'frames after the stall' })
  t.is(await metric(sidecar, 'chrysalis_buffer_dropped_total'), 0)
  t.true((await metric(sidecar, 'chrysalis_forwarding_dropped_total')) > 0)
  await server[Symbol.asyncDispose]()
  await using again = await startRtmpServer(server.port)
  await receive(again.received, 15)
  t.true(again.received.packets[0]?.key)
  await active(sidecar)
})

inTurn('a server that vanishes is noticed before its stream has filled all buffers on the way', async t => {
  await using server = await startRtmpServer()
  const passing: Socket[] = []
  await using stack = new AsyncDisposableStack()
  const hop = createServer(client => {
    const far = connect(server.port, '127.0.0.1')
    for (const socket of [client, far]) passing.push(socket.on('error', () => {}))
    client.pipe(far).pipe(client)
  }).listen(0, '127.0.0.1')
  stack.defer(() => {
    hop.close()
    for (const socket of passing) socket.destroy()
  })
  await once(hop, 'listening')
  const { port } = hop.address() as AddressInfo
  const video = { noise: 40, bitrate: 2_000_000 }
  await using parts = await setUp({ url: server.url.replace(`:${server.port}/`, `:${port}/`), video })
  const { sidecar } = parts
  await receive(server.received, 15)
  await active(sidecar)
  const before = await metric(sidecar, 'chrysalis_forwarding_bytes_total')
  for (const socket of passing) socket.unpipe().pause()
  await failing(sidecar, 'ForwardingFailed', 120_000)
  const bytes = (await metric(sidecar, 'chrysalis_forwarding_bytes_total')) - before
  t.true(bytes < 10_000_000, `${bytes} bytes later`) // of which ten seconds are 2.5 MB
})

inTurn('a codec that RTMP does not carry is named, and not tried again and again', async t => {
  const port = await freePort()
  await using server = await startRtmpServer(port)
  await using parts = await setUp({ url: server.url, codec: 'mjpeg' })
  const { sidecar } = parts
  const state = await failing(sidecar, 'ForwardingCodecUnsupported')
  t.regex(state.proxy?.message ?? '', /does not carry mjpeg/)
  await until(async () => (await metric(sidecar, 'chrysalis_packets_total')) > 120, { what: 'more packets', everyMs: 200 })
  t.is(await metric(sidecar, 'chrysalis_forwarding_failures_total'), 1)
})

inTurn('a new picture size is forwarded too', async t => {
  await using first = await startRtmpServer()
  await using parts = await setUp({ url: first.url })
  const { sidecar, camera } = parts
  await receive(first.received, 20)
  t.is(first.received.info?.width, 640)
  await camera.changeFile(await testVideo({ width: 320, height: 240, fps: 15, gop: 15 }))
  await first.ended
  await using second = await startRtmpServer(first.port)
  await receive(second.received, 20)
  t.is(second.received.info?.width, 320)
  t.true(second.received.packets[0]?.key)
  await active(sidecar)
})

inTurn('the stream key is told to the gateway that asks, and stands nowhere else', async t => {
  await using server = await startRtmpServer()
  await using parts = await setUp({ url: server.url })
  const { sidecar, urlFile } = parts
  const ask = async () =>
    parseJson(StreamKey, (await sidecar.nc.request(streamKeySubject(sidecar.camera), undefined, { timeout: 5_000 })).data)
  await receive(server.received, 5)
  t.deepEqual(await ask(), { v: 1, uid: sidecar.camera.uid, streamKey: STREAM_KEY })
  const others = descendants(sidecar.pid).filter(({ command }) => !command.includes('-f flv'))
  const said = JSON.stringify([await sidecar.state(), await sidecar.metrics(), sidecar.log(), others])
  t.notRegex(said, /k3y|s3cret|rtmp:\/\/127\.0\.0\.1:\d+\/live\/app\/k/)
  await rm(urlFile)
  t.regex((await ask()).reason ?? '', /^ForwardingTargetMissing/)
  await writeFile(urlFile, 'rtmps://h/app/other?x=1')
  t.is((await ask()).streamKey, 'other')
})

/** Ends TLS in front of a server that speaks RTMP. */
async function tlsFront(port: number, { key, cert }: { key: string; cert: string }) {
  const sockets = new Set<Socket>()
  const server = createTlsServer({ key, cert }, client => {
    const behind = connect(port, '127.0.0.1')
    for (const [one, other] of [
      [client, behind],
      [behind, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {}).on('close', () => other.destroy())
      one.pipe(other)
    }
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

inTurn('over TLS the stream goes only to a server whose certificate is valid for its name', async t => {
  await using server = await startRtmpServer()
  await using folder = await temporaryFolder()
  const tls = await selfSigned()
  await using front = await tlsFront(server.port, tls)
  const url = `rtmps://localhost:${front.port}/live/app/${STREAM_KEY}`
  {
    await using parts = await setUp({ url })
    const { proxy } = await failing(parts.sidecar, 'ForwardingCertificateInvalid')
    t.regex(proxy?.message ?? '', /certificate/)
    t.is(server.received.packets.length, 0)
  }
  await writeFile(folder.file('ca.pem'), tls.cert)
  await using parts = await setUp({ url, env: { NODE_EXTRA_CA_CERTS: folder.file('ca.pem') } })
  await receive(server.received, 20)
  await active(parts.sidecar)
  t.true(server.received.packets[0]?.key)
})

inTurn('the address policy holds for the RTMP server too, and its name is not told', async t => {
  await using server = await startRtmpServer()
  await using parts = await setUp({ url: server.url.replace('127.0.0.1', '127.0.0.2'), env: { CHRYS_DENY_CIDRS: '127.0.0.2/32' } })
  const state = await failing(parts.sidecar, 'ForwardingAddressDenied')
  t.is(state.connection, 'streaming')
  t.notRegex(state.proxy?.message ?? '', /127/)
  await writeFile(parts.urlFile, `rtmp://no-such-host.invalid/live/${STREAM_KEY}`)
  t.notRegex((await failing(parts.sidecar, 'ForwardingHostNotFound')).proxy?.message ?? '', /no-such-host/)
  t.notRegex(parts.sidecar.log(), /127\.0\.0\.2|no-such-host/)
})
