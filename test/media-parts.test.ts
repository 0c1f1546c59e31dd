// What common/media makes of streams and words, compared with what ffmpeg and ffprobe say of the same.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, createWriteStream, readdirSync, readFileSync, write as writeToFile } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { promisify } from 'node:util'
import test from 'ava'
import { Failure } from '../common/errors.ts'
import { demux, type DemuxedPacket, type DemuxInfo } from '../common/media/demux.ts'
import { openPipe, runFfmpeg } from '../common/media/ffmpeg.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { PictureMemory } from '../common/media/frame-memory.ts'
import { FrameReader } from '../common/media/frame-reader.ts'
import { NutWriter } from '../common/media/nut-writer.ts'
import { continuesPicture, isVp9Key, keyframeParameters, streamExtradata } from '../common/media/parameters.ts'
import { ARCHIVE_LINES, CAMERA_LINES, causeIn, FORWARDING_LINES, moreTelling } from '../common/media/ffmpeg-log.ts'
import { secondsToTicks, ticksToMs, ticksToSeconds } from '../common/media/timebase.ts'
import { scrub } from '../common/text.ts'
import { EpochTracker } from '../sidecar/timing/epoch.ts'
import { ffprobePackets, ffprobePath } from './fixtures/media.ts'
import { descendants } from './fixtures/processes.ts'
import { temporaryFolder, type TemporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const run = promisify(execFile)
const write = promisify(writeToFile)
const NONE = Buffer.alloc(0)

async function encoded(folder: TemporaryFolder, name: string, size: string, encoder: string[], frames = 2): Promise<string> {
  const file = folder.file(name)
  const input = ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=10`]
  await run(ffmpegPath(process.env), ['-nostdin', '-v', 'error', ...input, '-frames:v', String(frames), ...encoder, '-y', file])
  return file
}

async function packetsOf(input: string[]): Promise<{ packets: DemuxedPacket[]; info: DemuxInfo }> {
  const packets: DemuxedPacket[] = []
  const infos: DemuxInfo[] = []
  await using ffmpeg = await demux(
    input,
    { reach: 'bounded', copyTimestamps: false },
    { onPacket: (packet, info) => void (packets.push(packet), infos.push(info)), onLine: () => {}, onDesync: () => {} },
  )
  await ffmpeg.ended
  const info = infos.at(-1)
  if (info === undefined) throw new Error(`no packets from ${input.join(' ')}`)
  return { packets, info }
}

const X264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-f', 'h264']
const X265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=error', '-f', 'hevc']

for (const [what, codec, size, encoder] of [
  ['even blocks', 'h264', '640x480', X264],
  ['cropped rows', 'h264', '1920x1080', X264],
  ['cropped columns and rows', 'h264', '854x362', X264],
  ['4:2:2', 'h264', '642x358', [...X264.slice(0, 4), '-pix_fmt', 'yuv422p', ...X264.slice(4)]],
  ['4:4:4', 'h264', '642x358', [...X264.slice(0, 4), '-pix_fmt', 'yuv444p', ...X264.slice(4)]],
  ['ten bits', 'h264', '320x180', [...X264.slice(0, 4), '-pix_fmt', 'yuv420p10le', ...X264.slice(4)]],
  ['grey', 'h264', '320x180', [...X264.slice(0, 4), '-pix_fmt', 'gray', ...X264.slice(4)]],
  ['baseline', 'h264', '350x240', [...X264.slice(0, 4), '-profile:v', 'baseline', '-pix_fmt', 'yuv420p', ...X264.slice(4)]],
  ['interlaced', 'h264', '720x576', [...X264.slice(0, 4), '-flags', '+ildct+ilme', '-pix_fmt', 'yuv420p', ...X264.slice(4)]],
  [
    'scaling lists',
    'h264',
    '322x242',
    [...X264.slice(0, 4), '-x264-params', 'cqm=jvt', '-profile:v', 'high', '-pix_fmt', 'yuv420p', ...X264.slice(4)],
  ],
  ['even blocks', 'hevc', '640x480', X265],
  ['cropped rows', 'hevc', '1920x1080', X265],
  ['cropped columns and rows', 'hevc', '854x362', X265],
  ['4:2:2, ten bits', 'hevc', '642x358', [...X265.slice(0, 4), '-pix_fmt', 'yuv422p10le', ...X265.slice(4)]],
  ['4:4:4', 'hevc', '640x360', [...X265.slice(0, 4), '-pix_fmt', 'yuv444p', ...X265.slice(4)]],
  ['temporal layers', 'hevc', '352x288', [...X265.slice(0, 4), '-x265-params', 'temporal-layers=1:log-level=error', '-f', 'hevc']],
  ['even blocks', 'mjpeg', '640x480', ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p', '-f', 'mjpeg']],
  ['4:2:2', 'mjpeg', '638x358', ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj422p', '-f', 'mjpeg']],
  ['4:4:4', 'mjpeg', '638x358', ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj444p', '-f', 'mjpeg']],
] as const) {
  test(`a keyframe of ${codec} tells its size and format: ${what} (${size})`, async t => {
    await using folder = await temporaryFolder()
    const file = await encoded(folder, 'video', size, [...encoder])
    const { packets, info } = await packetsOf(['-f', codec, '-i', file])
    const [width = 0, height = 0] = size.split('x').map(Number)
    t.like(info, { codec, width, height })
    const parameters = keyframeParameters(codec, packets[0]?.data ?? NONE, info.extradata)
    t.like(parameters, { width, height })
    t.is(parameters?.pixFmt.replace('yuvj', 'yuv'), info.pixFmt.replace('yuvj', 'yuv'))
  })
}

test('an input without an end of a frame is given up before it takes the memory of a pod', async t => {
  await using folder = await temporaryFolder()
  const pipe = folder.file('endless')
  await run('mkfifo', [pipe])
  const file = await readFile(await encoded(folder, 'start.h264', '320x192', ['-c:v', 'libx264', '-pix_fmt', 'yuv420p']))
  const given = Promise.withResolvers<string>()
  await using ffmpeg = await demux(
    ['-f', 'h264', '-i', pipe],
    { reach: 'bounded', copyTimestamps: false },
    { onPacket: () => {}, onLine: () => {}, onDesync: given.resolve },
  )
  const output = createWriteStream(pipe)
  output.on('error', () => {}) // ffmpeg has gone
  const megabyte = Buffer.alloc(2 ** 20, 0x55)
  let written = 0
  output.write(file)
  const more = () => {
    while (written < 4096 && !output.destroyed) {
      written++
      if (!output.write(megabyte)) return void output.once('drain', more)
    }
  }
  more()
  t.regex(await given.promise, /512 MiB/)
  await ffmpeg.stop()
  output.destroy()
  t.true(written < 2_000, `${written} MiB`)
})

test('damaged, foreign and empty keyframes tell nothing, and harm nothing', async t => {
  await using folder = await temporaryFolder()
  const { packets } = await packetsOf(['-f', 'h264', '-i', await encoded(folder, 'video', '320x180', X264)])
  const whole = packets[0]?.data ?? NONE
  for (let size = 0; size < 60; size++) t.notThrows(() => keyframeParameters('h264', whole.subarray(0, size), NONE))
  let state = 1
  for (let i = 0; i < 2000; i++) {
    const damaged = Buffer.from(whole.subarray(0, 80))
    for (let n = 0; n < 4; n++) {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      damaged[(state >> 8) % damaged.length] = state & 255
    }
    for (const codec of ['h264', 'hevc', 'mjpeg', 'av1'])
      t.notThrows(() => keyframeParameters(codec, damaged, i % 2 === 0 ? NONE : damaged))
  }
  t.is(keyframeParameters('av1', whole, NONE), undefined)
  t.is(keyframeParameters('h264', NONE, NONE), undefined)
})

test('random bytes that look like a sequence have a picture that can be, or none', t => {
  let seen = 0
  for (let i = 0; i < 20_000; i++) {
    const bytes = createHash('sha512').update(String(i)).digest()
    const codec = i % 2 === 0 ? 'h264' : 'hevc'
    const front = codec === 'h264' ? [0, 0, 0, 1, 0x67, 100] : [0, 0, 0, 1, 0x42, 1]
    const found = keyframeParameters(codec, Buffer.concat([Buffer.from(front), bytes]), NONE)
    if (found === undefined) continue
    seen++
    t.true(found.width >= 8 && found.height >= 8 && found.width <= 16_384 && found.height <= 16_384)
  }
  t.true(seen > 0)
  t.is(keyframeParameters('h264', Buffer.from('00000001275175' + '1a5d9d'.repeat(20), 'hex'), NONE), undefined) // there is no profile 81
})

test('a flood of parameter sets costs linear time, and is not kept whole', async t => {
  await using folder = await temporaryFolder()
  const file = await encoded(folder, 'flood.h264', '320x192', ['-c:v', 'libx264', '-pix_fmt', 'yuv420p'])
  const keyframe = await readFile(file)
  // 400,000 picture parameter sets, all different, in front of a real keyframe.
  const flood = Buffer.alloc(400_000 * 9)
  for (let i = 0; i < 400_000; i++) {
    flood.writeUInt32BE(1, i * 9)
    flood.writeUInt8(0x68, i * 9 + 4)
    flood.writeUInt32BE(0x8000_0000 + 2 * i + 1, i * 9 + 5)
  }
  const from = performance.now()
  const found = keyframeParameters('h264', Buffer.concat([keyframe.subarray(0, 64), flood, keyframe]), NONE)
  t.true(performance.now() - from < 5_000)
  t.like(found, { width: 320, height: 192 })
  t.true((found?.extradata.length ?? 0) < 10_000)
})

test('where lengths stand in front of units, no start code is looked for', async t => {
  await using folder = await temporaryFolder()
  const mp4 = await encoded(folder, 'video.mp4', '854x362', X264.slice(0, 4))
  const { packets, info } = await packetsOf(['-i', mp4])
  t.is(info.extradata[0], 1)
  t.is(keyframeParameters('h264', packets[0]?.data ?? NONE, info.extradata), undefined)
  // A length of 00 00 01 67 is no start code with a parameter set.
  const misleading = Buffer.concat([Buffer.from('0000016764000c', 'hex'), Buffer.alloc(0x160)])
  t.is(keyframeParameters('h264', misleading, info.extradata), undefined)
})

test('extradata in front of keyframes goes, and the camera’s own parameter sets stay', async t => {
  await using folder = await temporaryFolder()
  const encoder = [
    ...X264.slice(0, 4),
    '-g',
    '5',
    '-x264-params',
    'repeat-headers=1',
    '-bsf:v',
    'filter_units=remove_types=6|9',
    '-f',
    'h264',
  ]
  const long = await encoded(folder, 'long', '320x180', encoder, 12)
  // Start codes of three bytes are what ffmpeg's extradata has: then a keyframe begins with the very same bytes.
  const short = folder.file('short')
  await writeFile(short, Buffer.from((await readFile(long)).toString('latin1').replaceAll('\0\0\0\u0001', '\0\0\u0001'), 'latin1'))
  for (const file of [long, short]) {
    const { packets, info } = await packetsOf(['-f', 'h264', '-i', file])
    t.true(info.extradata.length > 0)
    t.is(
      packets.reduce((sum, { data }) => sum + data.length, 0),
      (await ffprobePackets(file, { inputArgs: ['-f', 'h264'] })).reduce((sum, { size }) => sum + size, 0),
    )
    t.is(packets.filter(({ key }) => key).length, 3)
    for (const { key, data } of packets) if (key) t.like(keyframeParameters('h264', data, info.extradata), { width: 320, height: 180 })
  }
})

const SPS = '67640014acd94141fb01'
const PPS = '68ebe3cb22c0'
const OLD_SPS = '6764001eacd940a02ff9'
const OLD_PPS = '68ebecb22c'
const [VPS_H265, SPS_H265, PPS_H265] = ['40010c01ffff', '4201010160', '4401c172b462']
const START = '00000001'
for (const { what, codec = 'h264', own = [], described = '', sets } of [
  { what: 'the keyframe’s own, where the SDP has others', own: [SPS, PPS], described: START + OLD_SPS + START + OLD_PPS, sets: [SPS, PPS] },
  { what: 'those of the SDP, where the keyframe has none', described: START + SPS + START + PPS, sets: [SPS, PPS] },
  { what: 'a kind that the keyframe lacks is the SDP’s', own: [SPS], described: START + OLD_SPS + START + PPS, sets: [SPS, PPS] },
  { what: 'a kind that the SDP lacks is the keyframe’s', own: [PPS], described: START + SPS, sets: [SPS, PPS] },
  { what: 'a start code behind a set is cut', described: `${START}${SPS}${START}${PPS}${START}`, sets: [SPS, PPS] },
  { what: 'start codes twice, of three bytes, and zeros', described: `000001${START}${SPS}0000000001${PPS}0000`, sets: [SPS, PPS] },
  { what: 'no set of any kind', described: `${START}09f0${START}0605ff`, sets: [] },
  {
    what: 'H.265',
    codec: 'hevc',
    own: [SPS_H265, PPS_H265],
    described: START + VPS_H265 + START + '420101026000' + START + PPS_H265 + START,
    sets: [VPS_H265, SPS_H265, PPS_H265],
  },
]) {
  test(`the parameter sets of a stream: ${what}`, t => {
    const joined = Buffer.from(own.map(set => START + set).join(''), 'hex')
    const extradata = streamExtradata(codec, joined, Buffer.from(described, 'hex'))
    t.is(extradata.toString('hex'), sets.map(set => START + set).join(''))
  })
}

test('extradata without start codes stays as it is', t => {
  const avcC = Buffer.from('01640014ffe1000a' + SPS + '010006' + PPS, 'hex')
  t.deepEqual(streamExtradata('h264', Buffer.alloc(0), avcC), avcC)
  t.deepEqual(streamExtradata('av1', Buffer.alloc(0), Buffer.from([0x81, 0, 0])), Buffer.from([0x81, 0, 0]))
  t.is(streamExtradata('mjpeg', Buffer.alloc(0), Buffer.alloc(0)).length, 0)
})

test('a stream whose description has the parameter sets of other settings is that of its keyframes', async t => {
  await using folder = await temporaryFolder()
  for (const [codec, encoder] of [
    ['h264', X264],
    ['hevc', X265],
  ] as const) {
    const read = async (size: string) => packetsOf(['-f', codec, '-i', await encoded(folder, `${size}.${codec}`, size, [...encoder])])
    const other = await read('640x360')
    const { packets, info } = await read('320x192')
    const [first] = packets
    if (first === undefined) return t.fail()
    const step = (stream: DemuxInfo) => new EpochTracker(0, () => 1).next({ ...first, pts: 90_000, dts: 90_000 }, stream)[0]
    const extradata = streamExtradata(codec, NONE, info.extradata).toString('base64')
    t.like(step(info), { kind: 'packet', codec: { width: 320, height: 192, extradata } })
    t.like(step({ ...other.info }), { kind: 'packet', codec: { width: 320, height: 192, extradata } })
  }
})

test('a piece of a picture is told from its beginning', async t => {
  await using folder = await temporaryFolder()
  const mark = Buffer.from([0, 0, 1])
  for (const [codec, encoder, isSlice] of [
    ['h264', [...X264.slice(0, 4), '-x264-params', 'slices=3', '-f', 'h264'], (unit: Buffer) => (unit[3] ?? 0) % 32 === 5],
    [
      'hevc',
      [...X265.slice(0, 3), 'superfast', '-x265-params', 'slices=3:log-level=error', '-f', 'hevc'],
      (unit: Buffer) => (unit[3] ?? 0) >> 1 < 32,
    ],
  ] as const) {
    const { packets, info } = await packetsOf(['-f', codec, '-i', await encoded(folder, codec, '640x480', [...encoder])])
    const data = packets[0]?.data ?? NONE
    const slices: Buffer[] = []
    for (let at = data.indexOf(mark); at >= 0; at = data.indexOf(mark, at + 3))
      if (isSlice(data.subarray(at))) slices.push(data.subarray(at))
    t.true(slices.length >= 3)
    t.deepEqual(
      slices.map(slice => continuesPicture(codec, slice, info.extradata)),
      slices.map((_, i) => i > 0),
    )
    t.false(continuesPicture(codec, data, info.extradata))
  }
})

test('keyframes of VP9, which RTP does not mark, are told by themselves', async t => {
  await using folder = await temporaryFolder()
  for (const format of ['yuv420p', 'yuv444p', 'yuv420p10le', 'yuv444p10le']) {
    const vp9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-g', '5', '-pix_fmt', format]
    const { packets } = await packetsOf(['-i', await encoded(folder, `${format}.webm`, '64x48', vp9, 12)])
    t.deepEqual(
      packets.map(({ data }) => isVp9Key(data)),
      packets.map(({ key }) => key),
      format,
    )
    t.is(packets.filter(({ key }) => key).length, 3)
  }
  t.false(isVp9Key(NONE))
})

test('NUT keeps every packet: bytes, times, keyframes', async t => {
  await using folder = await temporaryFolder()
  const codec = {
    name: 'h264',
    longName: '',
    width: 320,
    height: 180,
    pixFmt: 'yuv420p',
    extradata: 'AAAAAWdCwAw=',
    timeBase: [1, 90_000],
    reorder: 2,
  }
  const writer = new NutWriter(codec as ConstructorParameters<typeof NutWriter>[0])
  // Times far apart and beyond 32 bits, sizes around the limits of the format's synchronization.
  const packets = [0, 3000, 1000, 2000, 90_000 * 86_400, 90_000 * 86_400 + 3000, 2 ** 40, 2 ** 40 + 1].map((pts, i) => ({
    ...{ pts, key: i % 3 === 0 },
    data: Buffer.alloc([1, 10, 1000, 59_999, 60_001, 200_000, 3, 70_000][i] ?? 1, i + 2),
  }))
  const file = folder.file('packets.nut')
  await writeFile(
    file,
    Buffer.concat([writer.header(), ...packets.flatMap(({ pts, key, data }) => [writer.frameHeader(pts, key, data.length), data])]),
  )
  const read = await ffprobePackets(file, { inputArgs: ['-f', 'nut'] })
  t.deepEqual(
    read.map(({ pts, size, keyframe }) => ({ pts, size, keyframe })),
    packets.map(({ pts, key, data }) => ({ pts, size: data.length, keyframe: key })),
  )
  const { stdout } = await run(ffprobePath(process.env), [
    '-v',
    'error',
    '-f',
    'nut',
    '-show_entries',
    'stream=time_base,width,height,extradata_size',
    '-of',
    'csv=p=0',
    file,
  ])
  t.regex(stdout, /320,180,1\/90000,8/)
})

test('each of ffmpeg’s complaints has a cause that a person can act on', t => {
  for (const [line, reason] of [
    ['[rtsp @ 0x5] method DESCRIBE failed: 401 Unauthorized', 'AuthFailed'],
    ['[http @ 0x5] HTTP error 401 Unauthorized', 'AuthFailed'],
    ['rtsp://127.0.0.1/x: Server returned 403 Forbidden (access denied)', 'AuthFailed'],
    ['[rtsp @ 0x5] method DESCRIBE failed: 404 Not Found', 'NotFound'],
    ['http://h/x: Server returned 404 Not Found', 'NotFound'],
    ['[rtsp @ 0x5] Status 302: Redirecting to rtsp://other/', 'RedirectRefused'],
    ['[rtsp @ 0x5] method SETUP failed: 461 Unsupported transport', 'TransportUnsupported'],
    ['[tcp @ 0x5] Connection to tcp://127.0.0.1:1 failed: Connection refused', 'ConnectionRefused'],
    ['[tcp @ 0x5] Connection to tcp://10.0.0.1:554 failed: No route to host', 'HostUnreachable'],
    ['[tcp @ 0x5] Failed to resolve hostname nowhere.invalid: Name or service not known', 'HostNotFound'],
    ["Stream map '0:v:0' matches no streams.", 'NoVideoTrack'],
    ["[fatal] Stream map '' matches no streams.", 'NoVideoTrack'],
    ['[rtsp @ 0x5] Could not find codec parameters for stream 0 (Video: none, none): unknown codec', 'CodecUnsupported'],
    ['[rtsp @ 0x5] Could not find codec parameters for stream 0 (Video: h264, none): unspecified size', 'NoDecodableFrames'],
    ['rtsp://h/: Connection timed out', 'ConnectTimeout'],
    ['[rtsp @ 0x5] method PLAY failed: 503 Service Unavailable', 'ServerError'],
    ['[http @ 0x5] HTTP error 500 Internal Server Error', 'ServerError'],
    ['[rtsp @ 0x5] method DESCRIBE failed: 400 Bad Request', 'RequestRefused'],
    ['[rtsp @ 0x5] CSeq 3 expected: Connection reset by peer', 'ConnectionLost'],
    ["Protocol 'file' not on whitelist 'http,tcp'!", 'ProtocolRefused'],
    ['rtsp://h/: Invalid data found when processing input', 'InvalidStream'],
    ['[info]   Stream #0:0: Video: h264 (High), yuv420p, 640x360, 30 fps', undefined],
    ['[rtsp @ 0x5] max delay reached. need to consume packet', undefined],
  ] as const) {
    t.is(causeIn(CAMERA_LINES, line)?.reason, reason, line)
  }
})

test('what ffmpeg says of a file of the archive names a reason, and no path', t => {
  for (const [line, reason] of [
    [
      '[mp4 @ 0x1] [error] Could not find tag for codec vp8 in stream #0, codec not currently supported in container',
      'ArchiveCodecUnsupported',
    ],
    ['[error] Error writing trailer of file:/archive/a.mp4: No space left on device', 'ArchiveDiskFull'],
    ['[fatal] file:/archive/a.mp4: Permission denied', 'ArchiveUnwritable'],
    ['[error] av_interleaved_write_frame(): file:/archive/a.mp4: Input/output error', 'ArchiveFailed'],
    ['[info] frame=   12 fps=0.0', undefined],
  ] as const) {
    const cause = causeIn(ARCHIVE_LINES, line)
    t.is(cause?.reason, reason, line)
    t.notRegex(cause?.message ?? '', /[/]archive/)
  }
})

test('what ffmpeg says of an RTMP server names a reason', t => {
  t.deepEqual(causeIn(FORWARDING_LINES, '[error] Server error: Publish denied'), {
    reason: 'ForwardingRefused',
    message: 'the RTMP server rejects the stream: Publish denied',
  })
  t.is(causeIn(FORWARDING_LINES, '[flv @ 0x1] Video codec mjpeg not compatible with flv')?.reason, 'ForwardingCodecUnsupported')
  t.is(causeIn(FORWARDING_LINES, '[info] Output #0, flv, to x'), undefined)
})

test('of several complaints the one that tells more is kept', t => {
  const auth = causeIn(CAMERA_LINES, '401 Unauthorized')
  const invalid = causeIn(CAMERA_LINES, 'Invalid data found when processing input')
  if (auth === undefined || invalid === undefined) return t.fail()
  t.is(moreTelling(undefined, invalid), invalid)
  t.is(moreTelling(auth, invalid), auth)
  t.is(moreTelling(invalid, auth), auth)
  // What the relay found out by itself is known by reasons of its own.
  t.is(moreTelling(invalid, new Failure('ConnectionRefused', '')).reason, 'ConnectionRefused')
})

test('passwords leave no trace in what is logged', t => {
  const secrets = ['p@ss w/rd', 'plain']
  for (const line of [
    "[info] Input #0, rtsp, from 'rtsp://user:p%40ss%20w%2Frd@127.0.0.1:5/x':",
    'could not open rtsp://user:plain@h/x',
    'password was p@ss w/rd',
    'password was plain, quoted plain',
    'http://user:p%40ss%20w%2frd@h/',
  ]) {
    const clean = scrub(line, secrets)
    t.false(/plain|p@ss|p%40ss|user:/i.test(clean), clean)
  }
  t.is(scrub('nothing to hide', ['']), 'nothing to hide')
})

// It changes the environment of all.
test.serial('an ffmpeg that can’t be started is a failure with a reason, and leaves nothing behind', async t => {
  const before = process.env['FFMPEG_PATH']
  process.env['FFMPEG_PATH'] = '/nonexistent/ffmpeg'
  try {
    const error = await t.throwsAsync(runFfmpeg(['-version'], { onLine: () => {} }), { instanceOf: Failure })
    t.is(error?.reason, 'SpawnFailed')
    t.regex(error?.message ?? '', /FFMPEG_PATH/)
  } finally {
    if (before === undefined) delete process.env['FFMPEG_PATH']
    else process.env['FFMPEG_PATH'] = before
  }
})

test.serial('an ffmpeg for which no pipe can be made is one that can’t be started', async t => {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = '/nonexistent'
  const open = async () => {
    const memory = Buffer.alloc(1)
    const { reader, writeFd } = await openPipe(
      () => memory,
      () => true,
    )
    reader.destroy()
    closeSync(writeFd)
  }
  try {
    await open().catch(() => {}) // it may have been made ahead
    const error = await t.throwsAsync(open(), { instanceOf: Failure })
    t.is(error?.reason, 'SpawnFailed')
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  }
})

test('an ffmpeg that stands still is ended all the same', async t => {
  const running = Promise.withResolvers<void>() // until it has a handler for SIGTERM, that ends it even where it stands still
  const onLine = (line: string) => line.includes('Output #0') && running.resolve()
  const ffmpeg = await runFfmpeg(['-re', '-f', 'lavfi', '-i', 'testsrc2', '-f', 'null', '-'], { onLine })
  await running.promise
  process.kill(ffmpeg.pid, 'SIGSTOP')
  const from = performance.now()
  const [one, two] = await Promise.all([ffmpeg.stop(), ffmpeg.stop()])
  t.is(one.signal, 'SIGKILL')
  t.is(one, two)
  t.true(performance.now() - from < 9000)
  t.false(descendants().some(({ pid }) => pid === ffmpeg.pid))
})

test('memory is used again once all who hold what is in it have let go of it, and by nobody while one may still read', t => {
  const memory = new PictureMemory()
  const first = memory.take(100)
  const lease = memory.lease(first)
  lease.hold()
  lease.release()
  t.not(memory.take(100), first)
  lease.release()
  t.is(memory.take(100), first)
  const forfeit = memory.lease(first)
  forfeit.hold()
  forfeit.forfeit()
  forfeit.release()
  t.not(memory.take(100), first)
})

test('memory of another size is not used, and not kept', t => {
  const memory = new PictureMemory()
  const small = memory.take(10)
  memory.give(small)
  t.is(memory.take(20).length, 20)
  t.not(memory.take(10), small)
})

test('ticks become seconds and milliseconds by one multiplication and one division, which keeps whole ones whole', t => {
  t.is(ticksToMs(90_090, [1, 90_000]), 1001)
  t.is(ticksToMs(2 ** 40, [1, 1000]), 2 ** 40)
  t.is(ticksToSeconds(1, [1001, 30_000]), 1001 / 30_000)
  t.is(secondsToTicks(2, [1, 90_000]), 180_000)
  t.is(secondsToTicks(1, [1001, 30_000]), 30) // 29.97: at least as long
})

test('a decoder gives way, in all its threads, to the process that started it', async t => {
  const source = ['-re', '-f', 'lavfi', '-i', 'testsrc2', '-f', 'null', '-']
  await using ffmpeg = await runFfmpeg(source, { reach: 'sealed', onLine: () => {} })
  const niceness = () =>
    readdirSync(`/proc/${ffmpeg.pid}/task`).map(thread => {
      const stat = readFileSync(`/proc/${ffmpeg.pid}/task/${thread}/stat`, 'utf8')
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
    })
  await until(() => niceness().length > 2, { what: 'threads of ffmpeg' })
  t.deepEqual([...new Set(niceness())], [Math.min(19, getPriority() + 5)])
})

test('small frames that are read before they are described come whole, also as more of them are read in between', async t => {
  const size = 30_000
  const frames = Array.from({ length: 12 }, (_, i) => Buffer.alloc(size, i + 1))
  const reader = new FrameReader({ head: 32, tail: 8 }, () => size)
  const read: string[] = []
  reader.onPicture = ({ pts }, buffer) => {
    read.push(`${pts} ${frames[pts]?.equals(buffer.subarray(32, 32 + size))}`)
    return true
  }
  const { writeFd } = await reader.open()
  let written = 0
  const writing = (async () => {
    for (const frame of frames) for (let at = 0; at < size; written += 1) at += (await write(writeFd, frame, at)).bytesWritten
    closeSync(writeFd)
  })()
  // What the reader takes, and what the pipe holds behind it.
  await until(() => written >= 4, { what: 'frames in the pipe' })
  for (const pts of frames.keys()) {
    reader.describe({ pts, width: 100, height: 100, key: true, type: 'I' })
    await until(() => read.length > pts, { what: `frame ${pts}` })
  }
  t.deepEqual(
    read,
    frames.map((_, pts) => `${pts} true`),
  )
  await writing
  await reader.ended
})
