// Where frames are to be decoded, and what that is decided by.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import test from 'ava'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { scaledSize } from '../common/media/scale.ts'
import { decodersMax } from '../gateway/config.ts'
import { decide, decoderWeight, KnownRate, rawRate, type Decision, type PlacementFacts } from '../gateway/frames/placement.ts'
import { decodingOf, Wishes } from '../sidecar/demand.ts'
import { cameraState } from './fixtures/cameras.ts'

const MB = 1e6
const FACTS: PlacementFacts = {
  placement: 'Auto',
  rawRate: 187 * MB,
  rawRateMax: 48 * MB,
  before: undefined,
  hasRenditions: false,
  hasPackets: true,
  hasDecoder: true,
  failedHere: false,
}

const CASES: [string, Partial<PlacementFacts>, Decision][] = [
  ['a large camera is decoded in the gateway', {}, 'Gateway'],
  ['a small one in its own pod', { rawRate: 41 * MB }, 'Sidecar'],
  ['the limit itself is still small', { rawRate: 48 * MB }, 'Sidecar'],
  ['one that has become a little smaller stays', { rawRate: 45 * MB, before: 'Gateway' }, 'Gateway'],
  ['one that has become much smaller goes back', { rawRate: 30 * MB, before: 'Gateway' }, 'Sidecar'],
  ['one that was small goes at the limit', { rawRate: 49 * MB, before: 'Sidecar' }, 'Gateway'],
  ['one whose size is not known is decoded in its own pod', { rawRate: undefined }, 'Sidecar'],
  ['a limit of nothing leaves nothing to the pods', { rawRate: 1, rawRateMax: 0 }, 'Gateway'],
  ['without a free decoder it is left to its own pod', { hasDecoder: false }, 'Sidecar'],
  ['as is one that could not be decoded in the gateway', { failedHere: true }, 'Sidecar'],
  ['and one whose packets are not published', { hasPackets: false }, 'Sidecar'],
  ['who asks for the sidecar gets it whatever the size', { placement: 'Sidecar' }, 'Sidecar'],
  ['who asks for the gateway gets it whatever the size', { placement: 'Gateway', rawRate: 1 }, 'Gateway'],
  ['even before the size is known', { placement: 'Gateway', rawRate: undefined }, 'Gateway'],
  ['even when it failed', { placement: 'Gateway', failedHere: true }, 'Gateway'],
  ['renditions are made in the gateway', { hasRenditions: true, placement: 'Sidecar' }, 'Gateway'],
  ['renditions do no harm to others without a free decoder', { hasRenditions: true, hasDecoder: false }, 'Sidecar'],
  ['or where decoding here failed', { hasRenditions: true, failedHere: true }, 'Sidecar'],
  ['who asks for the gateway is refused without a free decoder', { placement: 'Gateway', hasDecoder: false }, 'refused'],
  [
    'who asks for the gateway gets pictures all the same where no packets are published',
    { placement: 'Gateway', hasPackets: false },
    'Sidecar',
  ],
]
for (const [title, facts, expected] of CASES) {
  test(title, t => {
    t.is(decide({ ...FACTS, ...facts }), expected)
  })
}

const HD = { width: 1920, height: 1080 }
for (const [title, decoding, fps, expected] of [
  ['all of it', {}, 30, 1920 * 1080 * 3 * 30],
  ['scaled', { scale: '640:-2' }, 30, 640 * 360 * 3 * 30],
  ['thinned out', { maxFps: 5 }, 30, 1920 * 1080 * 3 * 5],
  ['slower than it may be', { maxFps: 60 }, 30, 1920 * 1080 * 3 * 30],
  ['keyframes only', { keyFramesOnly: true }, 30, 1920 * 1080 * 3],
  ['of a rate that is not known', {}, undefined, undefined],
  ['of a scale that can’t be read', { scale: 'iw/oops:1' }, 30, undefined],
] as const) {
  test(`the rate of raw frames: ${title}`, t => {
    t.is(rawRate(HD, fps, { keyFramesOnly: false, placement: 'Auto', ...decoding }), expected)
  })
}

test('a camera of larger pictures than 1080p takes as much of the decoders as its pictures are larger', t => {
  const weights = [
    undefined,
    { width: 640, height: 360 },
    HD,
    { width: 1936, height: 1096 },
    { width: 2560, height: 1440 },
    { width: 3840, height: 2160 },
  ]
  t.deepEqual(weights.map(decoderWeight), [1, 1, 1, 1, 2, 4])
})

