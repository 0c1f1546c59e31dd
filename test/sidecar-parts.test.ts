// The sidecar's decisions, by tables: no processes, no sockets.
import { readFile } from 'node:fs/promises'
import test from 'ava'
import pino from 'pino'
import { Failure } from '../common/errors.ts'
import type { DemuxedPacket } from '../common/media/demux.ts'
import { imageDemand } from '../proto/rendition.ts'
import { parseJson, type Packet } from '../proto/messages.ts'
import { Demand, type Codec } from '../proto/state.ts'
import { denied, resolveHost } from '../common/net/address.ts'
import { ReadableFiles } from '../sidecar/archive/readable-files.ts'
import { SegmentIndex } from '../sidecar/archive/retention.ts'
import { Wishes } from '../sidecar/demand.ts'
import { Gop } from '../common/media/gop.ts'
import { LiveDecoder } from '../common/media/live-decoder.ts'
import { Rate } from '../sidecar/health.ts'
import { Pictures } from '../sidecar/source/slice-joiner.ts'
import type { FfmpegSource } from '../sidecar/source/drivers/driver.ts'
import { parseSource, SCHEMES } from '../sidecar/source/source.ts'
import { newTraits } from '../sidecar/source/traits.ts'
import { isSlow, nextConnectMs, overdue, waitsForKeyframe, type Facts } from '../sidecar/source/watchdog.ts'

const TRAITS = newTraits()
const AT = { host: '127.0.0.1', port: 5000 }

function ffmpegSource(url: string, transport: 'tcp' | 'udp' = 'tcp'): FfmpegSource {
  const source = parseSource(url, { transport })
  if (!('input' in source)) throw new Error('ffmpeg does not read it')
  return source as FfmpegSource
}

test('a file of the archive that is finished while it is looked for is no unreadable one', async t => {
  const complaints: string[] = []
  const onUnreadable = (message: string) => complaints.push(message)
  const files = new ReadableFiles({ folder: import.meta.dirname, index: () => new SegmentIndex(), open: () => [], onUnreadable })
  const file = { startMs: 1, durationMs: 1 }
  const capture = { epoch: 1, keyframe: 1, times: [], ptsSeconds: 0 }
  await t.throwsAsync(files.packets({ ...file, open: { part: 'gone', startMs: 1, endMs: 2, capture } }, 0), { code: 'ENOENT' })
  t.deepEqual(complaints, [])
  t.is(await files.packets(file, 0), undefined)
  t.is(complaints.length, 1)
})

// What ffmpeg is told.

test('a source’s URL becomes what ffmpeg opens, by way of the relay', t => {
  const urlOf = (url: string, credentials?: { username: string; password: string }, at = AT) => {
    const { args } = ffmpegSource(url).input(at, credentials, TRAITS)
    return args[args.indexOf('-i') + 1]
  }
  // The relay knows the camera's URL and signs; ffmpeg knows neither.
  t.is(urlOf('rtsp://camera.example/Streaming/Channels/101?x=a', { username: 'u', password: 'p' }), 'rtsp://127.0.0.1:5000/')
  t.is(
    urlOf('rtmp://camera/live/key', { username: 'a:b', password: 'c@d/ %?#é' }),
    'rtmp://a%3Ab:c%40d%2F%20%25%3F%23%C3%A9@127.0.0.1:5000/live/key',
  )
  t.is(urlOf('http://camera:8080/x.m3u8?t=1', { username: 'u', password: 'p' }), 'http://camera:8080/x.m3u8?t=1')
  t.is(urlOf('https://camera/x.m3u8?t=1', { username: 'u', password: 'p' }), 'http://camera:443/x.m3u8?t=1')
})

test('ffmpeg has no protocol by which it could go past the relay', t => {
  const allowed = (url: string) => {
    const { args } = ffmpegSource(url).input(AT, undefined, TRAITS)
    return args[args.indexOf('-protocol_whitelist') + 1]
  }
  t.is(allowed('http://camera/x'), 'http,tcp,crypto')
  t.is(allowed('https://camera/x'), 'http,tcp,crypto')
  t.is(allowed('rtsps://camera/x'), 'rtp,tcp')
  t.is(allowed('rtmps://camera/x'), 'rtmp,tcp')
})

