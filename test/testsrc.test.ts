// `testsrc:`, the camera that is none: what ffmpeg decodes is what was drawn, and it comes at the rate that was asked for.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import test from 'ava'
import type { DemuxedPacket } from '../common/media/demux.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { keyframeParameters } from '../common/media/parameters.ts'
import { columnsOf, rowsOf, SQUARE, SquaresEncoder, type Size } from '../sidecar/testsrc/h264.ts'
import { runTestsrc } from '../sidecar/testsrc/run.ts'
import { scene, type Colour } from '../sidecar/testsrc/scene.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const draw = (size: Size, number: number, rate: number): Colour[] =>
  scene(columnsOf(size), rowsOf(size), number, (number * 1000) / rate, new Date(1_000_000_000_000 + number * 377))

/** The squares as planes of yuv420p. */
function planes({ width, height }: Size, squares: readonly Colour[]): Buffer {
  const plane = (index: 0 | 1 | 2, step: 1 | 2) =>
    Buffer.from(
      Array.from({ length: (width / step) * (height / step) }, (_, at) => {
        const [x, y] = [(at % (width / step)) * step, Math.floor(at / (width / step)) * step]
        return squares[Math.floor(y / SQUARE) * columnsOf({ width, height }) + Math.floor(x / SQUARE)]?.[index] ?? 0
      }),
    )
  return Buffer.concat([plane(0, 1), plane(1, 2), plane(2, 2)])
}

for (const [width, height, rate, gop, count] of [
  [640, 360, 15, 15, 20],
  [16, 16, 1, 300, 270],
  [1000, 502, 30, 7, 10],
  [3840, 2160, 120, 2, 2],
] as const) {
  test(`frames of ${width}x${height} at ${rate} a second decode to what was drawn`, async t => {
    await using folder = await temporaryFolder()
    const size = { width, height }
    const encoder = new SquaresEncoder(size, rate)
    const drawn = Array.from({ length: count }, (_, number) => draw(size, number, rate))
    const units = drawn.map((squares, number) => encoder.encode(squares, number % gop === 0))
    await writeFile(folder.file('video.h264'), Buffer.concat([encoder.extradata, ...units]))
    const args = ['-v', 'warning', '-f', 'h264', '-i', folder.file('video.h264'), '-fps_mode', 'passthrough', '-f', 'rawvideo', 'pipe:1']
    const { stdout, stderr } = await promisify(execFile)(ffmpegPath(process.env), args, { encoding: 'buffer', maxBuffer: 1 << 28 })
    t.is(stderr.toString(), '')
    const bytes = (width * height * 3) / 2
    t.is(stdout.length, count * bytes)
    for (const [number, squares] of drawn.entries()) {
      t.true(planes(size, squares).equals(stdout.subarray(number * bytes, (number + 1) * bytes)), `frame ${number}`)
    }
    t.like(keyframeParameters('h264', encoder.extradata, Buffer.alloc(0)), { width, height, pixFmt: 'yuv420p' })
  })
}

test('a frame shows its number in its bottom row, and the time of day', t => {
  const [columns, rows] = [40, 23]
  const at = (number: number, time: string) => scene(columns, rows, number, 0, new Date(`2026-01-01T${time}Z`))
  const bits = at(0b1011, '00:00:00').slice(-columns)
  t.deepEqual(
    bits.map(([y]) => (y > 128 ? 1 : 0)),
    [...Array<number>(columns - 4).fill(0), 1, 0, 1, 1],
  )
  t.notDeepEqual(at(0, '00:00:00'), at(0, '00:00:01'))
  t.deepEqual(at(0, '00:00:00'), at(0, '00:00:00'))
})

test.serial('packets come at their rate with a keyframe every gop, and end when it is stopped', async t => {
  const packets: DemuxedPacket[] = []
  const run = runTestsrc({ width: 160, height: 120, rate: 50, gop: 10 }, { onPacket: packet => packets.push(packet) })
  await until(() => packets.length >= 51, { what: '51 packets' })
  t.like(await run.stop(), { code: 0 })
  const { length } = packets
  const apartMs = (packets[50]?.arrivedAt ?? 0) - (packets[0]?.arrivedAt ?? 0)
  t.true(apartMs > 700, `50 packets in ${apartMs} ms`)
  t.true(packets.every(({ key }, sent) => key === (sent % 10 === 0)))
  t.true(packets.every(({ pts = 0 }, i) => i === 0 || pts > (packets[i - 1]?.pts ?? 0)))
  await new Promise(resolve => setImmediate(resolve))
  t.is(packets.length, length)
})
