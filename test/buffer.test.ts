// The packet stream: what the sidecar stores of a camera, through outages and refusals.
import { connect, StorageType, type NatsConnection, type StreamInfo } from 'nats'
import { bufferRefusal, ensurePacketStream } from '../common/nats/packet-stream.ts'
import { BadMessage, Reassembly, type StoredPacket } from '../proto/messages.ts'
import { HEADER, packetStream } from '../proto/subjects.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { testInTurns } from './fixtures/turns.ts'
import { until } from './fixtures/wait.ts'

const test = testInTurns(3)
const MIB = 2 ** 20

const small = () => testVideo({ width: 320, height: 192, seconds: 1 })
const stored = (sidecar: Sidecar, count: number) =>
  until(
    async () => {
      const packets = await sidecar.packets().catch(() => [])
      return packets.length >= count && packets
    },
    { what: `${count} stored packets\n${sidecar.log().slice(-1500)}`, everyMs: 200 },
  )
const streamOf = async ({ nc, camera }: Sidecar): Promise<StreamInfo> => (await nc.jetstreamManager()).streams.info(packetStream(camera))

type Raw = { seq: number; headers: Record<string, string>; bytes: number }

/** The messages as they are stored. */
async function rawMessages(nc: NatsConnection, stream: string): Promise<Raw[]> {
  const consumer = await nc.jetstream().consumers.get(stream)
  const total = (await consumer.info()).num_pending
  const found: Raw[] = []
  if (total === 0) return found
  for await (const message of await consumer.consume()) {
    const headers = Object.fromEntries([...(message.headers ?? [])].map(([name, [value = '']]) => [name, value]))
    if (found.push({ seq: message.seq, headers, bytes: message.data.length }) === total) break
  }
  return found
}

/** Each packet follows the one before it, and each GOP can be decoded from its keyframe on. */
function gaps(packets: readonly StoredPacket[]): string[] {
  return packets.slice(1).flatMap((packet, i) => {
    const before = packets[i] as StoredPacket
    const follows = packet.key ? packet.keyframe === before.keyframe + 1 && packet.index === 0 : packet.index === before.index + 1
    const same = packet.epoch === before.epoch && (packet.key || packet.keyframe === before.keyframe)
    return follows && same
      ? []
      : [`${before.epoch}/${before.keyframe}/${before.index} → ${packet.epoch}/${packet.keyframe}/${packet.index}`]
  })
}

test('every packet is stored once, with what it takes to decode from any keyframe on, within the limits of the spec', async t => {
  await using nats = await startNats()
  await using camera = await startCamera({ file: await small() })
  const buffer = { duration: '2s', maxBytes: '1500Ki', storage: 'Memory' }
  await using sidecar = await startSidecar(nats, { spec: { source: { url: camera.url }, buffer } })
  const packets = await stored(sidecar, 45)
  t.deepEqual(gaps(packets), [])

  const messages = await rawMessages(sidecar.nc, packetStream(sidecar.camera))
  const keySeqs = new Set<number>()
  for (const { seq, headers, bytes } of messages) {
    t.is(headers[HEADER.version], '1')
    t.is(headers[HEADER.camera], sidecar.camera.uid)
    const packet = JSON.parse(headers[HEADER.packet] ?? '') as { key: number; keySeq: number; size: number }
    t.is(packet.size, bytes)
    t.is(headers[HEADER.codec] !== undefined, packet.key === 1)
    if (packet.key === 1) keySeqs.add(seq)
    // The oldest group may have lost its beginning to age.
    else if (keySeqs.size > 0) t.true(keySeqs.has(packet.keySeq))
  }
  const { config } = await streamOf(sidecar)
  t.like(config, { max_age: 2e9, max_bytes: 1500 * 1024, storage: 'memory', discard: 'old', allow_direct: true })

  await until(async () => (await streamOf(sidecar)).state.first_seq > 30, { what: 'packets that grow too old' })
  const { state } = await streamOf(sidecar)
  t.true(state.messages < 100)
  const metrics = await sidecar.metrics()
  t.is(/chrysalis_buffer_dropped_total\{[^}]*\} (\d+)/.exec(metrics)?.[1], undefined)
})

