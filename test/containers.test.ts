// MP4 and MPEG-TS as they are written for clients: real packets, read back by ffmpeg.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import test from 'ava'
import { mp4File } from '../common/media/mp4/file.ts'
import { mp4Fragment, mp4Head } from '../common/media/mp4/fragments.ts'
import { Timeline } from '../common/media/media-timeline.ts'
import { TsMuxer } from '../common/media/mpeg-ts.ts'
import { streamExtradata } from '../common/media/parameters.ts'
import { frameId } from '../proto/frame-id.ts'
import type { Packet, StoredPacket } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { Registry } from 'prom-client'
import { Unsent } from '../gateway/frames/unsent.ts'
import { Clips } from '../gateway/http/clip.ts'
import { MemoryBudget } from '../gateway/memory-budget.ts'
import { createMetrics } from '../gateway/metrics.ts'
import type { Past } from '../gateway/past/past.ts'
import { cameraRecord } from './fixtures/cameras.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { boxesOf, frameEvents } from './fixtures/mp4-boxes.ts'
import { asPackets, asSamples } from './fixtures/mp4-samples.ts'
import { packetsOf } from './fixtures/packets.ts'
import { ffprobePackets, testVideo, type FileVideoOptions } from './fixtures/media.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const run = promisify(execFile)