test('cameras are decoded by four to a core, as far as there is memory when all else has taken what it may', t => {
  const GIB = 2 ** 30
  const besides = { unsentBytesMax: GIB / 2, bufferedReadsMax: 8 }
  t.is(decodersMax(24 * GIB, 2, besides), 8)
  t.is(decodersMax(4 * GIB, 2, besides), 7)
  t.is(decodersMax(4 * GIB, 2, { ...besides, bufferedReadsMax: 4 }), 8)
  t.is(decodersMax(GIB / 2, 4, besides), 1)
})

test('a camera’s rate is remembered while it connects anew', t => {
  const rate = new KnownRate()
  t.is(rate.fps, undefined)
  const at = 1_000_000
  const camera = { namespace: 'a', name: 'b', uid: 'c' }
  rate.learn(cameraState(camera, { at, epoch: at - 500, fps: 3 }))
  t.is(rate.fps, 3) // better than nothing
  rate.learn(cameraState(camera, { at, epoch: at - 6000, fps: 30 }))
  rate.learn(cameraState(camera, { at, epoch: at - 500, fps: 4 }))
  rate.learn(cameraState(camera, { at, epoch: at - 60_000, fps: 0, connection: 'waiting' }))
  t.is(rate.fps, 30)
})

for (const scale of [
  '640:-2',
  '-2:360',
  '-1:100',
  'iw/2:ih/2',
  '0:0',
  '-1:-1',
  'oh*a:100',
  '100:ow/a',
  'trunc(iw/3):-4',
  '(iw+ih)/4:2*(8-3)',
  'iw:-16',
]) {
  test(`a picture scaled to ${scale} has the size that ffmpeg makes of it`, async t => {
    const size = { width: 322, height: 182 }
    const args = ['-nostdin', '-hide_banner', '-f', 'lavfi', '-i', `color=size=${size.width}x${size.height}`, '-frames:v', '1']
    const { stderr } = await promisify(execFile)(ffmpegPath(process.env), [...args, '-vf', `scale=${scale},showinfo`, '-f', 'null', '-'])
    const [, width, height] = / s:(\d+)x(\d+) /.exec(stderr) ?? []
    t.deepEqual(scaledSize(scale, size), { width: Number(width), height: Number(height) })
  })
}

test('what is no scale has no size', t => {
  for (const scale of ['', ':', '1', '1:2:3', 'iw:', 'iw(:2', 'ow:oh', '1 2:3', 'abs 2:3', '(1:2', '1/0-1/0:2'])
    t.is(scaledSize(scale, HD), undefined, scale)
})

test('gateways that decode by themselves want nothing of the sidecar, which tells how they fare', t => {
  const wishes = new Wishes()
  wishes.note({ v: 1, gateway: 'a', wants: 'none', decoding: { active: true, ok: true } }, 0)
  t.is(wishes.union(0), 'none')
  t.deepEqual(wishes.elsewhere(), { active: true, ok: true })
  wishes.note({ v: 1, gateway: 'b', wants: 'all' }, 1000)
  t.is(wishes.union(1000), 'all')
  wishes.note({ v: 1, gateway: 'c', wants: 'none', decoding: { active: false, ok: false, reason: 'DecodersBusy' } }, 1000)
  t.is(wishes.elsewhere()?.reason, 'DecodersBusy')
  wishes.note({ v: 1, gateway: 'c', wants: 'none' }, 1000)
  t.is(wishes.elsewhere()?.ok, true)
  t.is(wishes.union(5500), 'all')
  t.is(wishes.elsewhere(), undefined) // it fell silent
})

test('of decoding here and elsewhere, what is wrong is told first', t => {
  const idle = { active: false, ok: true }
  const busy = { active: true, ok: true }
  const broken = { active: false, ok: false, reason: 'NoDecodableFrames' as const }
  t.deepEqual(decodingOf(idle, undefined), idle)
  t.deepEqual(decodingOf(idle, busy), busy)
  t.deepEqual(decodingOf(busy, idle), busy)
  t.deepEqual(decodingOf(busy, broken), broken)
  t.deepEqual(decodingOf(broken, busy), broken)
})
