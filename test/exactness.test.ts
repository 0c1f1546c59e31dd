// Frames are bit for bit what ffmpeg alone decodes from the packets that came, with exactly those packets' metadata.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { ExecutionContext } from 'ava'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { onPath } from '../common/which.mjs'
import type { Frame, StoredPacket } from '../proto/messages.ts'
import { decodeHere } from './fixtures/gateway-decoder.ts'
import { testVideo, type VideoOptions } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { codecOf, decodedDamaged, decodedPlain, digest, probed, videoFrame, type ReferenceFrame } from './fixtures/reference.ts'
import { startCamera, type RtspCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { temporaryFolder, type TemporaryFolder } from './fixtures/tmp.ts'
import { testInTurns } from './fixtures/turns.ts'
import { until } from './fixtures/wait.ts'

// ffprobe's own version decodes and is compared with: what becomes of damaged H.265 differs from version to version (decoder.test.ts has them all).
process.env['FFMPEG_PATH'] ??= onPath('ffmpeg', process.env)

// Two at a time: cameras, sidecars and decoders need a good part of the machine.
const test = testInTurns(2)

const SMALL = { width: 320, height: 192, seconds: 2 } as const // whole blocks: RTP rounds the size of a JPEG

type Shown = Omit<Frame, 'seq' | 'lease'>
type Where = 'Sidecar' | 'Gateway'
/** Where frames are decoded: they are the same. */
const WHERE = ['Sidecar', 'Gateway'] as const
const inThe = (where: Where) => (where === 'Sidecar' ? 'in the sidecar' : 'in the gateway')

type Watching = AsyncDisposable & { readonly frames: readonly Shown[]; metrics(): Promise<string> }
type Setting = AsyncDisposable & {
  camera: RtspCamera
  sidecar: Sidecar
  watch(where: Where, wants: 'all' | 'keyframes'): Promise<Watching>
}

async function setUp(video: VideoOptions, { decoding = {}, file }: { decoding?: object; file?: string } = {}): Promise<Setting> {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const camera = stack.use(await startCamera({ codec: video.codec ?? 'h264', file: file ?? (await testVideo({ ...SMALL, ...video })) }))
  const sidecar = stack.use(await startSidecar(nats, { spec: { source: { url: camera.url }, decoding } }))
  await sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming')
  const owned = stack.move()
  const watch = async (where: Where, wants: 'all' | 'keyframes') =>
    where === 'Gateway'
      ? await decodeHere(nats.url, sidecar.camera, wants, decoding)
      : Object.assign(await sidecar.watch(wants), { metrics: () => sidecar.metrics() })
  return { camera, sidecar, watch, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Frames of the next moment, and how many were dropped until then. */
async function watched(setting: Setting, where: Where, wants: 'all' | 'keyframes', count: number) {
  await using watching = await setting.watch(where, wants)
  await until(() => watching.frames.length >= count, { what: `${count} frames; ${setting.sidecar.log().slice(-500)}` })
  const frames = [...watching.frames]
  return { frames, dropped: sumOf(await watching.metrics(), 'chrysalis_frames_dropped_total') }
}

const byPts = (packets: readonly StoredPacket[]) => new Map(packets.map(packet => [packet.pts, packet]))

/** The metadata of each frame is its packet's; pictures, types and keyframes are those of the reference. */
function isExact(t: ExecutionContext, frames: readonly Shown[], packets: readonly StoredPacket[], reference: readonly ReferenceFrame[]) {
  const codec = codecOf(packets)
  const packetOf = byPts(packets)
  const expected = new Map(reference.map(frame => [frame.pts, frame]))
  for (const sent of frames) {
    const frame = videoFrame(sent)
    const packet = packetOf.get(frame.pts)
    const other = expected.get(frame.pts)
    if (packet === undefined || other === undefined) return t.fail(`a frame at ${frame.pts} that no packet has`)
    const { width, height } = other
    t.deepEqual({ ...frame, data: digest(frame.data) }, {
      ...{ width, height, data: other.picture, timestamp: packet.timestamp, is_keyframe: other.keyframe, pts: packet.pts, dts: packet.dts },
      ...{ frame_type: other.type, is_corrupt: false, time_base: codec.timeBase[0] / codec.timeBase[1], device_id: 'cam' },
      shape: { dim: [height, width, 3].map((size, index) => ({ size, name: String(index) })) },
      ...{ packet: packet.index, keyframe: packet.keyframe, extradata: Buffer.alloc(0), codec_name: codec.name, pix_fmt: codec.pixFmt },
    } as unknown as typeof frame & { data: string })
    t.deepEqual(
      { timestamp: sent.timestamp, key: sent.key, width: sent.width, height: sent.height, epoch: sent.epoch },
      { timestamp: packet.timestamp, key: other.keyframe, width, height, epoch: packet.epoch },
    )
  }
}

/**
 * Once each, in presentation order; none of the `times` between the first and the last left out, but for those that the decoder's owner says
 * were dropped since there was no time for them.
 */
function isWhole(t: ExecutionContext, { frames, dropped }: { frames: readonly Shown[]; dropped: number }, times: readonly number[]) {
  const got = frames.map(frame => videoFrame(frame).pts)
  t.deepEqual(
    got,
    got.toSorted((a, b) => a - b),
  )
  t.is(new Set(got).size, got.length)
  const [first = 0, last = 0] = [got[0], got.at(-1)]
  const missing = times.filter(time => time >= first && time <= last && !got.includes(time))
  t.true(missing.length <= dropped, `${missing.length} frames are missing, ${dropped} were dropped`)
  for (const [i, frame] of frames.entries()) t.true(i === 0 || frame.timestamp > (frames[i - 1]?.timestamp ?? 0))
}

/** Of the same packet, the same bytes. */
function areTheSame(t: ExecutionContext, [here, there]: readonly { frames: readonly Shown[] }[]) {
  const others = new Map(there?.frames.map(frame => [frame.timestamp, frame]))
  const common = here?.frames.filter(({ timestamp }) => others.has(timestamp)) ?? []
  t.true(common.length > 10, `${common.length} frames in common`)
  for (const { epoch, key, width, height, message, timestamp } of common) {
    t.like(others.get(timestamp), { epoch, key, width, height })
    t.true(others.get(timestamp)?.message.equals(message))
  }
}

const sumOf = (metrics: string, name: string): number =>
  metrics
    .split('\n')
    .filter(line => line.startsWith(name))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)

const timesOf = (packets: readonly StoredPacket[]): number[] => packets.map(({ pts }) => pts)

function packetsAreSound(t: ExecutionContext, packets: readonly StoredPacket[]) {
  let keyframe = 0
  let index = 0
  for (const [i, packet] of packets.entries()) {
    index = packet.key ? 0 : index + 1
    keyframe += packet.key ? 1 : 0
    t.like(packet, { index, keyframe, corrupt: false, epoch: packets[0]?.epoch ?? 0 })
    t.true(packet.dts <= packet.pts)
    t.true(i === 0 || packet.dts > (packets[i - 1]?.dts ?? 0))
  }
  // The last B-frames may not have come yet.
  const inOrder = packets.toSorted((a, b) => a.pts - b.pts).slice(0, -3)
  for (const [i, { pts, timestamp }] of inOrder.entries()) {
    const before = inOrder[i - 1]
    if (before === undefined) continue
    t.is(pts - before.pts, 3000)
    t.true(timestamp > before.timestamp)
  }
}

for (const [codec, bFrames] of [
  ['h264', 0],
  ['h264', 2],
  ['h265', 0],
  ['h265', 2],
  ['mjpeg', 0],
] as const) {
  test(`frames of ${codec} with ${bFrames} B-frames are ffmpeg's own wherever they are decoded, each with its packet's metadata, once and in order`, async t => {
    await using folder = await temporaryFolder()
    await using setting = await setUp({ codec, bFrames })
    const all = await Promise.all(WHERE.map(where => watched(setting, where, 'all', 75)))
    const packets = await setting.sidecar.packets()
    packetsAreSound(t, packets)
    const reference = await decodedPlain(folder, packets)
    for (const each of all) {
      isWhole(t, each, timesOf(packets))
      isExact(t, each.frames, packets, reference)
    }
    areTheSame(t, all)
    t.deepEqual(
      (await probed(folder, packets)).map(({ pts, type, keyframe }) => ({ pts, type, keyframe })),
      reference.map(({ pts, type, keyframe }) => ({ pts, type, keyframe })),
    )
  })
}

for (const where of WHERE) {
  test(`who asks in the middle of a group of pictures gets the newest frame first, and the next ones, decoded ${inThe(where)}`, async t => {
    await using setting = await setUp({ gop: 60, bFrames: 2 })
    const { sidecar } = setting
    const half = async () => {
      const last = (await sidecar.packets()).at(-1)
      return (last?.index ?? 0) > 20 && (last?.index ?? 0) < 40 && last
    }
    const newest = await until(half, { what: 'the middle of a group of pictures' })
    const got = await watched(setting, where, 'all', 30)
    isWhole(t, got, timesOf(await sidecar.packets()))
    const [first] = got.frames
    t.true((first?.timestamp ?? 0) >= newest.timestamp - 100, 'not from the keyframe on')
  })
}

/** Pictures in slices: without one of them a picture is damaged rather than missing. */
async function slicedVideo(folder: TemporaryFolder, codec: 'h264' | 'h265'): Promise<string> {
  const file = folder.file('sliced.mp4')
  const picture = 'testsrc2=size=320x192:rate=30,noise=alls=10:allf=t'
  const params = 'slices=4:keyint=30:min-keyint=30:scenecut=0:open-gop=0:bframes=2'
  const encoder =
    codec === 'h264' ? ['-c:v', 'libx264', '-x264-params', params] : ['-c:v', 'libx265', '-tag:v', 'hvc1', '-x265-params', params]
  const args = [
    '-nostdin',
    '-v',
    'error',
    '-f',
    'lavfi',
    '-i',
    picture,
    '-t',
    '2',
    ...encoder,
    '-pix_fmt',
    'yuv420p',
    '-preset',
    'superfast',
    file,
  ]
  await promisify(execFile)(ffmpegPath(process.env), args)
  return file
}

for (const [codec, where] of [
  ['h264', 'Sidecar'],
  ['h265', 'Sidecar'],
  ['h264', 'Gateway'],
  ['h265', 'Gateway'],
] as const) {
  test(`after parts of ${codec} pictures were lost, frames decoded ${inThe(where)} are what ffmpeg makes of the rest, damage marked as ffmpeg marks it`, async t => {
    await using folder = await temporaryFolder()
    await using setting = await setUp({ codec }, { file: await slicedVideo(folder, codec) })
    const { sidecar, camera } = setting
    await using watching = await setting.watch(where, 'all')
    await until(() => watching.frames.length > 20, { what: 'frames' })
    // Where frames come late, what was lost may be seen only later.
    const isSeen = () => codec === 'h265' || watching.frames.some(frame => videoFrame(frame).is_corrupt)
    for (let times = 0; times < 4 || (times < 20 && !isSeen()); times++) {
      const before = watching.frames.length
      await camera.lose(codec === 'h264' ? 3 : 2) // a delimiter goes first
      await until(() => watching.frames.length > before + 11, { what: 'frames after the loss' })
    }
    const frames = [...watching.frames]
    const got = frames.map(frame => videoFrame(frame))
    const packets = await sidecar.packets()
    const reference = new Map((await decodedDamaged(folder, packets, codecOf(packets))).map(frame => [frame.pts, frame]))
    const dropped = sumOf(await watching.metrics(), 'chrysalis_frames_dropped_total')
    isWhole(t, { frames, dropped }, [...reference.keys()]) // what ffmpeg can't decode is nowhere
    for (const { pts, data, is_corrupt, frame_type, is_keyframe } of got) {
      const other = reference.get(pts)
      t.deepEqual(
        { pts, picture: digest(data), corrupt: is_corrupt, type: frame_type, keyframe: is_keyframe },
        {
          pts,
          picture: other?.picture ?? '',
          corrupt: other?.corrupt ?? false,
          type: other?.type ?? '',
          keyframe: other?.keyframe ?? false,
        },
      )
    }
    if (codec === 'h264') t.true(got.some(({ is_corrupt }) => is_corrupt)) // ffmpeg's H.265 decoder tells nothing
    t.true(got.some(({ is_corrupt }) => !is_corrupt))
  })
}

for (const [codec, bFrames, gop] of [
  ['h264', 2, 30],
  ['h265', 2, 30],
  ['h264', 0, 5],
  ['mjpeg', 0, 30],
] as const) {
  test(`who wants keyframes gets every keyframe of ${codec} with ${bFrames} B-frames and ${gop} frames a group, at once and exact`, async t => {
    await using folder = await temporaryFolder()
    await using setting = await setUp({ codec, bFrames, gop })
    const count = gop === 30 && codec !== 'mjpeg' ? 4 : 20
    const all = await Promise.all(WHERE.map(where => watched(setting, where, 'keyframes', count)))
    const packets = await setting.sidecar.packets()
    const reference = await decodedPlain(folder, packets)
    for (const each of all) {
      isExact(t, each.frames, packets, reference)
      t.true(each.frames.every(({ key }) => key))
      isWhole(t, each, timesOf(packets.filter(({ key }) => key)))
    }
  })
}

test('frames are scaled, and thinned out evenly, as the spec says', async t => {
  await using setting = await setUp({ bFrames: 2 }, { decoding: { scale: '160:-2', maxFps: 5 } })
  for (const where of WHERE) {
    const frames = (await watched(setting, where, 'all', 16)).frames.map(frame => videoFrame(frame))
    t.true(frames.every(({ width, height, data }) => width === 160 && height === 96 && data.length === 160 * 96 * 3))
    const [first = 0, ...steps] = frames.slice(1).map(({ pts }, i) => pts - (frames[i]?.pts ?? 0))
    t.true(first >= 9_000 && first <= 27_000, String(first)) // the newest picture is not waited for
    t.deepEqual([...new Set(steps)], [18_000])
  }
})

for (const [codec, bFrames] of [
  ['h264', 0],
  ['h264', 2],
  ['mjpeg', 0],
] as const) {
  test(`where ten frames a second of ${codec} with ${bFrames} B-frames are enough so many come, exact`, async t => {
    await using folder = await temporaryFolder()
    await using setting = await setUp({ codec, bFrames }, { decoding: { maxFps: 10 } })
    for (const where of WHERE) {
      await using watching = await setting.watch(where, 'all')
      await until(() => watching.frames.length >= 30, { what: '30 frames' })
      const frames = [...watching.frames]
      const packets = await setting.sidecar.packets()
      isExact(t, frames, packets, await decodedPlain(folder, packets))
      const [from = 0, to = 0] = [frames[0]?.timestamp, frames.at(-1)?.timestamp]
      const came = packets.filter(({ timestamp }) => timestamp >= from && timestamp <= to).length
      const dropped = sumOf(await watching.metrics(), 'chrysalis_frames_dropped_total')
      t.true(Math.abs(frames.length - came / 3) <= 3 + dropped, `${frames.length} of ${came}, ${dropped} dropped`)
    }
  })
}

test('a camera with keyFramesOnly gives keyframes to everyone', async t => {
  await using setting = await setUp({ gop: 15 }, { decoding: { keyFramesOnly: true } })
  for (const where of WHERE) {
    const frames = (await watched(setting, where, 'all', 5)).frames.map(frame => videoFrame(frame))
    t.true(frames.every(({ is_keyframe, packet }) => is_keyframe && packet === 0))
    const keyframes = frames.map(({ keyframe }) => keyframe)
    t.deepEqual(
      keyframes,
      keyframes.map((_, i) => (keyframes[0] ?? 0) + i),
    )
  }
})
