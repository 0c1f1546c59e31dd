// Whatever ffmpeg, peers on NATS, and authors of manifests write: what reads it refuses it by name, or believes what can be.
import { headers as newHeaders } from 'nats'
import test from 'ava'
import * as fc from 'fast-check'
import { shownIn } from '../common/media/decoder.ts'
import { PacketParser, type DemuxedPacket } from '../common/media/demux.ts'
import { cameraValidator } from '../deploy/local/manifests.ts'
import { readYaml } from '../deploy/local/yaml.ts'
import { frameId, placeOfFrame } from '../proto/frame-id.ts'
import { BadMessage, packetSummary, parseJson, Reassembly } from '../proto/messages.ts'
import { CameraRecord, CameraState, Demand } from '../proto/state.ts'
import { groupOfSubject, HEADER, isCameraName, isNamespace, refOfKey } from '../proto/subjects.ts'
import { fuzzRuns } from './fixtures/fuzz.ts'

const text = fc.string({ unit: 'binary', maxLength: 40 })

/** Lines of framecrc with bytes behind them, as ffmpeg writes them and as it never would. */
const number = fc.oneof(
  fc.integer({ min: -10, max: 300 }).map(String),
  fc.constantFrom('NOPTS', '', '1e9', '0x7', '-0', '99999999999999999999'),
)
const described = fc
  .tuple(number, number, number, number, text)
  .map(([dts, pts, size, flags, more]) => `0, ${dts}, ${pts}, 1, ${size}, 0xabcdef01, F=0x${flags}, ${more}\n`)
const announced = fc.constantFrom(
  '#codec_id 0: h264\n',
  '#codec_id 0: vp9\n',
  '#tb 0: 1/90000\n',
  '#dimensions 0: 64x48\n',
  '#extradata 0: 5, 0x1\n',
  '#\n',
)
const demuxed = fc.array(fc.oneof(described, announced, text), { maxLength: 8 }).map(parts => Buffer.from(parts.join(''), 'latin1'))

test('what a demuxer writes becomes packets of the size they say, or the end of the run, alike in whatever pieces it comes', t => {
  const read = (pieces: readonly Buffer[]) => {
    const packets: Pick<DemuxedPacket, 'pts' | 'key' | 'data'>[] = []
    let problem: string | undefined
    const parser = new PacketParser(
      { onPacket: ({ pts, key, data }) => packets.push({ pts, key, data }), onLine: () => {}, onDesync: what => (problem = what) },
      false,
    )
    for (const piece of pieces) parser.bytes(piece)
    return { packets, problem }
  }
  fc.assert(
    fc.property(demuxed, fc.integer({ min: 1, max: 50 }), (bytes, size) => {
      const whole = read([bytes])
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
      t.deepEqual(read(pieces), whole)
      for (const { pts, data } of whole.packets) t.true((pts === undefined || Number.isSafeInteger(pts)) && data.length <= bytes.length)
    }),
    fuzzRuns(0.3),
  )
})

test('a line of showinfo gives whole sizes and times, or nothing', t => {
  const word = fc.oneof(
    text,
    fc.constantFrom(' pts: 5 ', 'x', ' sar:1/2 s:64x48 ', ' iskey:1 type:I', ' pts:-7 pos:1 sar:1/3 s:0x0 i:P iskey:0 type:B', '['),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 10 }), words => {
      for (const { output, description } of shownIn(words.join(''))) {
        t.true(Number.isInteger(output) && description.width >= 0 && description.height >= 0 && !Number.isNaN(description.pts))
      }
    }),
    fuzzRuns(),
  )
})

const uid = 'uid-1'
const header = fc.oneof(
  text,
  fc.constantFrom('1', '2', uid, '1/2', '2/2', '0/0', '9999/9999', '{}', 'null', '[]'),
  fc
    .record({
      epoch: fc.integer(),
      seq: fc.integer(),
      index: fc.integer(),
      timestamp: fc.constantFrom(Date.now(), 0, -1, 1e300),
      key: fc.integer({ min: -1, max: 2 }),
      corrupt: fc.integer({ min: -1, max: 2 }),
      size: fc.integer({ min: -1, max: 20 }),
      width: fc.integer(),
      height: fc.integer(),
    })
    .map(value => JSON.stringify(value)),
)
const message = fc.record({
  data: fc.uint8Array({ maxLength: 20 }),
  version: fc.constantFrom('1', '2', ''),
  camera: fc.constantFrom(uid, 'another'),
  packet: header,
  frame: header,
  codec: header,
  part: fc.constantFrom('', '1/2', '2/2', '1/1', '3/2', 'x'),
})

test('messages of any kind are refused as bad ones, and packets and frames have the size that is there', t => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 4 }), messages => {
      const reassembly = new Reassembly(uid)
      for (const { data, ...fields } of messages) {
        const headers = newHeaders()
        for (const [name, value] of Object.entries(fields))
          headers.set(HEADER[name as keyof typeof HEADER], value.replaceAll(/[\r\n]/g, ' '))
        for (const read of [
          () => reassembly.packet({ headers, data }),
          () => reassembly.frame({ headers, data }),
          () => packetSummary(uid, headers),
          ...[CameraRecord, CameraState, Demand].map(schema => () => parseJson<unknown>(schema, data)),
          () => parseJson<unknown>(Demand, Buffer.from(fields.packet)),
        ]) {
          try {
            read()
          } catch (error) {
            t.true(error instanceof BadMessage, String(error))
          }
        }
      }
    }),
    fuzzRuns(0.3),
  )
})

test('manifests of any kind are read or refused, and no value is taken for an object’s machinery', t => {
  const validate = cameraValidator()
  const yaml = fc.oneof(
    text,
    fc.constantFrom(
      'a: &x [1]\nb: *x\n',
      '---\n',
      'apiVersion: video.chrys.cloud/v1beta1\nkind: Camera\n',
      'metadata: { name: a }\n',
      '<<: {}\n',
    ),
    fc.constantFrom(
      'spec: { source: { url: "testsrc:" } }\n',
      '__proto__: { polluted: 1 }\n',
      '!!js/function x\n',
      '? [a]\n: b\n',
      '\t- x\n',
    ),
  )
  fc.assert(
    fc.property(fc.array(yaml, { maxLength: 6 }), parts => {
      const { documents, problems } = readYaml(parts.join(''))
      t.true(problems.every(problem => typeof problem === 'string'))
      for (const { value } of documents) if (typeof value === 'object' && value !== null) validate(value)
      t.false('polluted' in {})
    }),
    fuzzRuns(0.1),
  )
})

test('ids and keys of any kind name one thing, or none', t => {
  const id = fc.oneof(text, fc.stringMatching(/^[0-9a-z]{1,12}-[0-9a-z]{1,12}-[0-9a-z]{1,12}$/), fc.stringMatching(/^[a-z.-]{1,70}$/))
  fc.assert(
    fc.property(id, said => {
      const place = placeOfFrame(said)
      if (place !== undefined) t.is(frameId(place), said)
      const ref = refOfKey(said)
      if (ref !== undefined) t.true(isNamespace(ref.namespace) && isCameraName(ref.name))
      const group = groupOfSubject(said)
      if (group !== undefined) t.regex(group, /^[0-9a-f]{32}$/)
    }),
    fuzzRuns(),
  )
})
