// The decoder and the demuxer on every ffmpeg at hand: the one that is used, and the one that the set-up fetches.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import anyTest from 'ava'
import { fetchedFfmpeg } from '../common/cache.mjs'
import { Decoder, type DecodedFrame } from '../common/media/decoder.ts'
import { demux, type DemuxedPacket, type DemuxInfo } from '../common/media/demux.ts'
import { Gop } from '../common/media/gop.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { PictureMemory } from '../common/media/frame-memory.ts'
import { StreamDecoder } from '../common/media/stream-decoder.ts'
import { onPath } from '../common/which.mjs'
import type { Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { decodeBgr24, ffprobePackets, testVideo, type FrameInfo } from './fixtures/media.ts'
import { descendants } from './fixtures/processes.ts'
import { decodedDamaged, digest } from './fixtures/reference.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest.serial
const run = promisify(execFile)
const ROOM = { head: 3, tail: 5 }

const programs = new Set([ffmpegPath(process.env), onPath('ffmpeg', process.env), fetchedFfmpeg(process.env)])
const ffmpegs = [...programs].filter(path => path !== undefined && existsSync(path)) as string[]

async function version(path: string): Promise<string> {
  return /version (\S+)/.exec((await run(path, ['-version'])).stdout)?.[1] ?? '?'
}

async function demuxed(input: string[]): Promise<{ packets: DemuxedPacket[]; info: DemuxInfo }> {
  const packets: DemuxedPacket[] = []
  let info: DemuxInfo | undefined
  await using ffmpeg = await demux(
    input,
    { reach: 'bounded', copyTimestamps: true },
    {
      onPacket: (packet, description) => {
        packets.push(packet)
        info = description
      },
      onLine: () => {},
      onDesync: problem => {
        throw new Error(problem)
      },
    },
  )
  await ffmpeg.ended
  if (info === undefined) throw new Error('no packets')
  return { packets, info }
}

function packetsOf(packets: readonly DemuxedPacket[]): Packet[] {
  let keyframe = 0
  let index = -1
  return packets.map(({ pts = 0, dts = pts, key, corrupt, data }) => {
    index = key ? 0 : index + 1
    keyframe += key ? 1 : 0
    return { epoch: 1, index, keyframe, pts, dts, timestamp: 1_000_000 + pts, key, corrupt, data }
  })
}

function codecOf({ codec, width, height, pixFmt, extradata, timeBase }: DemuxInfo, reorder: number): Codec {
  return { name: codec, longName: codec, width, height, pixFmt, extradata: extradata.toString('base64'), timeBase, reorder }
}

const picture = ({ buffer, offset, width, height }: DecodedFrame) => digest(buffer.subarray(offset, offset + width * height * 3))

type Options = { threads?: number; scale?: string; isWanted?: (packet: Packet) => boolean }

const BGR24 = { filters: ['format=bgr24'], format: 'BGR24' } as const

async function decoded(codec: Codec, packets: readonly Packet[], { isWanted = () => true, scale, threads = 1 }: Options = {}) {
  const frames: (Omit<DecodedFrame, 'buffer' | 'offset'> & { picture: string })[] = []
  const output = { ...BGR24, filters: [...(scale === undefined ? [] : [`scale=${scale}`]), ...BGR24.filters] }
  await using decoder = await Decoder.start({
    ...{ codec, outputs: [output], threads, room: ROOM },
    onFrame: frame => {
      const { buffer, offset, ...rest } = frame
      frames.push({ ...rest, picture: picture({ ...rest, buffer, offset }) })
      return true
    },
  })
  for (const packet of packets) if (!decoder.feed(packet, isWanted(packet) ? 1 : 0)) await decoder.writable()
  decoder.end()
  await decoder.ended
  return frames
}

/** Damages some packets that are no keyframes: ffmpeg decodes them as well as it can. */
function damaged(packets: readonly Packet[]): Packet[] {
  return packets.map((packet, i) => {
    if (packet.key || i % 4 !== 3) return packet
    const data = Uint8Array.from(packet.data)
    for (let at = data.length >> 1; at < data.length - 4; at += 5) data[at] = (data[at] ?? 0) ^ 0x5a
    return { ...packet, data }
  })
}

for (const path of ffmpegs) {
  const using = async (t: { log: (message: string) => void }) => {
    process.env['FFMPEG_PATH'] = path
    t.log(`ffmpeg ${await version(path)}`)
  }

  for (const [codec, bFrames] of [
    ['h264', 0],
    ['h264', 2],
    ['h265', 2],
    ['mjpeg', 0],
  ] as const) {
    test(`${path}: packets of ${codec} with ${bFrames} B-frames come whole, and their frames as ffmpeg alone decodes them`, async t => {
      await using(t)
      const file = await testVideo({ codec, bFrames, width: 320, height: 192, seconds: 2 })
      const { packets, info } = await demuxed(['-i', file])
      const probed = await ffprobePackets(file)
      t.deepEqual(
        packets.map(({ pts, dts, key, corrupt, data }) => ({ pts, dts, keyframe: key, corrupt, size: data.length })),
        probed.map(({ pts, dts, keyframe, corrupt, size }) => ({ pts, dts, keyframe, corrupt, size })),
      )
      const all = packetsOf(packets)
      const expected = await reference(file)
      for (const threads of [1, 3]) {
        const frames = await decoded(codecOf(info, bFrames > 0 ? 2 : 0), all, { threads })
        t.deepEqual(
          frames.map(frame => ({
            ...{ pts: frame.packet.pts, type: frame.type, keyframe: frame.key },
            ...{ width: frame.width, height: frame.height, picture: frame.picture },
          })),
          expected,
        )
        t.true(frames.every(({ corrupt }) => !corrupt))
      }
    })

    test(`${path}: of ${codec} with ${bFrames} B-frames come exactly the pictures that are wanted, whatever others need`, async t => {
      await using(t)
      const { packets, info } = await demuxed(['-i', await testVideo({ codec, bFrames, width: 320, height: 192, seconds: 2 })])
      // Times as after a year, and a time base as fine as any.
      const year = 365 * 86_400 * 90_000
      const all = packetsOf(packets).map(packet => ({ ...packet, pts: packet.pts + year, dts: packet.dts + year }))
      const fine = packetsOf(packets).map(packet => ({ ...packet, pts: packet.pts * 10_000 }))
      const plain = codecOf(info, bFrames > 0 ? 2 : 0)
      const times = new Set(all.map(({ pts }) => pts))
      t.is(times.size, all.length)
      for (const [given, timeBase] of [
        [all, plain.timeBase],
        [fine, [1, 1_000_000_000]],
      ] as const) {
        const whole = await decoded({ ...plain, timeBase: [...timeBase] }, given)
        t.is(whole.length, given.length)
        const choices = [
          (i: number) => i % 3 === 0,
          (i: number) => i % 7 === 5 || (i > 20 && i < 30), // as the choice changes
          (i: number) => i > 40,
          () => false,
        ]
        for (const isChosen of choices) {
          const places = new Map(given.map((packet, i) => [packet.pts, i]))
          const isWanted = ({ pts }: Packet) => isChosen(places.get(pts) ?? 0)
          t.deepEqual(
            await decoded({ ...plain, timeBase: [...timeBase] }, given, { isWanted }),
            whole.filter(({ packet }) => isWanted(packet)),
          )
        }
      }
    })
  }

  test(`${path}: frames of a camera that says how it is mounted are not turned`, async t => {
    await using(t)
    await using folder = await temporaryFolder()
    const plain = await testVideo({ width: 320, height: 192, seconds: 1 })
    const turned = folder.file('turned.ts')
    const says = ['-bsf:v', 'h264_mp4toannexb,h264_metadata=display_orientation=insert:rotate=90']
    await run(ffmpegPath(process.env), ['-nostdin', '-v', 'error', '-i', plain, '-c', 'copy', ...says, '-f', 'mpegts', turned])
    const { packets, info } = await demuxed(['-i', turned])
    const frames = await decoded(codecOf(info, 0), packetsOf(packets))
    t.deepEqual(
      frames.map(({ width, height, picture }) => ({ width, height, picture })),
      (await reference(plain)).map(({ width, height, picture }) => ({ width, height, picture })),
    )
  })

  test(`${path}: no frame is held back but for those that B-frames need`, async t => {
    await using(t)
    for (const [bFrames, heldBack] of [
      [0, 0],
      [2, 2],
    ] as const) {
      const file = await testVideo({ bFrames, width: 320, height: 192, seconds: 2 })
      const { packets, info } = await demuxed(['-i', file])
      let frames = 0
      await using decoder = await Decoder.start({
        codec: codecOf(info, bFrames),
        outputs: [BGR24],
        threads: 1,
        room: ROOM,
        onFrame: () => frames++ >= 0,
      })
      for (const packet of packetsOf(packets).slice(0, 20)) decoder.feed(packet)
      await until(() => frames >= 20 - heldBack, { what: `the frames of 20 packets with ${bFrames} B-frames (${frames} came)` })
      t.pass()
    }
  })

  test(`${path}: exactly the frames that ffmpeg calls corrupt are marked`, async t => {
    await using(t)
    await using folder = await temporaryFolder()
    for (const bFrames of [0, 2]) {
      const { packets, info } = await demuxed(['-i', await testVideo({ bFrames, width: 320, height: 192, seconds: 2 })])
      const all = damaged(packetsOf(packets))
      const codec = codecOf(info, bFrames)
      const expected = await decodedDamaged(folder, all, codec)
      t.true(expected.filter(({ corrupt }) => corrupt).length > 3)
      t.deepEqual(
        (await decoded(codec, all)).map(frame => ({ pts: frame.packet.pts, picture: frame.picture, corrupt: frame.corrupt })),
        expected.map(frame => ({ pts: frame.pts, picture: frame.picture, corrupt: frame.corrupt })),
      )
    }
  })

  test(`${path}: a picture's size may change from one keyframe to the next`, async t => {
    await using(t)
    const files = await Promise.all([testVideo({ seconds: 1 }), testVideo({ seconds: 1, width: 320, height: 192 })])
    const [large, small] = await Promise.all(files.map(file => annexB(file)))
    if (large === undefined || small === undefined) throw new Error('two videos')
    const shifted = [large, small, large].flatMap(({ packets }, i) =>
      packetsOf(packets).map(packet => ({ ...packet, pts: packet.pts + i * 10_000_000 })),
    )
    const frames = await decoded(codecOf(large.info, 0), shifted)
    const sizes = frames.map(({ width, height }) => `${width}x${height}`)
    t.deepEqual(sizes, [
      ...large.packets.map(() => '640x360'),
      ...small.packets.map(() => '320x192'),
      ...large.packets.map(() => '640x360'),
    ])
    const pictures = async (file: string) => (await reference(file)).map(frame => frame.picture)
    const [first, second] = await Promise.all(files.map(pictures))
    t.deepEqual(
      frames.map(frame => frame.picture),
      [...(first ?? []), ...(second ?? []), ...(first ?? [])],
    )
  })

  test(`${path}: frames are scaled`, async t => {
    await using(t)
    const { packets, info } = await demuxed(['-i', await testVideo({ width: 320, height: 192, seconds: 2 })])
    const frames = await decoded(codecOf(info, 0), packetsOf(packets), { scale: '80:-2' })
    t.is(frames.length, packets.length)
    t.true(frames.every(({ width, height }) => width === 80 && height === 48))
  })

  test(`${path}: a scale that makes pictures of gigabytes takes no memory for them`, async t => {
    await using(t)
    const { packets, info } = await demuxed(['-i', await testVideo({ width: 320, height: 192, seconds: 2 })])
    await using decoder = await Decoder.start({
      ...{ codec: codecOf(info, 0), threads: 1, room: ROOM, outputs: [{ ...BGR24, filters: ['scale=25000:25000', ...BGR24.filters] }] },
      onFrame: () => true,
    })
    let mostMb = 0
    const timer = setInterval(() => (mostMb = Math.max(mostMb, residentMb(decoder.pid))), 5)
    for (const packet of packetsOf(packets)) decoder.feed(packet)
    const { code } = await decoder.ended
    clearInterval(timer)
    t.not(code, 0)
    t.true(mostMb < 500, `${mostMb} MB`)
  })
}

test('a codec that is none, as a pod that was taken over may call it, leaves no ffmpeg behind', async t => {
  const codec = codecOf((await demuxed(['-i', await testVideo({ width: 320, height: 192, seconds: 2 })])).info, 0)
  for (const name of ['none', 'constructor']) {
    const starting = Decoder.start({ codec: { ...codec, name }, outputs: [BGR24], threads: 1, room: ROOM, onFrame: () => true })
    await t.throwsAsync(starting, { message: `NUT carries no ${name}` })
  }
  t.deepEqual(
    descendants().filter(({ command }) => command.includes('ffmpeg')),
    [],
  )
})

const residentMb = (pid: number): number => {
  try {
    return Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_000
  } catch {
    return 0 // it has ended
  }
}

test('a live decoder that begins with a long and large group of pictures leaves out none that follow', async t => {
  const { packets, info } = await demuxed(['-i', await testVideo({ fps: 30, seconds: 12, gop: 360, bitrate: 20_000_000, noise: 60 })])
  const all = packetsOf(packets)
  const [held, following] = [all.slice(0, 300), all.slice(300)]
  t.true(held.reduce((bytes, { data }) => bytes + data.length, 0) > 12 * 2 ** 20)
  const gop = new Gop()
  for (const packet of held) gop.push(packet)
  const shown: number[] = []
  const memory = new PictureMemory()
  const stream = new StreamDecoder(codecOf(info, 0), gop, {
    ...{ outputs: [{ ...BGR24, memory }], wantedOf: () => 1, keyframesSuffice: () => false, reorder: () => 0 },
    count: { dropped: cause => t.fail(cause), unwanted: () => {}, tookMs: () => {} },
    onFrame: ({ packet, buffer }) => {
      shown.push(packet.index)
      memory.give(buffer)
    },
  })
  const ended = stream.run()
  for (const packet of following) {
    await sleep(33)
    gop.push(packet)
    stream.feed(packet)
  }
  const expected = all.slice(held.length - 1).map(({ index }) => index)
  await until(() => shown.length === expected.length, { what: 'the last frame' })
  stream.stop()
  await ended
  t.deepEqual(shown, expected)
})

/** What ffmpeg alone makes of the file. */
async function reference(file: string): Promise<(FrameInfo & { picture: string })[]> {
  const frames: (FrameInfo & { picture: string })[] = []
  for await (const { data, ...frame } of decodeBgr24(file)) frames.push({ ...frame, picture: digest(data) })
  return frames
}

/** Packets with start codes, parameter sets in front of each keyframe. */
async function annexB(file: string): Promise<{ packets: DemuxedPacket[]; info: DemuxInfo }> {
  await using folder = await temporaryFolder()
  const stream = folder.file('video.nut')
  await run(ffmpegPath(process.env), ['-nostdin', '-v', 'error', '-i', file, '-c', 'copy', '-bsf:v', 'h264_mp4toannexb', stream])
  return await demuxed(['-i', stream])
}
