// Renditions: what is refused, how a frame lies in its source, and that frames are exactly those that ffmpeg alone makes.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import anyTest from 'ava'
import { fetchedFfmpeg } from '../common/cache.mjs'
import { Decoder, type DecodedFrame } from '../common/media/decoder.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { planOf } from '../common/media/rendition-plan.ts'
import { onPath } from '../common/which.mjs'
import { checkedMaxFps, checkedRendition, type RenditionFields } from '../gateway/frames/rendition.ts'
import { Refusal } from '../gateway/refusal.ts'
import { frameBytes, FULL_BGR24, renditionKey, strides, type PixelFormat } from '../proto/rendition.ts'
import { testVideo } from './fixtures/media.ts'
import { packetsOf } from './fixtures/packets.ts'
import { within } from './fixtures/wait.ts'

const test = anyTest.serial
const run = promisify(execFile)
const SOURCE = { width: 320, height: 180 }

const programs = new Set([ffmpegPath(process.env), onPath('ffmpeg', process.env), fetchedFfmpeg(process.env)])
const ffmpegs = [...programs].filter(path => path !== undefined && existsSync(path)) as string[]

for (const [fields, message] of [
  [{ width: -1 }, 'rendition.width must be a whole number from 0 to 8192'],
  [{ width: 1_000_000 }, 'rendition.width must be a whole number from 0 to 8192'],
  [{ height: 1.5 }, 'rendition.height must be a whole number from 0 to 8192'],
  [{ width: 33, height: 32, format: 'NV12' }, 'rendition.width must be even for NV12'],
  [{ width: 32, height: 33, format: 'I420' }, 'rendition.height must be even for I420'],
  [{ region: { x: 0, y: 0, width: 31, height: 30 }, format: 'I420' }, /rendition\.width must be set for I420, as the source is 31x30/],
  [{ width: 1, height: 8192, fit: 'crop', padColor: 0x1_00_00_00 }, 'rendition.pad_color must be 0xRRGGBB'],
  [{ format: 'YUY2' as PixelFormat }, 'rendition.format must be one of BGR24, RGB24, GRAY8, I420, NV12, JPEG'],
  [{ format: 'JPEG', quality: 101 }, 'rendition.jpeg_quality must be a whole number from 1 to 100'],
  [{ region: { x: 0, y: 0, width: 0, height: 9 } }, 'rendition.region width and height must be at least 1'],
  [{ region: { x: -1, y: 0, width: 9, height: 9 } }, 'rendition.region.x must be a whole number of pixels'],
  [{ region: { x: 300, y: 0, width: 21, height: 9 } }, 'rendition.region must lie within the source frame of 320x180'],
  [{ region: { x: 0, y: 0, width: 1, height: 180 }, width: 4000 }, 'rendition.width gives a height of 720000, at most 8192 are allowed'],
] as [RenditionFields, string | RegExp][]) {
  test(`a rendition of ${JSON.stringify(fields)} is refused`, t => {
    t.is(t.throws(() => checkedRendition(fields, SOURCE), { instanceOf: Refusal, message })?.kind, 'invalid')
  })
}

test('a rate that is none is refused, and 0 is no limit', t => {
  for (const bad of [NaN, -1, Infinity, 1_001]) t.throws(() => checkedMaxFps(bad), { message: 'max_fps must be a number from 0 to 1000' })
  t.is(checkedMaxFps(0), undefined)
  t.is(checkedMaxFps(0.5), 0.5)
})

test('renditions that give the same frames are one', t => {
  const key = (fields: RenditionFields) => renditionKey(checkedRendition(fields))
  t.is(key({}), renditionKey(FULL_BGR24))
  t.is(key({ width: 100, fit: 'crop', padColor: 1, quality: 3 }), key({ width: 100 }))
  t.not(key({ width: 100, height: 100, fit: 'crop' }), key({ width: 100, height: 100 }))
  t.not(key({ format: 'JPEG', quality: 3 }), key({ format: 'JPEG' }))
  t.not(key({ region: { x: 0, y: 0, width: 9, height: 9 } }), key({}))
})

test('rows and bytes are those of the format', t => {
  t.deepEqual(strides('NV12', 6), [6, 6])
  t.deepEqual(strides('I420', 6), [6, 3, 3])
  t.deepEqual(
    (['BGR24', 'GRAY8', 'I420', 'NV12', 'JPEG'] as const).map(format => frameBytes(format, 6, 4)),
    [72, 24, 36, 36, undefined],
  )
})