test('an RTMP server gets to see the camera’s address and application', t => {
  for (const [url, tcUrl] of [
    ['rtmp://camera/live/key', 'rtmp://camera:1935/live'],
    ['rtmp://camera:1936/app/instance/key?token=a/b', 'rtmp://camera:1936/app/instance'],
    ['rtmps://camera/app/key', 'rtmps://camera:443/app'],
  ] as const) {
    const { args } = ffmpegSource(url).input(AT, undefined, TRAITS)
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
    const error = t.throws(() => parseSource(url), undefined, url)
    t.false(error?.message.includes('secret'))
  }
})

test('UDP is for what is not encrypted', t => {
  const transport = (url: string) => {
    const { args } = ffmpegSource(url, 'udp').input(AT, undefined, TRAITS)
    return args[args.indexOf('-rtsp_transport') + 1]
  }
  t.is(transport('rtsp://h/x'), 'udp')
  t.is(transport('rtsps://h/x'), 'tcp')
})

test('the Camera’s schema and the sidecar name the same schemes', async t => {
  const crd = await readFile(new URL('../charts/chrysalis-edge/files/cameras.video.chrys.cloud.yaml', import.meta.url), 'utf8')
  t.true(crd.includes(`message: 'must start with ${SCHEMES}'`))
  t.throws(() => parseSource('ftp://camera/x'), { message: `spec.source.url: must start with ${SCHEMES}` })
})

test('how an HTTP source is read follows from its format', t => {
  const source = parseSource('http://h/x')
  for (const [format, trait] of [
    ['mpjpeg', 'wallClock'],
    ['h264', 'wallClock'],
    ['hls', 'paced'],
    ['mov,mp4,m4a,3gp,3g2,mj2', 'paced'],
    ['matroska,webm', 'paced'],
    ['mpegts', undefined],
    ['flv', undefined],
  ] as const) {
    t.is(source.traitIn(`[info] Input #0, ${format}, from 'http://h/x':`), trait)
  }
  t.is(source.traitIn('[info]   Stream #0:0: Video: h264'), undefined)
  t.is(parseSource('rtsp://h/x').traitIn(`[info] Input #0, h264, from 'rtsp://h/x':`), undefined)
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
  t.deepEqual(await resolveHost('192.0.2.7', deny), [{ address: '192.0.2.7', family: 4 }])
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
    stepMs: 0,
    sparse: false,
    connectMs: 10_000,
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
    ['pictures 4 s apart', { startedMs: 0, lastPacketMs: 93_000, sized: true, streaming: true, stepMs: 4_000 }, undefined],
    ['a second one is missing', { startedMs: 0, lastPacketMs: 91_000, sized: true, streaming: true, stepMs: 4_000 }, 'StreamStalled'],
    ['a jump of its clock', { startedMs: 0, lastPacketMs: 84_000, sized: true, streaming: true, stepMs: 3_600_000 }, 'StreamStalled'],
    ['one picture of some that may be far apart', { startedMs: 80_000, lastPacketMs: 87_000, sized: true, sparse: true }, undefined],
    ['data of such', { startedMs: 85_000, phase: 'playing', lastByteMs: 91_000, sparse: true }, undefined],
    ['none of such', { startedMs: 80_000, phase: 'playing', lastByteMs: 84_000, sparse: true }, 'StreamStalled'],
    ['it stands still before a keyframe', { startedMs: 80_000, lastPacketMs: 94_000, sized: true }, 'StreamStalled'],
    [
      'it plays by UDP, where bytes come beside the connection',
      { startedMs: 80_000, phase: 'playing', lastByteMs: 80_500, lastPacketMs: 99_900, sized: true, streaming: true },
      undefined,
    ],
    ['there is no way to watch', { startedMs: 89_000, phase: undefined }, 'ConnectTimeout'],
    ['it was slow before', { startedMs: 81_000, phase: 'connected', connectMs: 20_000 }, undefined],
    ['it is slower than before', { startedMs: 79_000, phase: 'connected', connectMs: 20_000 }, 'ConnectTimeout'],
    ['it was slow to play before', { startedMs: 70_000, phase: 'playing', lastByteMs: 71_000, sparse: true, connectMs: 40_000 }, undefined],
  ] as const satisfies readonly (readonly [string, Partial<Facts>, string | undefined])[]) {
    t.is(overdue(facts(given))?.reason, reason, what)
  }
  t.is(waitsForKeyframe(facts({ startedMs: 79_000, lastPacketMs: 99_900, sized: true }))?.reason, 'NoKeyframe')
  t.is(waitsForKeyframe(facts({ startedMs: 85_000, lastPacketMs: 99_900, sized: true })), undefined)
  t.is(waitsForKeyframe(facts({ startedMs: 0, lastPacketMs: 99_900, sized: true, streaming: true })), undefined)
})

