// Whatever a keyframe holds and ffmpeg says, what reads them never fails, and believes nothing that can't be.
import test from 'ava'
import * as fc from 'fast-check'
import { CAMERA_LINES, causeIn } from '../common/media/ffmpeg-log.ts'
import { scrub } from '../common/text.ts'
import { continuesPicture, keyframeParameters } from '../common/media/parameters.ts'
import { fuzzRuns } from './fixtures/fuzz.ts'

const SPS = Buffer.from('000000016764000cacb40a0cd808800000030080000019078a155000', 'hex')
const JPEG = Buffer.from('ffd8ffc0001108006400c803012200021101031101', 'hex')
const piece = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map(bytes => Buffer.from(bytes)),
  fc.constantFrom(
    SPS,
    SPS.subarray(0, 20),
    JPEG,
    Buffer.from([0, 0, 1]),
    Buffer.from([0, 0, 0, 1, 0x67]),
    Buffer.from([0, 0, 1, 0x42, 1]),
    Buffer.from([0, 0, 3]),
  ),
)
const keyframe = fc.array(piece, { maxLength: 8 }).map(parts => Buffer.concat(parts))

test('parameter sets of any kind give a size that can be, or none', t => {
  fc.assert(
    fc.property(fc.constantFrom('h264', 'hevc', 'mjpeg', 'av1'), keyframe, piece, (codec, data, extradata) => {
      const found = keyframeParameters(codec, data, extradata)
      continuesPicture(codec, data, extradata)
      if (found === undefined) return
      t.true(Number.isSafeInteger(found.width) && Number.isSafeInteger(found.height) && found.width <= 65_535 && found.height <= 65_535)
      t.true(found.extradata.length <= data.length + 4 * 512)
    }),
    fuzzRuns(),
  )
})

test('a line of ffmpeg of any kind has one cause or none, and shows no secret', t => {
  const secret = 'pa$$w0rd'
  const word = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom('rtsp://u:', secret, encodeURIComponent(secret), '@h/x', '401 Unauthorized', 'Connection refused', '://', '@'),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), words => {
      const line = words.join('')
      causeIn(CAMERA_LINES, line)
      t.false(scrub(line, [secret]).includes(secret))
    }),
    fuzzRuns(),
  )
})
