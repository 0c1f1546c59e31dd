// Keyframes that are decoded one by one, by real ffmpeg.
import test from 'ava'
import type { DecoderOutput } from '../common/media/decoder.ts'
import { KeyframeDecoder, type Keyframe } from '../common/media/keyframe-decoder.ts'
import type { Codec } from '../proto/state.ts'
import { testVideo } from './fixtures/media.ts'
import { packetsOf } from './fixtures/packets.ts'
import { until } from './fixtures/wait.ts'

type Output = { options: DecoderOutput; keys: readonly string[] }

/** A decoder, and what it reported. */
function witness() {
  const frames: { pts: number; keys: readonly string[]; bytes: number }[] = []
  const seen = { frames, dropped: 0, idle: 0, problems: [] as string[] }
  const decoder = new KeyframeDecoder<Output>({
    outputs: ({ keys }) => [{ options: { filters: ['format=bgr24'], format: 'BGR24' }, keys: [...keys].toSorted() }],
    onFrame: ({ keys }, { packet, size }) => void frames.push({ pts: packet.pts, keys, bytes: size }),
    onFailed: problem => void seen.problems.push(problem),
    onDropped: () => void seen.dropped++,
    onIdle: () => void seen.idle++,
  })
  return { decoder, seen }
}

/** Keyframes of a video, each for a rendition of its own: a, b, c … */
async function keyframes(): Promise<Keyframe[]> {
  const { packets, info } = await packetsOf(await testVideo({ width: 320, height: 192, seconds: 2, gop: 5 }))
  if (info === undefined) throw new Error('no packets')
  const { codec: name, extradata, ...rest } = info
  const codec: Codec = { ...rest, name, longName: name, extradata: extradata.toString('base64'), reorder: 0 }
  return packets
    .filter(({ key }) => key)
    .map(({ pts = 0, dts = pts, data }, i) => ({
      packet: { epoch: 1, index: 0, keyframe: i + 1, pts, dts, timestamp: 1_000_000 + pts, key: true, corrupt: false, data },
      codec,
      keys: new Set([String.fromCodePoint(97 + i)]),
    }))
}

test('of keyframes that come while one is decoded the newest is decoded next, for all that wait; the others are counted', async t => {
  const [first, second, third] = (await keyframes()) as [Keyframe, Keyframe, Keyframe]
  const { decoder, seen } = witness()
  await using _decoder = decoder
  for (const keyframe of [first, second, third]) decoder.decode(keyframe)
  await until(() => seen.idle > 0, { what: 'the end of all work' })
  const bytes = 320 * 192 * 3
  t.deepEqual(seen.frames, [
    { pts: first.packet.pts, keys: ['a'], bytes },
    { pts: third.packet.pts, keys: ['b', 'c'], bytes },
  ])
  t.is(seen.dropped, 1)
  t.is(seen.idle, 1)
  decoder.decode(second)
  await until(() => seen.idle > 1, { what: 'the end of more work' })
  t.deepEqual(seen.frames.at(-1), { pts: second.packet.pts, keys: ['b'], bytes })
})

test('a keyframe that waits is forgotten on request, and one that gives no frame is reported', async t => {
  const [first, second] = (await keyframes()) as [Keyframe, Keyframe]
  const { decoder, seen } = witness()
  await using _decoder = decoder
  decoder.decode({ ...first, packet: { ...first.packet, data: Buffer.alloc(100, 7) } })
  decoder.decode(second)
  decoder.clear()
  await until(() => seen.idle > 0, { what: 'the end of all work' })
  t.deepEqual(seen.frames, [])
  t.is(seen.problems.length, 1)
})

test('a decoder that is disposed of ends its ffmpeg, reports no failure, and takes no more', async t => {
  const [first, second] = (await keyframes()) as [Keyframe, Keyframe]
  const { decoder, seen } = witness()
  decoder.decode(first)
  decoder.decode(second)
  await decoder[Symbol.asyncDispose]()
  decoder.decode(second)
  t.is(seen.idle, 1)
  t.deepEqual(seen.problems, [])
  t.false(seen.frames.some(({ pts }) => pts === second.packet.pts))
})
