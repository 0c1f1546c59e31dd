// Colours come out as they were filmed, whatever range and matrix a camera's stream is flagged with.
import test from 'ava'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Decoder } from '../common/media/decoder.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { planOf } from '../common/media/rendition-plan.ts'
import { checkedRendition } from '../gateway/frames/rendition.ts'
import { PIXEL_FORMATS, type PixelFormat } from '../proto/rendition.ts'
import { packetsOf } from './fixtures/packets.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { within } from './fixtures/wait.ts'

const run = promisify(execFile)
const SYSTEM_FFMPEG = '/usr/bin/ffmpeg'
const FFMPEGS = [ffmpegPath(process.env), ...(existsSync(SYSTEM_FFMPEG) ? [SYSTEM_FFMPEG] : [])]

type Rgb = readonly [number, number, number]
/** From left to right, each as wide as the other. */
const COLOURS: readonly Rgb[] = [
  [200, 30, 40],
  [20, 180, 60],
  [40, 50, 210],
  [230, 230, 30],
]
const WIDTH = 256
const HEIGHT = 96
const EACH = WIDTH / COLOURS.length

type Matrix = 'bt709' | 'smpte170m'
type Range = 'tv' | 'pc'
type Flags = { matrix: Matrix; range: Range; isFlagged: boolean }
const WEIGHTS = { bt709: { r: 0.2126, b: 0.0722 }, smpte170m: { r: 0.299, b: 0.114 } } as const

/** ITU-R BT.601 and BT.709: what stands in the planes. */
function yuvOf([r, g, b]: Rgb, { matrix, range }: Flags): Rgb {
  const weights = WEIGHTS[matrix]
  const luma = (weights.r * r + (1 - weights.r - weights.b) * g + weights.b * b) / 255
  const [blue, red] = [(b / 255 - luma) / (2 * (1 - weights.b)), (r / 255 - luma) / (2 * (1 - weights.r))]
  return range === 'tv' ? [16 + 219 * luma, 128 + 224 * blue, 128 + 224 * red] : [255 * luma, 128 + 255 * blue, 128 + 255 * red]
}

async function film(folder: string, { matrix, range, isFlagged }: Flags): Promise<string> {
  const file = join(folder, `${matrix}-${range}.mp4`)
  const inputs = COLOURS.flatMap(([r, g, b]) => {
    const hex = [r, g, b].map(part => part.toString(16).padStart(2, '0')).join('')
    return ['-f', 'lavfi', '-i', `color=c=0x${hex}:s=${EACH}x${HEIGHT}:r=5,format=gbrp`]
  })
  const encoded = `scale=out_color_matrix=${matrix === 'bt709' ? 'bt709' : 'bt601'}:out_range=${range},format=yuv420p`
  const said = isFlagged ? `,setparams=range=${range}:colorspace=${matrix}` : ',setparams=range=unknown:colorspace=unknown'
  const filter = ['-filter_complex', `hstack=inputs=${COLOURS.length},${encoded}${said}`]
  const flags = isFlagged ? ['-color_range', range, '-colorspace', matrix] : []
  const codec = ['-c:v', 'libx264', '-crf', '1', '-bf', '0', '-g', '5', ...flags]
  await run(ffmpegPath(process.env), ['-nostdin', '-v', 'error', ...inputs, ...filter, '-t', '1', ...codec, '-y', file])
  return file
}

