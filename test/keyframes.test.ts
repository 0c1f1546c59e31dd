// Keyframes alone, decoded by an ffmpeg that stays.
import test from 'ava'
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { DecodedFrame } from '../common/media/decoder.ts'
import { PictureMemory } from '../common/media/frame-memory.ts'
import { Gop } from '../common/media/gop.ts'
import { decodesAlone } from '../common/media/parameters.ts'
import { StreamDecoder } from '../common/media/stream-decoder.ts'
import type { Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { decodeBgr24, ffprobeFrames, testVideo, type VideoOptions } from './fixtures/media.ts'
import { packetsOf } from './fixtures/packets.ts'
import { descendants } from './fixtures/processes.ts'
import { until } from './fixtures/wait.ts'

const SMALL = { width: 160, height: 96, fps: 10, seconds: 4, gop: 10 } as const
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

type Video = { packets: Packet[]; codec: Codec; keyPictures: string[] }

async function read(options: VideoOptions): Promise<Video> {
  const file = await testVideo({ ...SMALL, ...options })
  const { packets: demuxed, info } = await packetsOf(file)
  if (info === undefined) throw new Error('no packets')
  const { codec: name, extradata, ...rest } = info
  const codec = { ...rest, name, longName: name, extradata: extradata.toString('base64'), reorder: options.bFrames ?? 0 }
  let keyframe = 0
  let index = -1
  const packets = demuxed.map(({ pts = 0, dts = pts, key, data }) => {
    index = key ? 0 : index + 1
    keyframe += key ? 1 : 0
    return { epoch: 1, index, keyframe, pts, dts, timestamp: 1_000_000 + pts, key, corrupt: false, data }
  })
  const keys = (await ffprobeFrames(file)).map(frame => frame.keyframe)
  const keyPictures: string[] = []
  let i = 0
  for await (const { data } of decodeBgr24(file)) if (keys[i++] === true) keyPictures.push(digest(data))
  return { packets, codec, keyPictures }
}

/** A decoder of the video that has its first packet. */
function decoding({ packets, codec }: Video, keyframesSuffice: () => boolean) {
  const gop = new Gop()
  const memory = new PictureMemory()
  const shown: { packet: Packet; picture: string; corrupt: boolean }[] = []
  let unwanted = 0
  const stream = new StreamDecoder(codec, gop, {
    outputs: [{ filters: ['format=bgr24'], format: 'BGR24', memory }],
    reorder: () => codec.reorder,
    ...{ keyframesSuffice, wantedOf: packet => (packet.key || !keyframesSuffice() ? 1 : 0) },
    count: { dropped: () => {}, unwanted: () => void unwanted++, tookMs: () => {} },
    onFrame: ({ packet, corrupt, buffer, offset, size }: DecodedFrame) => {
      shown.push({ packet, corrupt, picture: digest(buffer.subarray(offset, offset + size)) })
      memory.give(buffer)
    },
  })
  const push = (packet: Packet) => {
    gop.push(packet)
    stream.feed(packet)
  }
  push(packets[0] as Packet)
  return { stream, push, shown, unwanted: () => unwanted, ended: stream.run() }
}

const VIDEOS: Record<string, VideoOptions> = {
  'H.264': {},
  'H.264 with B-frames': { bFrames: 2 },
  'H.265': { codec: 'h265' },
  'H.265 with B-frames': { codec: 'h265', bFrames: 2 },
}

for (const [name, options] of Object.entries(VIDEOS)) {
  test.serial(`${name}: one ffmpeg decodes each keyframe as it comes, and of other packets what it holds back`, async t => {
    const video = await read(options)
    const { stream, push, shown, unwanted, ended } = decoding(video, () => true)
    const decoders = new Set<number>()
    for (const [i, packet] of video.packets.entries()) {
      if (i > 0) push(packet)
      const keyframes = packet.keyframe
      // Packets that follow a keyframe come before it is decoded, as on a full machine. It comes out before the GOP is over.
      if (packet.index >= (options.bFrames ?? 0) + 2) await until(() => shown.length >= keyframes, { what: `keyframe ${keyframes}` })
      for (const { pid, command } of descendants()) if (command.includes('-f nut')) decoders.add(pid)
    }
    stream.stop()
    await ended
    t.deepEqual(
      shown.map(({ picture }) => picture),
      video.keyPictures,
    )
    t.true(shown.every(({ packet, corrupt }) => packet.key && !corrupt))
    t.is(decoders.size, 1)
    t.true(unwanted() <= (options.bFrames ?? 0) * video.keyPictures.length, `${unwanted()} of ${video.packets.length}`)
  })

  test.serial(`${name}: when all frames are wanted in the middle of a GOP, each comes that follows`, async t => {
    const video = await read(options)
    let keyframesSuffice = true
    const { stream, push, shown, ended } = decoding(video, () => keyframesSuffice)
    const { packets } = video
    for (const packet of packets.slice(1, 16)) {
      push(packet)
      await delay(5)
    }
    await until(() => shown.length > 0, { what: 'a keyframe' })
    keyframesSuffice = false
    for (const packet of packets.slice(16, 30)) push(packet)
    // Those that B-frames hold back come with later packets.
    const expected = packets.slice(16, 30 - 2 * (options.bFrames ?? 0))
    await until(() => expected.every(one => shown.some(({ packet }) => packet === one)), { what: 'every frame' })
    t.true(shown.every(({ corrupt }) => !corrupt))
    stream.stop()
    await ended
  })
}

test('keyframes of an open GOP do not decode alone; others do', async t => {
  for (const [options, alone] of [
    [{ bFrames: 2, openGop: true, seconds: 4, gop: 30, fps: 30 }, [true, false, false, false]],
    [{ bFrames: 2, seconds: 4, gop: 30, fps: 30 }, [true, true, true, true]],
  ] as const) {
    const { packets, codec } = await read(options)
    const said = packets.filter(({ key }) => key).map(({ data }) => decodesAlone(codec.name, data, Buffer.from(codec.extradata, 'base64')))
    t.deepEqual(said, [...alone])
  }
  t.true(decodesAlone('h264', Buffer.alloc(0), Buffer.alloc(0)))
})
