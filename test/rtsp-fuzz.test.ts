// Whatever bytes a camera sends, the parsers of RTSP never fail in another way than they say, hold a bounded amount, and see the same
// in whatever pieces the bytes come.
import test from 'ava'
import * as fc from 'fast-check'
import { Failure } from '../common/errors.ts'
import { RTP_CODECS } from '../proto/camera.ts'
import { challengeOf } from '../common/net/authorization.ts'
import { readHeaders } from '../sidecar/rtsp/headers.ts'
import { KeepAlive } from '../sidecar/rtsp/keep-alive.ts'
import { Rtp } from '../sidecar/rtsp/rtp.ts'
import { descriptionOf, readDescription } from '../sidecar/rtsp/sdp.ts'
import { channelsOf } from '../sidecar/rtsp/transport.ts'
import { UnitReader, type Unit } from '../sidecar/rtsp/units.ts'
import { namesOf } from '../sidecar/rtsp/urls.ts'
import { fuzzRuns } from './fixtures/fuzz.ts'
import { answer, frame, SDP, talk, VIEWER } from './fixtures/rtsp-talk.ts'

const junk = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }).map(text => Buffer.from(text).toString('latin1')),
  fc.constantFrom(
    '$',
    '$\0',
    '$\0\0\u0004',
    'RTSP/',
    'RTSP/1.0 200 OK\r\n',
    '\r\n',
    '\n',
    '\r',
    '\n\n',
    '\0',
    'RTSP/1.0 200 OK\r\n\r\n',
    'OPTIONS ',
  ),
  fc.constantFrom(
    'Content-Length: 5\r\n',
    'Content-Length: -1\r\n',
    'Content-Length: 99999999999\r\n',
    'Content-Type: application/sdp\r\n',
  ),
)
const message = fc.oneof(
  fc.constant(frame(0)),
  fc.constant(frame(1, 'report', { type: 200 })),
  fc.constant(frame(1, '', { type: 203 })),
  fc.nat(3).map(cseq => answer(cseq)),
  fc.constant(answer(1, '200 OK', ['Content-Type: application/sdp'], SDP)),
  fc
    .constantFrom('200 OK', '401 Unauthorized', '404 Not Found', '501 X', '100 Continue')
    .map(status => answer(2, status, ['Session: 1; timeout=5'])),
  fc.constant('OPTIONS rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n'),
)
const stream = fc
  .array(fc.oneof({ arbitrary: message, weight: 3 }, { arbitrary: junk, weight: 2 }), { maxLength: 12 })
  .map(parts => parts.join(''))
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 })

function* pieces(bytes: string, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    yield Buffer.from(bytes.slice(at, at + size), 'latin1')
    at += size
  }
}

const shown = (unit: Unit) =>
  unit.kind === 'frame' ? unit.bytes.toString('latin1') : `${unit.headers.first}|${unit.status}|${unit.body.toString('latin1')}`

/** What `each` gives for all pieces, or how it failed; rethrows what is no Failure. */
function all(bytes: Iterable<Buffer>, each: (piece: Buffer) => Iterable<Unit>): string[] {
  const seen: string[] = []
  try {
    for (const piece of bytes) for (const unit of each(piece)) seen.push(shown(unit))
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    seen.push(error.reason)
  }
  return seen
}

test('units are the same whatever the pieces, and all that is read is either given or skipped', t => {
  fc.assert(
    fc.property(stream, cuts, (bytes, sizes) => {
      const [whole, cut] = [new UnitReader(), new UnitReader()]
      const expected = all([Buffer.from(bytes, 'latin1')], piece => whole.read(piece))
      t.deepEqual(
        all(pieces(bytes, sizes), piece => cut.read(piece)),
        expected,
      )
      t.deepEqual(cut.flush().map(shown), whole.flush().map(shown))
    }),
    fuzzRuns(),
  )
})

test('a conversation ends in nothing worse than a Failure, and is the same whatever the pieces', t => {
  fc.assert(
    fc.property(stream, cuts, fc.constantFrom('OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY'), fc.boolean(), (bytes, sizes, step, isPlaying) => {
      const outcome = (parts: Iterable<Buffer>) => {
        const { session, play, ask } = talk({ credentials: VIEWER })
        if (isPlaying) play()
        else ask(step, ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
        let [toFfmpeg, toCamera, end] = ['', '', '']
        for (const piece of parts) {
          const passed = session.response(piece)
          toFfmpeg += Buffer.concat(passed.toFfmpeg).toString('latin1')
          toCamera += Buffer.concat(passed.toCamera)
            .toString('latin1')
            .replaceAll(/[cr]n?once="\w*"|response="\w*"/g, '')
          end = passed.failure?.reason ?? ''
          if (end !== '') break
        }
        t.not(end, 'InternalError')
        return { toFfmpeg, toCamera, end, playing: session.playing, over: session.over }
      }
      t.deepEqual(outcome(pieces(bytes, sizes)), outcome([Buffer.from(bytes, 'latin1')]))
    }),
    fuzzRuns(0.3),
  )
})

const line = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    'CSeq: 1',
    'cseq :2',
    ' folded',
    '\tfolded',
    ': x',
    'X',
    'Session:1;timeout=',
    'WWW-Authenticate: Digest realm="',
    'WWW-Authenticate: Digest a=b, Basic realm=x',
  ),
)