/** The first frame of the file in each format, as the product decodes it. */
async function decoded(path: string, file: string, width: number): Promise<Map<PixelFormat, Buffer>> {
  process.env['FFMPEG_PATH'] = path
  const { packets, info } = await packetsOf(file)
  if (info === undefined) throw new Error('no packets')
  const { codec: name, pixFmt, extradata, timeBase } = info
  const source = { width: WIDTH, height: HEIGHT }
  const outputs = PIXEL_FORMATS.map(format => ({ format, ...planOf(checkedRendition({ format, width }, source), source) }))
  const frames = new Map<PixelFormat, Buffer>()
  await using decoder = await Decoder.start({
    codec: { name, longName: name, ...source, pixFmt, extradata: extradata.toString('base64'), timeBase, reorder: 0 },
    outputs: outputs.map(({ format, filters = [], encoderArgs = [] }) => ({ format, filters, encoderArgs })),
    ...{ threads: 1, room: { head: 16, tail: 16 } },
    onFrame: ({ format, buffer, offset, size }) => {
      if (!frames.has(format)) frames.set(format, Buffer.from(buffer.subarray(offset, offset + size)))
      return true
    },
  })
  for (const [index, { pts = 0, dts = 0, key, corrupt, data }] of packets.entries()) {
    decoder.feed({ epoch: 1, index, keyframe: 1, pts, dts, timestamp: index, key, corrupt, data })
  }
  decoder.end()
  await within(decoder.ended, { what: 'the frames', timeoutMs: 60_000 })
  return frames
}

/** A JPEG, as whoever opens it sees it. */
async function jpegPixels(jpeg: Buffer): Promise<Buffer> {
  const running = run(ffmpegPath(process.env), ['-v', 'error', '-f', 'mjpeg', '-i', '-', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'], {
    encoding: 'buffer',
    maxBuffer: 2 ** 24,
  })
  running.child.stdin?.end(jpeg)
  return (await running).stdout
}

const CASES: Record<string, Flags> = {
  'BT.709, limited range': { matrix: 'bt709', range: 'tv', isFlagged: true },
  'BT.709, full range (yuvj420p)': { matrix: 'bt709', range: 'pc', isFlagged: true },
  'BT.601, limited range': { matrix: 'smpte170m', range: 'tv', isFlagged: true },
  'BT.601, full range (yuvj420p)': { matrix: 'smpte170m', range: 'pc', isFlagged: true },
  'nothing, which means BT.601, limited range': { matrix: 'smpte170m', range: 'tv', isFlagged: false },
}

for (const path of FFMPEGS) {
  for (const [name, flags] of Object.entries(CASES)) {
    for (const width of [WIDTH, WIDTH / 2]) {
      test.serial(`${path}: a stream flagged as ${name}, ${width} wide, shows its colours in every format`, async t => {
        await using folder = await temporaryFolder()
        const frames = await decoded(path, await film(folder.path, flags), width)
        const height = (HEIGHT * width) / WIDTH
        const [half, halfHeight] = [width / 2, height / 2]
        const bytes = (format: PixelFormat) => frames.get(format) ?? Buffer.alloc(0)
        const jpeg = await jpegPixels(bytes('JPEG'))
        const isNear = (what: string, got: readonly (number | undefined)[], expected: readonly number[], by: number) =>
          t.true(
            got.every((value, i) => Math.abs((value ?? NaN) - (expected[i] ?? NaN)) <= by),
            `${what}: ${got.join(' ')} instead of ${expected.map(Math.round).join(' ')}`,
          )
        for (const [i, colour] of COLOURS.entries()) {
          const x = Math.floor(((i + 0.5) * width) / COLOURS.length)
          const y = height / 2
          const three = (from: Buffer) => [...from.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)]
          const chroma = (y / 2) * half + x / 2
          const yuv = yuvOf(colour, flags)
          isNear('BGR24', three(bytes('BGR24')).toReversed(), colour, 5)
          isNear('RGB24', three(bytes('RGB24')), colour, 5)
          isNear('JPEG', three(jpeg), colour, 9)
          isNear('GRAY8', [bytes('GRAY8')[y * width + x]], yuv.slice(0, 1), 2)
          const [i420, nv12] = [bytes('I420'), bytes('NV12')]
          const planes = width * height
          isNear('I420', [i420[y * width + x], i420[planes + chroma], i420[planes + half * halfHeight + chroma]], yuv, 2)
          isNear('NV12', [nv12[y * width + x], nv12[planes + 2 * chroma], nv12[planes + 2 * chroma + 1]], yuv, 2)
        }
      })
    }
  }
}