function fragmented(packets: readonly Packet[], codec: Codec): Buffer {
  const { track, samples } = asSamples(packets, codec)
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

const CASES: readonly [string, FileVideoOptions, 'as in a file' | 'as from RTSP' | 'as in a stream'][] = [
  ['H.264', { codec: 'h264', gop: 10 }, 'as in a file'],
  ['H.264 with B-frames', { codec: 'h264', gop: 10, bFrames: 2 }, 'as from RTSP'],
  ['H.265', { codec: 'h265', gop: 10 }, 'as in a file'],
  ['H.265 with B-frames', { codec: 'h265', gop: 10, bFrames: 2 }, 'as from RTSP'],
  ['AV1', { codec: 'av1', gop: 10 }, 'as in a file'],
  ['AV1', { codec: 'av1', gop: 10 }, 'as in a stream'],
]
for (const [what, options, form] of CASES) {
  test(`${what}, its packets ${form}, is decoded to the same frames at the same times, without a complaint`, async t => {
    const video = await testVideo({ width: 320, height: 192, seconds: 2, ...options })
    const name = options.codec === 'h265' ? 'hevc' : 'h264'
    const isAv1 = options.codec === 'av1'
    await using folder = await temporaryFolder()
    let demuxed = await packetsOf(video)
    if (form === 'as from RTSP') {
      // Start codes instead of lengths, and the parameter sets in front of keyframes.
      await run(ffmpegPath(process.env), ['-v', 'error', '-i', video, '-c', 'copy', folder.file('x.ts')])
      demuxed = await packetsOf(folder.file('x.ts'))
    }
    if (form === 'as in a stream') {
      // With delimiters, and no description but the sequence header in keyframes.
      await run(ffmpegPath(process.env), ['-v', 'error', '-i', video, '-c', 'copy', folder.file('x.ivf')])
      demuxed = await packetsOf(folder.file('x.ivf'))
    }
    const { packets, codec } = asPackets(demuxed)
    if (form === 'as in a stream') codec.extradata = ''
    if (form === 'as from RTSP')
      codec.extradata = streamExtradata(name, Buffer.alloc(0), Buffer.from(codec.extradata, 'base64')).toString('base64')
    await writeFile(folder.file('out.mp4'), fragmented(packets, codec))
    const [got, wanted] = await Promise.all([decoded(folder.file('out.mp4')), decoded(video)])
    t.is(got.complaints, '')
    t.deepEqual(got.frames, wanted.frames)
    const [written, original] = await Promise.all([ffprobePackets(folder.file('out.mp4')), ffprobePackets(video)])
    t.deepEqual(steps(written), steps(original))
    if (isAv1) {
      t.is(TsMuxer.of(codec), undefined, 'MPEG-TS does not carry it')
      return
    }
    await writeFile(folder.file('out.ts'), transportStream(packets, codec))
    const ts = await decoded(folder.file('out.ts'))
    t.is(ts.complaints, '')
    t.deepEqual(ts.frames, wanted.frames)
    t.deepEqual(steps(await ffprobePackets(folder.file('out.ts'))), steps(original))
  })
}

for (const form of ['plain', 'fragmented']) {
  test(`a ${form} clip with B-frames begins at 0, and says of each frame at its time which one it is`, async t => {
    const { packets, codec } = asPackets(await packetsOf(await testVideo({ width: 320, height: 192, seconds: 2, gop: 10, bFrames: 2 })))
    const { track, samples } = asSamples(packets, codec)
    const firstShow = samples[0]?.show ?? 0
    t.true(firstShow > 0)
    const fragments = () => [mp4Head(track, firstShow), mp4Fragment(1, samples, firstShow)]
    const bytes = Buffer.concat(form === 'plain' ? mp4File(track, samples) : fragments())
    await using folder = await temporaryFolder()
    await writeFile(folder.file('clip.mp4'), bytes)
    const times = (await ffprobePackets(folder.file('clip.mp4'))).map(({ pts = NaN }) => pts / 90_000)
    t.is(Math.min(...times), 0)
    const events = frameEvents(boxesOf(bytes))
    t.deepEqual(
      events.map(({ id }) => id),
      packets.map(frameId),
    )
    for (const [i, { mediaTime }] of events.entries()) t.true(Math.abs(mediaTime - (times[i] ?? NaN)) < 1e-4, `${i}`)
  })
}

/** A NAL unit that decoders pass by, of so many bytes. */
function filler(bytes: number): Buffer {
  const unit = Buffer.alloc(4 + bytes, 0xff)
  unit.writeUInt32BE(bytes)
  unit[4] = 12
  return unit
}

test('a clip that is too large for one piece comes in fragments while it is read, and is decoded to the same frames', async t => {
  const video = await testVideo({ width: 320, height: 192, seconds: 2, gop: 10, bFrames: 2 })
  const { packets, codec } = asPackets(await packetsOf(video))
  let unread = packets.length
  const past = {
    async *packets(): AsyncGenerator<StoredPacket> {
      for (const packet of packets) {
        unread--
        yield { ...packet, keySeq: 0, data: Buffer.concat([packet.data, filler(2 ** 20)]), ...(packet.key ? { codec } : {}) }
      }
    },
  }
  const metrics = createMetrics(new Registry())
  const unsent = new Unsent(64 * 2 ** 20, new MemoryBudget(1e12), () => {})
  const clips = new Clips({ unsent, metrics, past: past as unknown as Past })
  const ref = { namespace: 'default', name: 'cam' }
  const camera = {
    ref,
    uid: 'uid',
    deviceId: 'cam',
    record: cameraRecord({ ...ref, uid: 'uid' }),
    report: undefined,
    runningSince: undefined,
  }
  const { signal } = new AbortController()
  await using server = createServer((request, response) => {
    const exchange = { request, response, signal, peer: '127.0.0.1:1', cutOff: () => response.destroy() }
    void clips.send(camera, { fromMs: 0, toMs: 1 }, exchange)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  t.is(answer.headers.get('content-length'), null)
  const body = answer.body?.getReader()
  const parts = [(await body?.read())?.value ?? Buffer.alloc(0)]
  t.true(unread > 0, 'it is sent while it is read')
  for (let read = await body?.read(); read?.value !== undefined; read = await body?.read()) parts.push(read.value)
  const bytes = Buffer.concat(parts)
  await using folder = await temporaryFolder()
  await writeFile(folder.file('clip.mp4'), bytes)
  const [got, wanted] = await Promise.all([decoded(folder.file('clip.mp4')), decoded(video)])
  t.is(got.complaints, '')
  t.deepEqual(got.frames, wanted.frames)
  const boxes = boxesOf(bytes)
  t.true(boxes.filter(({ type }) => type === 'moof').length > 10)
  t.deepEqual(
    frameEvents(boxes).map(({ id }) => id),
    packets.map(frameId),
  )
})

/** When packets are decoded, in frames, and how much later they are shown. */
function steps(packets: readonly { pts: number | undefined; dts: number | undefined }[]): [number, number][] {
  const times = packets.map(({ pts = 0, dts = 0 }) => ({ pts, dts }))
  const [first = { pts: 0, dts: 0 }, second = first] = times
  const frame = second.dts - first.dts
  return times.map(({ pts, dts }) => [Math.round((dts - first.dts) / frame), Math.round((pts - dts) / frame)])
}