test('header lines of any kind give values without control characters', t => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.constantFrom('\r\n', '\n', '\r\r\n'), (lines, end) => {
      const headers = readHeaders(lines.join(end))
      const values = ['cseq', 'session', 'transport', 'www-authenticate', 'x'].flatMap(name => headers.all(name))
      // eslint-disable-next-line no-control-regex
      for (const value of [headers.first, ...values]) t.notRegex(value, /[\u0000-\u001f\u007f]/)
      challengeOf(values)
      const keepAlive = new KeepAlive({ lapses: 0 })
      keepAlive.timeout(headers.get('session') ?? '')
      t.true(keepAlive.everyMs >= 500 && keepAlive.everyMs <= 30_000)
      const { rtp, rtcp } = channelsOf(values[0], { rtp: 0, rtcp: 1 })
      t.true(rtp >= 0 && rtp <= 255 && rtcp >= 0)
    }),
    fuzzRuns(),
  )
})

const sdpLine = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom(
    'm=video 0 RTP/AVP 96',
    'm=video 0 RTP/AVP 26',
    'm=video 0 RTP/AVP 96 97 34',
    'm=audio 0 RTP/AVP 0',
    'm=VIDEO 0 RTP/AVP/TCP 97',
  ),
  fc.constantFrom(
    'a=rtpmap:96 H264/90000',
    'a=rtpmap:97 H265',
    'a=rtpmap:96',
    'a=rtpmap:96 X',
    'a=fmtp:96 a=b;sprop-parameter-sets=,,',
    'a=control:*',
    'a=control:rtsp://h/x',
  ),
)

test('a description of any kind gives one clean track, or a reason', t => {
  fc.assert(
    fc.property(fc.array(sdpLine, { maxLength: 30 }), fc.constantFrom('\r\n', '\n', '\r'), (lines, end) => {
      let description
      try {
        description = readDescription(lines.join(end), RTP_CODECS)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        t.true(['NoVideoTrack', 'CodecUnsupported'].includes(error.reason) && error.message.length < 1_024)
        return
      }
      t.true(description.tracks.length <= 16)
      for (const track of description.tracks) {
        const text = descriptionOf(track)
        t.is(text.match(/^m=/gm)?.length, 1)
        t.is(text.match(/^a=control:/gm)?.length, 1)
        for (const { track: url } of namesOf({
          url: 'rtsp://h/x',
          base: lines[0],
          sessionControl: description.control,
          trackControl: track.control,
        }))
          // eslint-disable-next-line no-control-regex
          t.notRegex(url, /[\u0000-\u0020\u007f]/)
      }
    }),
    fuzzRuns(),
  )
})

test('frames of any kind are the track’s, or nobody’s', t => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 64 }), fc.nat(255), (bytes, channel) => {
      const content = Buffer.from(bytes)
      const whole = Buffer.concat([Buffer.from([0x24, channel, 0, content.length]), content])
      const rtp = new Rtp(96, { rtp: 0, rtcp: 1 })
      if (rtp.toFfmpeg(whole)) t.true((whole[1] ?? 9) <= 1)
      t.is(whole.length, content.length + 4)
    }),
    fuzzRuns(),
  )
})

test('a stream of single bytes costs linear time', t => {
  const reader = new UnitReader()
  const from = performance.now()
  let frames = 0
  const big = Buffer.from(`$\0${String.fromCharCode(0xff, 0xff)}${'x'.repeat(65_535)}`, 'latin1')
  for (let i = 0; i < 20; i++) for (const byte of big) frames += [...reader.read(Buffer.from([byte]))].length
  const header = Buffer.from(`RTSP/1.0 200 OK\r\n${'X: y\r\n'.repeat(10_000)}\r\n`, 'latin1')
  for (const byte of header) frames += [...reader.read(Buffer.from([byte]))].length
  t.is(frames, 21)
  t.true(performance.now() - from < 20_000)
})