test('keyframes larger than max_payload are stored in parts and read back whole', async t => {
  await using nats = await startNats({ maxPayload: 64 * 1024 })
  // A picture of noise: some hundred KiB each second.
  await using camera = await startCamera({ file: await testVideo({ seconds: 2, noise: 60, bitrate: 8_000_000 }) })
  await using sidecar = await startSidecar(nats, { spec: { source: { url: camera.url } } })
  await using watching = await sidecar.watch('all')
  await until(() => watching.frames.length > 20, { what: 'frames, in parts too' })
  const packets = await stored(sidecar, 90)
  t.deepEqual(gaps(packets), [])
  t.true(Math.max(...packets.map(({ data }) => data.length)) > 128 * 1024)
  const messages = await rawMessages(sidecar.nc, packetStream(sidecar.camera))
  t.true(messages.some(({ headers }) => /^[2-9]\/[2-9]$/.test(headers[HEADER.part] ?? '')))
  const { headers } = messages.find(({ headers: { [HEADER.packet]: packet = '' } }) => packet.includes('"key":0')) as Raw
  const { keySeq } = JSON.parse(headers[HEADER.packet] ?? '') as { keySeq: number }
  t.regex(messages.find(({ seq }) => seq === keySeq)?.headers[HEADER.part] ?? '', /^1\//)
})

for (const storage of ['Memory', 'File'] as const) {
  test(`NATS is killed and comes back (${storage}): the buffer stores packets again within seconds, frames flow, and what is missing is counted`, async t => {
    await using nats = await startNats()
    await using camera = await startCamera({ file: await small() })
    await using sidecar = await startSidecar(nats, { spec: { source: { url: camera.url }, buffer: { storage } } })
    await using watching = await sidecar.watch('all')
    await until(() => watching.frames.length > 10, { what: 'frames' })
    const before = (await stored(sidecar, 60)).at(-1)
    await nats.kill()
    await until(() => /NATS is unreachable/.test(sidecar.log()), { what: 'the outage' })
    // Nobody hears its state meanwhile.
    await until(() => /"BufferUnavailable".*"the buffer stores no packets"/.test(sidecar.log()), { what: 'the reason in the log' })
    await nats.restart()
    const seen = watching.frames.length
    await until(() => watching.frames.length > seen + 20, { what: `frames after the outage\n${sidecar.log().slice(-1500)}` })
    const packets = await until(
      async () => {
        const all = await sidecar.packets()
        return all.filter(({ timestamp }) => timestamp > (before?.timestamp ?? 0)).length > 60 && all
      },
      { what: 'packets after the outage', everyMs: 200 },
    )
    t.is(
      storage === 'File',
      packets.some(({ timestamp }) => timestamp <= (before?.timestamp ?? 0)),
    )
    t.true(gaps(packets).length <= (storage === 'File' ? 1 : 0), gaps(packets).join())
    await sidecar.stateWith('a sound buffer', state => state.buffer.ok)
    t.regex(sidecar.log(), /"the buffer stores packets again"/)
    // The camera's connection is no business of NATS's.
    t.like(await sidecar.state(), { reconnects: 0, connection: 'streaming' })
    t.regex(await sidecar.metrics(), /chrysalis_buffer_dropped_total\{reason="nats_unreachable"\} \d+/)
  })
}

test('JetStream has no room for the buffer: BufferQuotaExceeded with quota and need, while frames flow; the buffer comes once there is room', async t => {
  await using nats = await startNats({ jetstreamLimits: { memory: 96 * MIB } })
  const nc = await connect({ servers: nats.url })
  const jsm = await nc.jetstreamManager()
  await jsm.streams.add({ name: 'other', subjects: ['other'], storage: StorageType.Memory, max_bytes: 40 * MIB })
  await using camera = await startCamera({ file: await small() })
  await using sidecar = await startSidecar(nats, { spec: { source: { url: camera.url }, buffer: { maxBytes: '64Mi' } } })
  const { buffer } = await sidecar.stateWith('a refusal', state => !state.buffer.ok)
  t.is(buffer.reason, 'BufferQuotaExceeded')
  // The server does not tell its own limit, but what of it is taken.
  t.regex(buffer.message ?? '', /quota, of which \d{8} bytes are reserved, has no room for 67108864 bytes of memory/)
  await using watching = await sidecar.watch('all')
  await until(() => watching.frames.length > 60, { what: `frames\n${sidecar.log()}` })
  t.is((await sidecar.state())?.connection, 'streaming')
  t.regex(await sidecar.metrics(), /chrysalis_buffer_dropped_total\{reason="no_stream"\} \d+/)
  await jsm.streams.delete('other')
  await nc.close()
  t.deepEqual(gaps(await stored(sidecar, 30)), [])
  t.true((await sidecar.stateWith('a sound buffer', state => state.buffer.ok)).buffer.ok)
})

for (const [title, deny, expected] of [
  [
    'an account’s own quota is named',
    'nothing',
    / quota of 33554432 bytes, of which 0 bytes are reserved, has no room for 67108864 bytes of memory/,
  ],
  ['who may not ask for an account’s quota is told the need', '$JS.API.INFO', / quota has no room for 67108864 bytes of memory/],
] as const) {
  test(title, async t => {
    const jetstream = `jetstream: { max_mem: ${32 * MIB}, max_file: ${32 * MIB} }`
    const user = `{ user: u, password: p, permissions: { publish: { deny: ["${deny}"] } } }`
    await using nats = await startNats({ extraConfig: `accounts { A { ${jetstream}, users: [${user}] } }\nno_auth_user: u` })
    const nc = await connect({ servers: nats.url })
    const jsm = await nc.jetstreamManager({ checkAPI: false })
    const camera = { namespace: 'shop', name: 'front', uid: 'uid' }
    const limits = { durationMs: 60_000, maxBytes: 64 * MIB, storage: 'Memory', replicas: 1 } as const
    const error = await t.throwsAsync(ensurePacketStream(nc, camera, limits))
    const { reason, message } = await bufferRefusal(jsm, error, limits)
    t.is(reason, 'BufferQuotaExceeded')
    t.regex(message, expected)
    await nc.close()
  })
}

test('the stream is deleted by someone: it is made again', async t => {
  await using nats = await startNats()
  await using camera = await startCamera({ file: await small() })
  await using sidecar = await startSidecar(nats, { spec: { source: { url: camera.url } } })
  await stored(sidecar, 40)
  const jsm = await sidecar.nc.jetstreamManager()
  await jsm.streams.delete(packetStream(sidecar.camera))
  t.deepEqual(gaps(await stored(sidecar, 40)), [])
  await sidecar.stateWith('a sound buffer', state => state.buffer.ok)
})

test('a camera that is made anew under an old name never serves its namesake’s packets', async t => {
  await using nats = await startNats()
  await using camera = await startCamera({ file: await small() })
  const spec = { source: { url: camera.url }, buffer: { storage: 'File' } }
  {
    await using first = await startSidecar(nats, { uid: 'first-uid', spec })
    await stored(first, 60)
  }
  await using second = await startSidecar(nats, { uid: 'second-uid', spec })
  const packets = await stored(second, 30)
  t.true(packets[0]?.key)
  const nc = await connect({ servers: nats.url })
  try {
    const messages = await rawMessages(nc, packetStream(second.camera))
    t.true(messages.every(({ headers }) => headers[HEADER.camera] === 'second-uid'))
    t.true((messages[0]?.seq ?? 0) > 60)
  } finally {
    await nc.close()
  }
  t.throws(() => new Reassembly('first-uid').packet({ data: Buffer.from('x'), headers: undefined }), { instanceOf: BadMessage })
})

test('the spec’s buffer changes: longer, shorter, elsewhere', async t => {
  await using nats = await startNats()
  await using camera = await startCamera({ file: await small() })
  for (const [duration, maxBytes, storage, age, bytes] of [
    ['5m', '8Mi', 'File', 300e9, 8 * MIB],
    ['10s', '4Mi', 'File', 10e9, 4 * MIB],
    ['3s', '16Mi', 'Memory', 3e9, 16 * MIB],
  ] as const) {
    await using sidecar = await startSidecar(nats, { spec: { source: { url: camera.url }, buffer: { duration, maxBytes, storage } } })
    const matches = ({ config }: StreamInfo) =>
      config.max_age === age && config.max_bytes === bytes && (config.storage as string) === storage.toLowerCase()
    await until(async () => matches(await streamOf(sidecar)), { what: `a stream of ${duration}\n${sidecar.log()}` })
    t.true((await stored(sidecar, 20)).length >= 20)
    await sidecar.stateWith('a sound buffer', state => state.buffer.ok)
  }
})