test('each try waits longer for a camera that is there and slow, up to a minute, and twice what it took once it plays', t => {
  const waits = [10_000]
  const late = (connectMs: number) => facts({ startedMs: 99_999 - connectMs, phase: 'connected', connectMs })
  for (let connectMs = 10_000; waits.length < 5; waits.push(connectMs)) {
    const verdict = overdue(late(connectMs))
    t.true(verdict !== undefined && isSlow(verdict, late(connectMs)))
    t.regex(verdict?.message ?? '', /the next try waits up to \d+ s/)
    connectMs = nextConnectMs({ connectMs })
  }
  t.deepEqual(waits, [10_000, 20_000, 40_000, 60_000, 60_000])
  t.is(nextConnectMs({ connectMs: 60_000 }, 12_000), 24_000)
  t.is(nextConnectMs({ connectMs: 60_000 }, 300), 10_000)
  t.false(isSlow(new Failure('ConnectTimeout', ''), facts({ phase: 'connecting' })))
  t.true(isSlow(new Failure('StreamStalled', ''), facts({ phase: 'playing', sparse: true })))
  t.false(isSlow(new Failure('StreamStalled', ''), facts({ phase: 'playing' })))
})

// Who wants what.

test('wishes add up, end when they are not repeated, and are bounded in number', t => {
  const wishes = new Wishes()
  const note = (gateway: string, wants: 'all' | 'keyframes' | 'none', at: number) => wishes.note({ v: 1, gateway, wants }, at)
  t.is(wishes.union(0).wants, 'none')
  note('a', 'keyframes', 0)
  t.is(wishes.union(1).wants, 'keyframes')
  note('b', 'all', 1)
  t.is(wishes.union(2).wants, 'all')
  note('b', 'keyframes', 3)
  t.is(wishes.union(3).wants, 'keyframes')
  note('b', 'none', 4)
  t.is(wishes.union(4999).wants, 'keyframes')
  t.is(wishes.union(5001).wants, 'none')
  for (let i = 0; i < 1000; i++) note(`flood${i}`, 'keyframes', 6000)
  note('honest', 'all', 6000)
  t.is(wishes.union(6001).wants, 'keyframes')
})

test('fields of a demand that a later version has are no reason to refuse it', t => {
  const told = parseJson(Demand, Buffer.from(JSON.stringify({ v: 1, gateway: 'a', wants: 'all', fps: 10, ofLaterVersions: 1 })))
  t.deepEqual(told, { v: 1, gateway: 'a', wants: 'all' })
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
  const live = new LiveDecoder({
    ...{ deviceId: 'cam', gop: new Gop() },
    ...{
      publish: () => t.fail(),
      onHealth: health => void told.push(health),
      count: { decoded: () => t.fail(), dropped: () => t.fail(), unwanted: () => t.fail(), tookMs: () => t.fail() },
      log: pino({ level: 'silent' }),
    },
  })
  live.setDemand([imageDemand({ keyFramesOnly: false }, 'all')])
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
