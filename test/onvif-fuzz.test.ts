// Whatever a device answers, its parsers fail in no other way than they say, and keep a bounded amount.
import test from 'ava'
import * as fc from 'fast-check'
import { Failure } from '../common/errors.ts'
import { chosen, profilesIn } from '../common/onvif/device.ts'
import { deviceService, matchesIn } from '../common/onvif/probe.ts'
import { parseXml, type Element } from '../common/onvif/xml.ts'
import { SenderClock } from '../sidecar/rtsp/sender-clock.ts'
import { fuzzRuns } from './fixtures/fuzz.ts'

const MATCH = `<?xml version="1.0"?><e:Envelope xmlns:e="e"><e:Header><a:RelatesTo>urn:uuid:id</a:RelatesTo></e:Header><e:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:ABC</a:Address></a:EndpointReference><d:Scopes>onvif://www.onvif.org/name/%41</d:Scopes><d:XAddrs>http://10.0.0.5:8080/onvif/device_service</d:XAddrs></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>`
const PROFILES = `<GetProfilesResponse><Profiles token="a"><Name>n</Name><VideoSourceConfiguration><SourceToken>s</SourceToken></VideoSourceConfiguration><VideoEncoderConfiguration><Encoding>H264</Encoding><Resolution><Width>640</Width><Height>360</Height></Resolution></VideoEncoderConfiguration></Profiles><Profiles token="b"><Configurations><VideoEncoder><Encoding>H265</Encoding><Resolution><Width>x</Width><Height>-1</Height></Resolution></VideoEncoder></Configurations></Profiles></GetProfilesResponse>`

const SCRAPS = [
  '<',
  '>',
  '</',
  '/>',
  '&',
  '&amp;',
  '&x;',
  '<!DOCTYPE a [',
  '<!ENTITY a "b">',
  '<![CDATA[',
  ']]>',
  '<?',
  '?>',
  '<!--',
  '"',
  '\0',
  '\uFFFF',
  'é',
  '<a:b c="d">',
]

/** A good answer with pieces cut out, doubled, or replaced by scraps. */
const damaged = (good: string) =>
  fc
    .array(
      fc.tuple(fc.nat(good.length), fc.nat(40), fc.oneof(fc.constantFrom('', ...SCRAPS), fc.string({ unit: 'binary', maxLength: 8 }))),
      { maxLength: 6 },
    )
    .map(edits => edits.reduce((text, [at, length, piece]) => text.slice(0, at) + piece + text.slice(at + length), good))

const anything = (good: string) =>
  fc.oneof(
    damaged(good),
    fc.array(fc.constantFrom(...SCRAPS), { maxLength: 30 }).map(parts => parts.join('')),
  )

/** The value, or undefined for a refusal; any other end fails the test. */
function orRefused<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof Failure && (error.reason === 'OnvifInvalidAnswer' || error.reason === 'OnvifNoProfile')) return undefined
    throw error
  }
}

const texts = (element: Element): string[] => [element.text, ...element.attributes.values(), ...element.children.flatMap(texts)]

test('any answer is read or refused, and nothing in it becomes more than was there', t => {
  const run = (text: string) => {
    const root = orRefused(() => parseXml(text))
    if (root !== undefined) t.true(texts(root).join('').length <= text.length)
  }
  t.notThrows(() => fc.assert(fc.property(anything(PROFILES), run), fuzzRuns(0.5)))
})

test('any answer to a probe gives bounded matches, whose service is at the address that answered', t => {
  const run = (text: string) => {
    for (const match of orRefused(() => matchesIn(Buffer.from(text), 'id')) ?? []) {
      const target = deviceService(match, '10.0.0.5')
      t.true(match.uuid.length <= 128 && match.name.length <= 64 && (target === undefined || target.origin.host === '10.0.0.5'))
    }
  }
  t.notThrows(() => fc.assert(fc.property(anything(MATCH), run), fuzzRuns(0.5)))
})

test('any list of profiles has printable tokens and sizes of frames', t => {
  const run = (text: string) => {
    const profiles = orRefused(() => profilesIn(parseXml(text))) ?? []
    for (const { token, width, height } of profiles) {
      t.regex(token, /^[\x21-\x7e]{1,64}$/)
      t.true(Number.isInteger(width) && Number.isInteger(height) && width >= 0 && width <= 65_535 && height >= 0 && height <= 65_535)
    }
    for (const choice of ['main', 'sub', 'a']) orRefused(() => chosen(profiles, choice))
  }
  t.notThrows(() => fc.assert(fc.property(anything(PROFILES), run), fuzzRuns(0.5)))
})

test('any reports, packets and frames give a time of day with an uncertainty, or none', t => {
  const word = fc.oneof(fc.nat(2 ** 32 - 1), fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1))
  const bytes = fc.uint8Array({ maxLength: 16 }).map(data => Buffer.from(data))
  const step = fc.oneof(
    fc.record({ kind: fc.constant('report' as const), seconds: word, fraction: word, rtp: word }),
    fc.record({ kind: fc.constant('packet' as const), rtp: word, data: bytes }),
    fc.record({ kind: fc.constant('frame' as const), pts: fc.option(fc.maxSafeInteger(), { nil: undefined }), data: bytes }),
  )
  const run = (steps: (typeof step extends fc.Arbitrary<infer S> ? S : never)[]) => {
    const clock = new SenderClock()
    for (const each of steps) {
      if (each.kind === 'report') clock.report(each.seconds, each.fraction, each.rtp)
      else if (each.kind === 'packet') clock.packet(each.rtp, each.data)
      else {
        const time = clock.timeOf(each, [1, 90_000])
        t.true(time === undefined || (Number.isSafeInteger(time.ms) && Number.isSafeInteger(time.uncertaintyMs) && time.uncertaintyMs > 0))
      }
    }
  }
  t.notThrows(() => fc.assert(fc.property(fc.array(step, { maxLength: 40 }), run), fuzzRuns(0.2)))
})
