// The sidecar's decisions, by tables: no processes, no sockets.
import test from 'ava'
import pino from 'pino'
import { Failure } from '../common/errors.ts'
import type { DemuxedPacket } from '../common/media/demux.ts'
import type { Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { denied, resolveHost } from '../sidecar/address.ts'
import { Wishes } from '../sidecar/demand.ts'
import { Gop } from '../common/media/gop.ts'
import { Live } from '../common/media/live.ts'
import { Rate } from '../sidecar/health.ts'
import { Pictures } from '../sidecar/pictures.ts'
import { ResponseGuard } from '../sidecar/rtsp-guard.ts'
import { inputArgs, parseSource, traitOfFormat } from '../sidecar/source.ts'
import { overdue, waitsForKeyframe, type Facts } from '../sidecar/watchdog.ts'

const TRAITS = { wallClock: false, paced: false, slow: false }
const AT = { host: '127.0.0.1', port: 5000 }

// What may pass from an RTSP server to ffmpeg.

const answer = (cseq: number, status = '200 OK', headers: string[] = [], body = '') =>
  `RTSP/1.0 ${status}\r\nCSeq: ${cseq}\r\n${headers.map(line => `${line}\r\n`).join('')}${body === '' ? '' : `Content-Length: ${body.length}\r\n`}\r\n${body}`

/** Feeds the answers cut into pieces of `size`; returns what passed. */
function through(guard: ResponseGuard, bytes: string, size: number): string {
  let passed = ''
  const all = Buffer.from(bytes, 'latin1')
  for (let at = 0; at < all.length; at += size)
    for (const part of guard.response(all.subarray(at, at + size))) passed += part.toString('latin1')
  return passed
}

const SDP = 'v=0\r\nm=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n'
const VIDEO = '$\0\0\u0005video'

for (const size of [1, 2, 7, 10_000]) {
  test(`answers pass as they are until the camera plays, and everything after, in pieces of ${size} bytes`, t => {
    const guard = new ResponseGuard()
    const before = [
      answer(1, '200 OK', ['Public: OPTIONS, DESCRIBE']),
      answer(2, '401 Unauthorized', ['WWW-Authenticate: Digest realm="x"']),
      answer(3, '200 OK', ['Content-Type: application/sdp'], `${SDP}s=RTSP/1.0 302 not a redirect but a body\r\n`),
      answer(4, '200 OK', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1;source=10.0.0.1']),
      VIDEO, // some send before they have agreed to
      'ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nabc',
    ].join('')
    t.is(through(guard, before, size), before)
    t.false(guard.playing)
    guard.request(Buffer.from('PLAY rtsp://h/x RTSP/1.0\r\nCSeq: 5\r\nSession: 1\r\n\r\n'))
    const play = `${answer(5, '200 OK', ['RTP-Info: url=x'])}${VIDEO}anything, RTSP/1.0 302 Found\r\n\r\n`
    t.is(through(guard, play, size), play)
    t.true(guard.playing)
  })

  test(`nothing of a redirect passes, in pieces of ${size} bytes`, t => {
    for (const redirect of [
      answer(2, '302 Found', ['Location: rtsp://elsewhere/']),
      answer(2, '301 Moved Permanently', ['Location: rtsp://elsewhere/']),
      'REDIRECT rtsp://h/x RTSP/1.0\r\nCSeq: 7\r\nLocation: rtsp://elsewhere/\r\n\r\n',
    ]) {
      const guard = new ResponseGuard()
      t.is(through(guard, answer(1), size), answer(1))
      let passed = ''
      const error = t.throws(() => (passed = through(guard, redirect, size)), { instanceOf: Failure })
      t.is(error?.reason, 'RedirectRefused')
      t.is(passed, '')
    }
  })
}

test('what is no RTSP is refused at once, and an answer without an end in time', t => {
  for (const bytes of ['HTTP/1.1 200 OK\r\n\r\n', '\0\u0001\u0002\u0003', 'RTSP/1.0 abc\r\n\r\n', 'hello\r\n\r\n', '<html>']) {
    t.is(t.throws(() => through(new ResponseGuard(), bytes, 100), { instanceOf: Failure })?.reason, 'InvalidStream', bytes)
  }
  t.is(
    t.throws(() => through(new ResponseGuard(), `RTSP/1.0 200 OK\r\nX: ${'x'.repeat(100_000)}`, 1000), { instanceOf: Failure })?.reason,
    'InvalidStream',
  )
  const endless = 'RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n'
  t.is(t.throws(() => through(new ResponseGuard(), endless, 1000), { instanceOf: Failure })?.reason, 'InvalidStream')
})

test('what a camera offers is looked at before it is asked to play', t => {
  for (const [media, reason] of [
    ['m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000', undefined],
    ['m=video 0 RTP/AVP 26', undefined],
    ['m=video 0 RTP/AVP 97 98\r\na=control:x\r\na=rtpmap:97 h264/90000', undefined],
    ['m=video 0 RTP/AVP 96\r\na=rtpmap:96 H266/90000\r\nm=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000', undefined],
    ['m=video 0 RTP/AVP 96', undefined],
    ['m=audio 0 RTP/AVP 0', 'NoVideoTrack'],
    ['', 'NoVideoTrack'],
    ['m=video 0 RTP/AVP 96\r\na=rtpmap:96 X-"PN\u0001G/90000', 'CodecUnsupported'],
    ['m=video 0 RTP/AVP 31', 'CodecUnsupported'],
  ] as const) {
    for (const size of [3, 10_000]) {
      const guard = new ResponseGuard()
      const bytes = answer(2, '200 OK', ['Content-type:application/SDP'], `v=0\r\n${media}\r\n`)
      if (reason === undefined) t.is(through(guard, bytes, size), bytes)
      else t.is(t.throws(() => through(guard, bytes, size), { instanceOf: Failure })?.reason, reason, media)
    }
  }
})

test('RTP by UDP is sent to the camera’s own address, whatever address it claims', t => {
  const claimed = answer(3, '200 OK', ['Transport: RTP/AVP;unicast;client_port=5-6;server_port=7-8;source=169.254.169.254', 'Session: 1'])
  t.is(
    through(new ResponseGuard('10.1.2.3'), claimed, 10_000),
    answer(3, '200 OK', ['Transport: RTP/AVP;unicast;client_port=5-6;server_port=7-8;source=10.1.2.3', 'Session: 1']),
  )
})

// What ffmpeg is told.

test('a source’s URL becomes what ffmpeg opens, by way of the relay', t => {
  const urlOf = (url: string, credentials?: { username: string; password: string }, at = AT) => {
    const { args } = inputArgs(parseSource(url, 'tcp'), at, credentials, TRAITS)
    return args[args.indexOf('-i') + 1]
  }
  t.is(
    urlOf('rtsp://camera.example/Streaming/Channels/101?transportmode=unicast&x=a@b:c/d%20e'),
    'rtsp://127.0.0.1:5000/Streaming/Channels/101?transportmode=unicast&x=a@b:c/d%20e',
  )
  t.is(urlOf('rtsp://camera/a%2Fb@c;d=e'), 'rtsp://127.0.0.1:5000/a%2Fb@c;d=e')
  t.is(urlOf('rtsps://[fe80::1]:322/x'), 'rtsp://127.0.0.1:5000/x')
  t.is(urlOf('rtsp://camera'), 'rtsp://127.0.0.1:5000')
  t.is(urlOf('rtsp://camera/x', { username: 'a:b', password: 'c@d/ %?#é' }), 'rtsp://a%3Ab:c%40d%2F%20%25%3F%23%C3%A9@127.0.0.1:5000/x')
  t.is(urlOf('rtmp://camera/live/key', { username: 'u', password: 'p' }), 'rtmp://u:p@127.0.0.1:5000/live/key')
  t.is(urlOf('http://camera:8080/x.m3u8?t=1', { username: 'u', password: 'p' }), 'http://u:p@camera:8080/x.m3u8?t=1')
})

test('credentials that would be cut short on the way are refused', t => {
  const argsFor = (url: string, password: string) => inputArgs(parseSource(url, 'tcp'), AT, { username: 'u', password }, TRAITS)
  t.notThrows(() => argsFor('rtsp://camera/x', 'x'.repeat(125)))
  t.is(t.throws(() => argsFor('rtsp://camera/x', 'x'.repeat(126)), { instanceOf: Failure })?.reason, 'CredentialsTooLong')
  t.is(t.throws(() => argsFor('rtsp://camera/x', '%'.repeat(60)), { instanceOf: Failure })?.reason, 'CredentialsTooLong')
  t.notThrows(() => argsFor('http://camera/x', 'x'.repeat(500)))
})

test('an RTMP server gets to see the camera’s address and application', t => {
  for (const [url, tcUrl] of [
    ['rtmp://camera/live/key', 'rtmp://camera:1935/live'],
    ['rtmp://camera:1936/app/instance/key?token=a/b', 'rtmp://camera:1936/app/instance'],
    ['rtmps://camera/app/key', 'rtmps://camera:443/app'],
  ] as const) {
    const { args } = inputArgs(parseSource(url, 'tcp'), AT, undefined, TRAITS)
    t.is(args[args.indexOf('-rtmp_tcurl') + 1], tcUrl)
  }
})

test('sources that can’t be are refused without being repeated', t => {
  for (const url of [
    'file:///etc/passwd',
    'concat:a|b',
    '-i',
    'tcp://x',
    'subfile,,start,0,end,0,,:x',
    'ftp://secret/',
    'rtsp:camera',
    'rtsp://',
    'rtsp://secret:p@h/',
    'rtsp://h/a b',
    'rtsp://h/\r\nX',
    'testsrc:?size=3x3',
    'testsrc:?rate=0',
  ]) {
    const error = t.throws(() => parseSource(url, 'tcp'), undefined, url)
    t.false(error?.message.includes('secret'))
  }
})

test('UDP is for what is not encrypted', t => {
  t.like(parseSource('rtsp://h/x', 'udp'), { transport: 'udp' })
  t.like(parseSource('rtsps://h/x', 'udp'), { transport: 'tcp' })
})

test('how an HTTP source is read follows from its format', t => {
  for (const [format, trait] of [
    ['mpjpeg', 'wallClock'],
    ['h264', 'wallClock'],
    ['hls', 'paced'],
    ['mov,mp4,m4a,3gp,3g2,mj2', 'paced'],
    ['matroska,webm', 'paced'],
    ['mpegts', undefined],
    ['flv', undefined],
  ] as const) {
    t.is(traitOfFormat(`[info] Input #0, ${format}, from 'http://h/x':`), trait)
  }
  t.is(traitOfFormat('[info]   Stream #0:0: Video: h264'), undefined)
})

test('addresses that the policy excludes are never connected to, by whatever name', async t => {
  const deny = denied(['127.0.0.0/8', '10.0.0.0/8', 'fe80::/10', '::1/128'])
  for (const host of [
    '127.0.0.1',
    '127.9.9.9',
    'localhost',
    '10.1.2.3',
    '[::1]',
    '[fe80::1]',
    '[::ffff:10.1.2.3]',
    '0x7f.1',
    '2130706433',
  ]) {
    const error = await t.throwsAsync(resolveHost(host, deny), { instanceOf: Failure }, host)
    t.is(error?.reason, 'AddressDenied', host)
  }
  t.is(await resolveHost('192.0.2.7', deny), '192.0.2.7')
  t.is((await t.throwsAsync(resolveHost('nowhere.invalid', deny), { instanceOf: Failure }))?.reason, 'HostNotFound')
})

// When to give up.

const facts = (change: Partial<Facts>): Facts => ({
  ...{
    nowMs: 100_000,
    startedMs: 99_000,
    phase: 'connecting',
    lastByteMs: undefined,
    lastPacketMs: undefined,
    sized: false,
    streaming: false,
  },
  ...change,
})

test('a connection is given up when nothing can come of it any more', t => {
  for (const [what, given, reason] of [
    ['it has just begun', {}, undefined],
    ['no answer', { startedMs: 89_000 }, 'ConnectTimeout'],
    ['it answers, but does not play', { startedMs: 89_000, phase: 'connected', lastByteMs: 99_000 }, 'ConnectTimeout'],
    ['it plays, and nothing comes', { startedMs: 94_000, phase: 'playing' }, 'StreamStalled'],
    ['it plays, then nothing comes', { startedMs: 90_000, phase: 'playing', lastByteMs: 94_000 }, 'StreamStalled'],
    ['data without packets', { startedMs: 85_000, phase: 'playing', lastByteMs: 99_900 }, undefined],
    ['data without packets for long', { startedMs: 79_000, phase: 'playing', lastByteMs: 99_900 }, 'NoDecodableFrames'],
    ['packets without a size for long', { startedMs: 79_000, phase: 'playing', lastPacketMs: 99_900 }, 'NoDecodableFrames'],
    ['packets without a keyframe', { startedMs: 40_000, lastPacketMs: 99_900, sized: true }, undefined],
    ['packets without a keyframe for minutes', { startedMs: -30_000, lastPacketMs: 99_900, sized: true }, 'NoKeyframe'],
    ['it streams', { startedMs: 0, lastPacketMs: 99_000, sized: true, streaming: true }, undefined],
    ['it stands still', { startedMs: 0, lastPacketMs: 94_000, sized: true, streaming: true }, 'StreamStalled'],
    ['it stands still before a keyframe', { startedMs: 80_000, lastPacketMs: 94_000, sized: true }, 'StreamStalled'],
    [
      'it plays by UDP, where bytes come beside the connection',
      { startedMs: 80_000, phase: 'playing', lastByteMs: 80_500, lastPacketMs: 99_900, sized: true, streaming: true },
      undefined,
    ],
    ['there is no way to watch', { startedMs: 89_000, phase: undefined }, 'ConnectTimeout'],
  ] as const satisfies readonly (readonly [string, Partial<Facts>, string | undefined])[]) {
    t.is(overdue(facts(given))?.reason, reason, what)
  }
  t.is(waitsForKeyframe(facts({ startedMs: 79_000, lastPacketMs: 99_900, sized: true }))?.reason, 'NoKeyframe')
  t.is(waitsForKeyframe(facts({ startedMs: 85_000, lastPacketMs: 99_900, sized: true })), undefined)
  t.is(waitsForKeyframe(facts({ startedMs: 0, lastPacketMs: 99_900, sized: true, streaming: true })), undefined)
})

// Who wants what.

test('wishes add up, end when they are not repeated, and are bounded in number', t => {
  const wishes = new Wishes()
  const note = (gateway: string, wants: 'all' | 'keyframes' | 'none', at: number) => wishes.note({ v: 1, gateway, wants }, at)
  t.is(wishes.union(0), 'none')
  note('a', 'keyframes', 0)
  t.is(wishes.union(1), 'keyframes')
  note('b', 'all', 1)
  t.is(wishes.union(2), 'all')
  note('b', 'keyframes', 3)
  t.is(wishes.union(3), 'keyframes')
  note('b', 'none', 4)
  t.is(wishes.union(4999), 'keyframes')
  t.is(wishes.union(5001), 'none')
  for (let i = 0; i < 1000; i++) note(`flood${i}`, 'keyframes', 6000)
  note('honest', 'all', 6000)
  t.is(wishes.union(6001), 'keyframes')
})

const packet = (change: Partial<Packet>): Packet => ({
  ...{ epoch: 1, index: 0, keyframe: 1, pts: 0, dts: 0, timestamp: 0, key: false, corrupt: false, data: Buffer.alloc(100) },
  ...change,
})

test('the group of pictures at hand begins with a keyframe, knows its newest picture, and is bounded', t => {
  const gop = new Gop(1000)
  gop.push(packet({ pts: 1 }))
  t.is(gop.packets.length, 0)
  for (const [i, pts] of [10, 40, 20, 30].entries()) gop.push(packet({ pts, key: i === 0 }))
  t.is(gop.packets.length, 4)
  t.is(gop.newestPts, 40)
  for (let pts = 50; pts < 70; pts++) gop.push(packet({ pts }))
  t.is(gop.packets.length, 0) // it grew beyond what is kept: its rest is of no use either
  gop.push(packet({ pts: 100, key: true }))
  t.is(gop.packets.length, 1)
  t.is(gop.newestPts, 100)
  gop.clear()
  t.is(gop.packets.length, 0)
})

test('rates are those of the last seconds', t => {
  const rate = new Rate()
  t.deepEqual(rate.at(0), { fps: 0, bitsPerSecond: 0 })
  for (let ms = 0; ms <= 10_000; ms += 100) rate.add(1000, ms)
  t.true(Math.abs(rate.at(10_000).fps - 10) < 0.5)
  t.true(Math.abs(rate.at(10_000).bitsPerSecond - 80_000) < 4000)
  t.deepEqual(rate.at(20_000), { fps: 0, bitsPerSecond: 0 })
})

test('a picture that is too large is not decoded, and the reason is told at once', t => {
  const told: object[] = []
  const codec: Codec = {
    name: 'h264',
    longName: '',
    width: 8000,
    height: 5001,
    pixFmt: 'yuv420p',
    extradata: '',
    timeBase: [1, 90_000],
    reorder: 0,
  }
  const live = new Live({
    ...{ deviceId: 'cam', gop: new Gop(), decoding: { scale: undefined, maxFps: undefined, keyFramesOnly: false } },
    ...{
      publish: () => t.fail(),
      onHealth: health => void told.push(health),
      count: { decoded: () => t.fail(), dropped: () => t.fail(), tookMs: () => t.fail() },
      log: pino({ level: 'silent' }),
    },
  })
  live.setWants('all')
  live.push(packet({ key: true }), codec, true)
  t.like(told.at(-1), { active: false, ok: false, reason: 'ResolutionTooLarge' })
})

// Keyframes in pieces.

test('pieces of a keyframe become one packet; where there are none, nothing waits', t => {
  const whole = (n: number) => Buffer.from([0, 0, 1, 0x65, 0x80, n])
  const piece = (n: number) => Buffer.from([0, 0, 1, 0x65, 0x40, n])
  const delta = Buffer.from([0, 0, 1, 0x41, 0x80])
  const demuxed = (data: Buffer, key: boolean): DemuxedPacket => ({
    pts: 0,
    dts: 0,
    key,
    corrupt: false,
    newExtradata: false,
    data,
    arrivedAt: 0,
  })
  const stream = { codec: 'h264', extradata: Buffer.alloc(0) }
  const run = (packets: DemuxedPacket[]) => {
    const pictures = new Pictures()
    return packets.map(one => pictures.push(one, stream).map(({ data }) => data.toString('hex')))
  }
  const hex = (...parts: Buffer[]) => Buffer.concat(parts).toString('hex')
  t.deepEqual(run([demuxed(whole(1), true), demuxed(delta, false), demuxed(whole(2), true), demuxed(delta, false)]), [
    [],
    [hex(whole(1)), hex(delta)],
    [hex(whole(2))],
    [hex(delta)],
  ])
  t.deepEqual(
    run([
      demuxed(whole(1), true),
      demuxed(piece(2), true),
      demuxed(piece(3), true),
      demuxed(delta, false),
      demuxed(whole(4), true),
      demuxed(piece(5), true),
      demuxed(delta, false),
    ]),
    [[], [], [], [hex(whole(1), piece(2), piece(3)), hex(delta)], [], [], [hex(whole(4), piece(5)), hex(delta)]],
  )
})