for (const [fields, geometry] of [
  [{}, { region: { x: 0, y: 0, width: 320, height: 180 }, scaleX: 1, scaleY: 1, padLeft: 0, padTop: 0 }],
  [{ width: 160 }, { region: { x: 0, y: 0, width: 320, height: 180 }, scaleX: 0.5, scaleY: 0.5, padLeft: 0, padTop: 0 }],
  [
    { width: 64, height: 64, fit: 'letterbox' },
    { scaleX: 0.2, scaleY: 0.2, padLeft: 0, padTop: 14 },
  ],
  [
    { width: 90, height: 90, fit: 'crop' },
    { region: { x: 70, y: 0, width: 180, height: 180 }, scaleX: 0.5, scaleY: 0.5 },
  ],
  [
    { region: { x: 11, y: 13, width: 100, height: 50 }, width: 50, height: 50, fit: 'letterbox' },
    { region: { x: 11, y: 13, width: 100, height: 50 }, scaleX: 0.5, padTop: 12 },
  ],
] as [RenditionFields, object][]) {
  test(`how ${JSON.stringify(fields)} lies in the source is told`, t => {
    t.like(planOf(checkedRendition(fields, SOURCE), SOURCE)?.geometry, geometry)
  })
}

/** A rendition, and what ffmpeg alone is told for it. */
const EXACT: [RenditionFields, string, string[]?][] = [
  [{}, 'format=bgr24'],
  [{ format: 'RGB24', width: 160, height: 160 }, 'scale=160:160,format=rgb24'],
  [
    { format: 'RGB24', width: 160, height: 160, fit: 'letterbox', padColor: 0xff8001 },
    'scale=160:90,format=rgb24,pad=160:160:0:35:color=0xff8001',
  ],
  [{ width: 90, height: 90, fit: 'crop' }, 'crop=180:180:70:0:exact=1,scale=90:90,format=bgr24'],
  [{ region: { x: 11, y: 13, width: 101, height: 51 } }, 'crop=101:51:11:13:exact=1,format=bgr24'],
  [{ format: 'GRAY8' }, 'extractplanes=y'],
  [{ format: 'GRAY8', width: 64 }, 'scale=64:36:SAME,format=FORMAT,extractplanes=y'],
  [{ format: 'I420' }, 'null'],
  [{ format: 'NV12' }, 'scale=SAME,format=nv12'],
  [{ format: 'NV12', width: 160, height: 160, fit: 'letterbox' }, 'scale=160:90:SAME,format=nv12,pad=160:160:0:34'],
  [{ format: 'JPEG', width: 160 }, 'scale=160:90:out_color_matrix=bt601:out_range=pc,format=yuvj420p', ['-c:v', 'mjpeg', '-q:v', '6']],
]

/** All frames of a rendition as ffmpeg alone makes them. */
async function reference(file: string, filters: string, encoderArgs: string[]): Promise<Buffer> {
  const args = ['-nostdin', '-v', 'error', '-i', file, '-vf', filters, '-fps_mode', 'passthrough', ...encoderArgs, '-f', 'rawvideo', '-']
  const { stdout } = await run(ffmpegPath(process.env), args, { encoding: 'buffer', maxBuffer: 2 ** 28 })
  return stdout
}

for (const path of ffmpegs) {
  for (const [codec, bFrames] of [
    ['h264', 2],
    ['mjpeg', 0],
  ] as const) {
    test(`${path}: one decoder of ${codec} gives all renditions at once, each as ffmpeg alone makes it`, async t => {
      process.env['FFMPEG_PATH'] = path
      const file = await testVideo({ ...SOURCE, codec, bFrames, seconds: 1 })
      const { packets, info } = await packetsOf(file)
      if (info === undefined) throw new Error('no packets')
      const { codec: name, pixFmt, extradata, timeBase } = info
      const plans = EXACT.map(([fields]) => ({ format: fields.format ?? 'BGR24', ...planOf(checkedRendition(fields, SOURCE), SOURCE) }))
      const frames: Pick<DecodedFrame, 'width' | 'height'>[][] = plans.map(() => [])
      const bytes: Buffer[][] = plans.map(() => [])
      await using decoder = await Decoder.start({
        codec: { name, longName: name, ...SOURCE, pixFmt, extradata: extradata.toString('base64'), timeBase, reorder: bFrames },
        outputs: plans.map(({ format, filters = [], encoderArgs = [] }) => ({ format, filters, encoderArgs })),
        ...{ threads: 1, room: { head: 16, tail: 16 } },
        onFrame: ({ output, width, height, buffer, offset, size }) => {
          frames[output]?.push({ width, height })
          bytes[output]?.push(Buffer.from(buffer.subarray(offset, offset + size)))
          return true
        },
      })
      for (const [index, { pts = 0, dts = 0, key, corrupt, data }] of packets.entries()) {
        decoder.feed({ epoch: 1, index, keyframe: 1, pts, dts, timestamp: index, key, corrupt, data })
      }
      decoder.end()
      await within(decoder.ended, { what: 'the last frames', timeoutMs: 60_000 })
      for (const [i, [fields, filters, encoderArgs = []]] of EXACT.entries()) {
        t.is(frames[i]?.length, packets.length, filters)
        // Planes as the camera has them, also where they have the full range.
        const plain = filters.replace('SAME', 'in_range=pc:out_range=pc').replace('FORMAT', codec === 'mjpeg' ? 'yuvj420p' : 'yuv420p')
        t.true(Buffer.concat(bytes[i] ?? []).equals(await reference(file, plain, encoderArgs)), `${JSON.stringify(fields)}: ${plain}`)
      }
    })
  }
}
