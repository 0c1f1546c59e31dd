// The past by URL, from the buffer and from the archive on the camera pod's volume: a real camera, sidecar, nats-server, gateway and ffmpeg.
import { status } from '@grpc/grpc-js'
import test, { type ExecutionContext } from 'ava'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { frameId } from '../proto/frame-id.ts'
import type { StoredPacket } from '../proto/messages.ts'
import { packetStream } from '../proto/subjects.ts'
import { framesClient } from './fixtures/frames-client.ts'
import { archivedFiles } from './fixtures/archive.ts'
import { cameraRecord, startCameras } from './fixtures/cameras.ts'
import { startGateway } from './fixtures/gateway.ts'
import { testVideo } from './fixtures/media.ts'
import { boxesOf } from './fixtures/mp4-boxes.ts'
import { startNats } from './fixtures/nats.ts'
import { packetsOf, pictureHash } from './fixtures/packets.ts'
import { startCamera, type CameraCodec } from './fixtures/rtsp-camera.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const run = promisify(execFile)

type Options = { codec: CameraCodec; bFrames: number; archive: object; files?: number }

/** A camera that is buffered and archived, so many files of it. */
async function setUp({ codec, bFrames, archive, files: count = 3 }: Options) {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const source = stack.use(await startCamera({ codec, file: await testVideo({ codec, bFrames, fps: 15, gop: 15 }) }))
  const folder = stack.use(await temporaryFolder())
  const spec = { source: { url: source.url }, buffer: { duration: '10m', maxBytes: '256Mi' }, archive }
  const sidecar = stack.use(await startSidecar(nats, { spec, env: { CHRYS_ARCHIVE_DIR: folder.path } }))
  const cameras = stack.use(await startCameras(nats.url))
  await cameras.put(sidecar.camera, cameraRecord(sidecar.camera, { archive: true }))
  const gateway = stack.use(await startGateway(nats.url))
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  const files = () => archivedFiles(`${folder.path}/cam`)
  await until(async () => (await files()).length >= count, { what: 'files', timeoutMs: 60_000, everyMs: 200 })
  const url = `http://127.0.0.1:${gateway.httpPort}/cameras/cam`
  const owned = stack.move()
  const client = owned.use(framesClient(gateway.port))
  return { sidecar, files, url, client, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function jpegAt(url: string, ms: number): Promise<{ id: string; captureMs: number; body: Buffer; tookMs: number }> {
  const begin = performance.now()
  const answer = await fetch(`${url}/frame.jpg?at=${ms}`)
  const body = Buffer.from(await answer.arrayBuffer())
  if (answer.status !== 200) throw new Error(`${answer.status} ${body.toString()}`)
  const tookMs = performance.now() - begin
  return { id: answer.headers.get('x-frame-id') ?? '', captureMs: Date.parse(answer.headers.get('x-capture-time') ?? ''), body, tookMs }
}

/** Of a clip: its packets, and whether ffmpeg decodes it without a complaint. */
async function clipOf(t: ExecutionContext, url: string, from: number, to: number) {
  const answer = await fetch(`${url}/clip.mp4?from=${from}&to=${to}`)
  const bytes = Buffer.from(await answer.arrayBuffer())
  t.is(answer.status, 200, bytes.subarray(0, 300).toString())
  t.regex(answer.headers.get('content-disposition') ?? '', /^attachment; filename="cam-\d{4}-[-\dTZ]+\.mp4"$/)
  await using folder = await temporaryFolder()
  await writeFile(folder.file('clip.mp4'), bytes)
  const { stderr } = await run(ffmpegPath(process.env), ['-v', 'warning', '-i', folder.file('clip.mp4'), '-f', 'null', '-'])
  t.is(stderr, '')
  const { packets, info } = await packetsOf(folder.file('clip.mp4'))
  const hashes = packets.map(({ data }) => pictureHash(info?.codec ?? '', data))
  return { hashes, packets, boxes: boxesOf(bytes).map(({ type }) => type), first: Date.parse(answer.headers.get('x-capture-time') ?? '') }
}

for (const options of [
  { codec: 'h264', bFrames: 2, archive: { segment: '3s' } },
  { codec: 'h265', bFrames: 0, archive: { segment: 'GOP' } },
] as const) {
  const { codec, bFrames, archive } = options
  test.serial(
    `frames and clips of the archive are those of the buffer (${codec}, B-frames: ${bFrames}, segments: ${archive.segment})`,
    async t => {
      await using parts = await setUp(options)
      const { sidecar, files, url, client } = parts
      const stored = await sidecar.packets()
      const ends = (await files()).map(({ startMs, durationMs }) => startMs + durationMs)
      const endMs = ends.at(-1) ?? 0
      const inFiles = stored.filter(({ timestamp }) => timestamp < endMs - 1_000)
      const wanted = [3, 15, 20, Math.floor(inFiles.length / 2), inFiles.length - 1].flatMap(i => inFiles[i] ?? [])
      const buffered = []
      for (const packet of wanted) {
        const got = await jpegAt(url, packet.timestamp)
        t.is(got.id, frameId(packet))
        t.is(got.captureMs, packet.timestamp)
        buffered.push(got)
      }
      const [from = 0, to = 0] = [wanted[1]?.timestamp, wanted.at(-1)?.timestamp]
      const clipBefore = await clipOf(t, url, from, to)

      // What the buffer has lost is the archive's.
      const jsm = await sidecar.nc.jetstreamManager()
      await jsm.streams.purge(packetStream(sidecar.camera))
      for (const [i, packet] of wanted.entries()) {
        const got = await jpegAt(url, packet.timestamp)
        t.is(got.id, frameId(packet), `${i}`)
        t.true(Math.abs(got.captureMs - packet.timestamp) <= 2, `${got.captureMs} ${packet.timestamp}`)
        t.true(buffered[i]?.body.equals(got.body), 'the same picture')
        t.log(`${buffered[i]?.tookMs.toFixed(0)} ms from the buffer, ${got.tookMs.toFixed(0)} ms from the archive`)
      }
      const clip = await clipOf(t, url, from, to)
      t.deepEqual(clip.hashes, clipBefore.hashes)
      t.deepEqual([...new Set(clip.boxes)], ['ftyp', 'moov', 'mdat', 'emsg'])
      t.deepEqual(clip.hashes, hashesBetween(codec, stored, from, to))
      t.true(clip.packets[0]?.key === true && clip.first <= from)

      // gRPC has the same: single frames, and one after another on from the archive into the buffer.
      const rendition = { width: 64, format: 'PIXEL_FORMAT_GRAY8' as const }
      for (const packet of [wanted[0], wanted.at(-1)].flatMap(one => one ?? [])) {
        const frame = await client.snapshot({ camera: 'cam', at_ms: packet.timestamp, rendition })
        t.is(frame.id, frameId(packet))
      }
      const shown = stored.filter(({ timestamp }) => timestamp >= from && timestamp <= to).toSorted((a, b) => a.timestamp - b.timestamp)
      const replayed = await client.replay({ camera: 'cam', from_ms: from, to_ms: to, rendition })
      t.deepEqual(
        replayed.map(({ frame, lost }) => frame?.id ?? lost),
        shown.map(frameId),
      )
      const onwards = await client.replay({ camera: 'cam', from_ms: from - 600_000, rendition })
      const times = onwards.flatMap(({ frame }) => frame?.capture_time_ms ?? [])
      t.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      )
      t.true((times.at(-1) ?? 0) > endMs && times.includes(to))
      t.like(onwards[0]?.lost, { from_ms: from - 600_000, reason: 'PacketsLost' }, 'from before the archive begins')
      const none = await client.replay({ camera: 'cam', from_ms: 1, to_ms: 2, rendition }).catch(({ code }: { code: number }) => code)
      t.is(none, status.OUT_OF_RANGE)

      const past = (await (await fetch(`${url}/past`)).json()) as {
        archive: string
        stretches: { from: number; to: number; source: string }[]
      }
      t.is(past.archive, 'read')
      t.is(past.stretches[0]?.source, 'archive')
      t.true(Math.abs((past.stretches[0]?.from ?? 0) - (stored[0]?.timestamp ?? 0)) <= 2)
      t.true((past.stretches[0]?.to ?? 0) >= endMs)
    },
  )
}

test('a file that is being written is read as far as it is', async t => {
  await using parts = await setUp({ codec: 'h264', bFrames: 2, archive: { segment: '60s' }, files: 0 })
  const { sidecar, files, url } = parts
  const stored = await until(
    async () => {
      const packets = await sidecar.packets()
      return packets.filter(({ key }) => key).length >= 4 && packets
    },
    { what: 'four GOPs', timeoutMs: 60_000 },
  )
  const whole = stored.slice(
    0,
    stored.findLastIndex(({ key }) => key),
  )
  await (await sidecar.nc.jetstreamManager()).streams.purge(packetStream(sidecar.camera))
  for (const packet of [whole[0], whole[16], whole.at(-1)].flatMap(one => one ?? [])) {
    await until(async () => (await jpegAt(url, packet.timestamp).catch(() => undefined))?.id === frameId(packet), { what: frameId(packet) })
  }
  const [from = 0, to = 0] = [whole[16]?.timestamp, whole.at(-1)?.timestamp]
  t.deepEqual((await clipOf(t, url, from, to)).hashes, hashesBetween('h264', stored, from, to))
  const past = (await (await fetch(`${url}/past`)).json()) as { stretches: { from: number; to: number; source: string }[] }
  t.like(past.stretches[0], { from: whole[0]?.timestamp, source: 'archive' })
  t.true((past.stretches[0]?.to ?? 0) > to)
  t.is((await files()).length, 0)
})

/** Of the packets from the keyframe at or before `from` on. */
function hashesBetween(codec: string, packets: readonly StoredPacket[], from: number, to: number): string[] {
  const begin = packets.findLastIndex(({ key, timestamp }) => key && timestamp <= from)
  const steps = packets[1]!.pts - packets[0]!.pts
  const end = packets.findIndex(({ timestamp, pts, dts }, i) => i > begin && timestamp - (pts - dts) / 90 > to && steps !== 0)
  return packets.slice(begin, end).map(({ data }) => pictureHash(codec === 'h265' ? 'hevc' : codec, data))
}
