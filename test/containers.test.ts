// MP4 and MPEG-TS as they are written for clients: real packets, read back by ffmpeg.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import test from 'ava'
import { mp4Fragment, mp4Head } from '../common/media/mp4/fragments.ts'
import { Timeline } from '../common/media/media-timeline.ts'
import { TsMuxer } from '../common/media/mpeg-ts.ts'
import { mp4Track } from '../common/media/mp4/track.ts'
import { streamExtradata } from '../common/media/parameters.ts'
import type { Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { packetsOf, type Demuxed } from './fixtures/packets.ts'
import { ffprobePackets, testVideo, type VideoOptions } from './fixtures/media.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const run = promisify(execFile)

/** As a camera's, numbered. */
function asPackets({ packets, info }: Demuxed): { packets: Packet[]; codec: Codec } {
  if (info === undefined) throw new Error('no packets')
  const codec: Codec = {
    ...{ name: info.codec, longName: info.codec, width: info.width, height: info.height, pixFmt: info.pixFmt, reorder: 0 },
    ...{ extradata: info.extradata.toString('base64'), timeBase: info.timeBase },
  }
  let keyframe = 0
  let index = 0
  return {
    codec,
    packets: packets.map(({ pts = 0, dts = pts, key, data }) => {
      keyframe += key ? 1 : 0
      index = key ? 0 : index + 1
      return { epoch: 1_700_000_000_000, keyframe, index, pts, dts, timestamp: 1_700_000_000_000 + pts, key, corrupt: false, data }
    }),
  }
}

function fragmented(packets: readonly Packet[], codec: Codec): Buffer {
  const [first] = packets
  const track = first && mp4Track(codec, first)
  if (track === undefined) throw new Error('no track')
  const timeline = new Timeline()
  const placed = packets.map(packet => ({ packet, ...timeline.place(packet, codec), data: track.sample(packet) }))
  const samples = placed.map((sample, i) => ({ ...sample, duration: (placed[i + 1]?.decode ?? sample.decode + 3000) - sample.decode }))
  return Buffer.concat([
    mp4Head(track),
    mp4Fragment(1, samples.slice(0, 7)),
    ...samples.slice(7).map((one, i) => mp4Fragment(i + 2, [one])),
  ])
}

function transportStream(packets: readonly Packet[], codec: Codec): Buffer {
  const muxer = TsMuxer.of(codec)
  if (muxer === undefined) throw new Error('no muxer')
  const timeline = new Timeline()
  return Buffer.concat(packets.map(packet => muxer.mux(packet, codec, timeline.place(packet, codec))))
}

/** What ffmpeg decodes, and all that it says of the file. */
async function decoded(file: string): Promise<{ frames: string[]; complaints: string }> {
  const args = ['-nostdin', '-hide_banner', '-v', 'warning', '-i', file, '-map', '0:v:0', '-fps_mode', 'passthrough', '-f', 'framemd5', '-']
  const { stdout, stderr } = await run(ffmpegPath(process.env), args, { maxBuffer: 1 << 26 })
  const rows = stdout.split('\n').filter(line => /^\d/.test(line))
  return { frames: rows.map(row => row.split(',').at(-1)?.trim() ?? ''), complaints: stderr }
}

const CASES: readonly [string, VideoOptions, 'as in a file' | 'as from RTSP'][] = [
  ['H.264', { codec: 'h264', gop: 10 }, 'as in a file'],
  ['H.264 with B-frames', { codec: 'h264', gop: 10, bFrames: 2 }, 'as from RTSP'],
  ['H.265', { codec: 'h265', gop: 10 }, 'as in a file'],
  ['H.265 with B-frames', { codec: 'h265', gop: 10, bFrames: 2 }, 'as from RTSP'],
]
for (const [what, options, form] of CASES) {
  test(`${what}, its packets ${form}, is decoded to the same frames at the same times, without a complaint`, async t => {
    const video = await testVideo({ width: 320, height: 192, seconds: 2, ...options })
    const name = options.codec === 'h265' ? 'hevc' : 'h264'
    await using folder = await temporaryFolder()
    let demuxed = await packetsOf(video)
    if (form === 'as from RTSP') {
      // Start codes instead of lengths, and the parameter sets in front of keyframes.
      await run(ffmpegPath(process.env), ['-v', 'error', '-i', video, '-c', 'copy', folder.file('x.ts')])
      demuxed = await packetsOf(folder.file('x.ts'))
    }
    const { packets, codec } = asPackets(demuxed)
    if (form === 'as from RTSP')
      codec.extradata = streamExtradata(name, Buffer.alloc(0), Buffer.from(codec.extradata, 'base64')).toString('base64')
    await writeFile(folder.file('out.mp4'), fragmented(packets, codec))
    await writeFile(folder.file('out.ts'), transportStream(packets, codec))
    const [got, wanted] = await Promise.all([decoded(folder.file('out.mp4')), decoded(video)])
    t.is(got.complaints, '')
    t.deepEqual(got.frames, wanted.frames)
    const [written, original] = await Promise.all([ffprobePackets(folder.file('out.mp4')), ffprobePackets(video)])
    t.deepEqual(steps(written), steps(original))
    const ts = await decoded(folder.file('out.ts'))
    t.is(ts.complaints, '')
    t.deepEqual(ts.frames, wanted.frames)
    t.deepEqual(steps(await ffprobePackets(folder.file('out.ts'))), steps(original))
  })
}

/** When packets are decoded, in frames, and how much later they are shown. */
function steps(packets: readonly { pts: number | undefined; dts: number | undefined }[]): [number, number][] {
  const times = packets.map(({ pts = 0, dts = 0 }) => ({ pts, dts }))
  const [first = { pts: 0, dts: 0 }, second = first] = times
  const frame = second.dts - first.dts
  return times.map(({ pts, dts }) => [Math.round((dts - first.dts) / frame), Math.round((pts - dts) / frame)])
}
