// What a client gets of live packets when it reads too slowly, and what becomes of one that does not read at all.
import { mock } from 'node:test'
import test from 'ava'
import { PacketReader, type LivePacket } from '../gateway/frames/packet-readers.ts'
import { sent } from '../gateway/http/sending.ts'
import type { Metrics } from '../gateway/metrics.ts'

const GOP = 10
const CODEC = {
  name: 'h264',
  longName: 'h264',
  width: 16,
  height: 16,
  pixFmt: 'yuv420p',
  extradata: '',
  timeBase: [1, 90_000],
  reorder: 0,
} as const
const live = (seq: number, bytes = 1_000): LivePacket => ({
  codec: { ...CODEC, timeBase: [1, 90_000] },
  packet: {
    ...{ epoch: 1, index: seq % GOP, keyframe: Math.floor(seq / GOP) + 1, pts: seq * 3000, dts: seq * 3000, timestamp: seq * 33 },
    ...{ key: seq % GOP === 0, corrupt: false, data: new Uint8Array(bytes) },
  },
})
const seqOf = ({ packet }: LivePacket): number => (packet.keyframe - 1) * GOP + packet.index

function reader() {
  let skipped = 0
  const made = new PacketReader(
    count => (skipped += count),
    () => {},
  )
  return { reader: made, skipped: () => skipped }
}

test('a client that keeps up gets every packet', async t => {
  const { reader: own, skipped } = reader()
  const got: number[] = []
  for (let seq = 0; seq < 50; seq++) {
    own.push(live(seq), seq * 33)
    got.push(...(await own.take()).map(seqOf))
  }
  t.deepEqual(
    got,
    Array.from({ length: 50 }, (_, seq) => seq),
  )
  t.is(skipped(), 0)
})

test('a client that falls behind loses whole GOPs, the oldest ones, and goes on at a keyframe', async t => {
  const { reader: own, skipped } = reader()
  for (let seq = 0; seq < 400; seq++) own.push(live(seq), seq * 33)
  const got = (await own.take()).map(seqOf)
  t.is((got[0] ?? 1) % GOP, 0)
  t.is(got.at(-1), 399)
  t.deepEqual(
    got,
    Array.from({ length: got.length }, (_, i) => (got[0] ?? 0) + i),
  )
  t.is(skipped() + got.length, 400)
  t.true(got.length * 33 <= 4_500, `${got.length} packets`)
})

test('what waits for a client that does not read is bounded in bytes', async t => {
  const { reader: own } = reader()
  const megabyte = 2 ** 20
  for (let seq = 0; seq < 190; seq++) own.push(live(seq, megabyte), 0)
  const got = await own.take()
  t.true(got.reduce((sum, { packet }) => sum + packet.data.length, 0) <= 32 * megabyte)
  t.is(got[0]?.packet.key, true)
  own[Symbol.dispose]()
  t.deepEqual(await own.take(), [])
})

test('after a loss the next packet is a keyframe', async t => {
  const { reader: own } = reader()
  own.push(live(0), 0)
  own.cut()
  for (let seq = 3; seq < 12; seq++) own.push(live(seq), 0)
  t.deepEqual((await own.take()).map(seqOf), [0, 10, 11])
})

test.serial('a client that takes nothing for 30 seconds is cut off, and counted', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const gone = new AbortController()
  let counted = 0
  const metrics = { clientsCutOff: { inc: () => counted++ } } as unknown as Metrics
  const sending = sent({ peer: 'x', signal: gone.signal, cutOff: () => gone.abort() }, metrics, () => {})
  mock.timers.tick(29_000)
  t.is(counted, 0)
  mock.timers.tick(2_000)
  await sending
  t.is(counted, 1)
})
