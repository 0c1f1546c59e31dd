import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import test from 'ava'
import { encodePng } from '../deploy/local/png.ts'
import { WatchStats, type SeenFrame } from '../deploy/local/watch-stats.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const frame: SeenFrame = { width: 640, height: 360, timestamp: 1_000, pts: 0, frameType: 'P', isCorrupt: false, codec: 'h264' }

test('a second of frames becomes a line', t => {
  const stats = new WatchStats('front')
  for (let i = 0; i < 15; i++) stats.add({ ...frame, pts: i * 6_000, frameType: i === 0 ? 'I' : 'P' }, i === 7 ? 1_090 : 1_020)
  t.is(stats.line(1), 'front   15.0 fps   640x360 h264   I 1 P 14 B 0   latency p50 20 ms max 90 ms   missed 0')
  t.is(stats.line(1), undefined)
})

test('missed frames are seen by the gap they leave, a new epoch is none', t => {
  const stats = new WatchStats('front')
  for (const pts of [0, 1, 2, 3, 7, 8, 10, 0, 1, 2]) stats.add({ ...frame, pts: pts * 3_000, isCorrupt: pts === 8 }, 1_000)
  t.regex(stats.line(1) ?? '', /missed 4 {3}corrupt 1$/)
})

test('a picture is written as PNG, pixel for pixel', async t => {
  await using folder = await temporaryFolder()
  const [width, height] = [5, 3]
  const bgr = Buffer.from(Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256))
  await writeFile(folder.file('picture.png'), encodePng(width, height, bgr))
  const args = ['-v', 'error', '-i', folder.file('picture.png'), '-f', 'rawvideo', '-pix_fmt', 'bgr24', 'pipe:1']
  const { stdout } = await promisify(execFile)(ffmpegPath(process.env), args, { encoding: 'buffer', timeout: 60_000 })
  t.deepEqual(stdout, bgr)
})

test('bytes that are no picture of that size are refused', t => {
  t.throws(() => encodePng(2, 2, new Uint8Array(11)), { message: '11 bytes are no picture of 2x2' })
})
