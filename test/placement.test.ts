// Where frames are to be decoded, and what that is decided by.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import test from 'ava'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { scaledSize } from '../common/media/scale.ts'
import { decodersMax, memoryMax } from '../gateway/config.ts'
import { MemoryBudget, ringsPart } from '../gateway/memory-budget.ts'
import { Admission, type Takes } from '../gateway/frames/admission.ts'
import {
  decide,
  decoderWeight,
  KnownRate,
  rawRate,
  type Decision,
  type PlacementFacts,
  type Room,
  type Where,
} from '../gateway/frames/placement.ts'
import { decodingOf, Wishes } from '../sidecar/demand.ts'
import { FULL_BGR24, imageDemand, renditionKey, type Rendition } from '../proto/rendition.ts'
import { OtherWishes } from '../gateway/frames/other-gateways.ts'
import { demandSubject } from '../proto/subjects.ts'
import { cameraState } from './fixtures/cameras.ts'

const MB = 1e6
const GIB = 2 ** 30
const FACTS: PlacementFacts = {
  placement: 'Auto',
  rawRate: 187 * MB,
  rawRateMax: 48 * MB,
  before: undefined,
  others: 1,
  hasRenditions: false,
  hasImage: true,
  hasPackets: true,
  here: 'all',
  raw: 'all',
  failedHere: false,
}

const SOME = { maxFps: 7 }
const CASES: [string, Partial<PlacementFacts>, Where | 'refused', Room?][] = [
  ['a large camera is decoded in the gateway', {}, 'Gateway'],
  ['a small one that other gateways want too in its own pod', { rawRate: 41 * MB }, 'Sidecar'],
  ['a small one that this gateway alone wants in the gateway', { rawRate: 1 * MB, others: 0 }, 'Gateway'],
  ['the limit itself is still small', { rawRate: 48 * MB }, 'Sidecar'],
  ['one that has become a little smaller stays', { rawRate: 45 * MB, before: 'Gateway' }, 'Gateway'],
  ['one that has become much smaller goes back', { rawRate: 30 * MB, before: 'Gateway' }, 'Sidecar'],
  ['one that was small goes at the limit', { rawRate: 49 * MB, before: 'Sidecar' }, 'Gateway'],
  ['one whose size is not known is decoded in its own pod', { rawRate: undefined }, 'Sidecar'],
  ['a limit of nothing leaves nothing to the pods', { rawRate: 1, rawRateMax: 0 }, 'Gateway'],
  ['without a free decoder it gives fewer frames from its own pod', { here: 'none', raw: SOME }, 'Sidecar', SOME],
  ['which are more than keyframes', { here: 'keyframes', raw: SOME }, 'Sidecar', SOME],
  ['keyframes are better than nothing', { here: 'keyframes', raw: 'none' }, 'Gateway', 'keyframes'],
  ['what is too large to be moved is refused without a free decoder', { here: 'none', raw: 'none' }, 'refused'],
  ['a small one goes to the gateway when too much is moved', { rawRate: MB, raw: SOME }, 'Gateway'],
  ['one that could not be decoded in the gateway is left to its own pod', { failedHere: true }, 'Sidecar'],
  ['unless it is too large to be moved', { failedHere: true, raw: 'none' }, 'Gateway'],
  ['one whose packets are not published is left to its own pod', { hasPackets: false }, 'Sidecar'],
  ['or refused when it is too large to be moved', { hasPackets: false, raw: 'none' }, 'refused'],
  ['who asks for the sidecar gets it up to what is moved', { placement: 'Sidecar' }, 'Sidecar'],
  ['and fewer frames beyond', { placement: 'Sidecar', raw: SOME }, 'Sidecar', SOME],
  ['and the gateway for frames that are too large to be moved', { placement: 'Sidecar', raw: 'none' }, 'Gateway'],
  ['who asks for the gateway gets it whatever the size', { placement: 'Gateway', rawRate: 1 }, 'Gateway'],
  ['even before the size is known', { placement: 'Gateway', rawRate: undefined }, 'Gateway'],
  ['even when it failed', { placement: 'Gateway', failedHere: true }, 'Gateway'],
  ['renditions are made in the gateway', { hasRenditions: true, placement: 'Sidecar' }, 'Gateway'],
  ['renditions do no harm to others without a free decoder', { hasRenditions: true, here: 'none', rawRate: MB }, 'Sidecar'],
  ['nor with room for keyframes alone', { hasRenditions: true, here: 'keyframes', rawRate: MB }, 'Sidecar'],
  [
    'which renditions get where nothing else is wanted',
    { hasRenditions: true, hasImage: false, here: 'keyframes' },
    'Gateway',
    'keyframes',
  ],
  ['renditions whose decoding here failed leave the frames to the pod', { hasRenditions: true, failedHere: true }, 'Sidecar'],
  ['who asks for the gateway is given keyframes there', { placement: 'Gateway', here: 'keyframes' }, 'Gateway', 'keyframes'],
  ['and refused without a free decoder', { placement: 'Gateway', here: 'none' }, 'refused'],
  [
    'who asks for the gateway gets pictures all the same where no packets are published',
    { placement: 'Gateway', hasPackets: false },
    'Sidecar',
  ],
]
for (const [title, facts, where, room = 'all'] of CASES) {
  test(title, t => {
    t.deepEqual(decide({ ...FACTS, ...facts }), where === 'refused' ? where : ({ where, room } as Decision))
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
    t.is(rawRate(HD, fps, [imageDemand({ keyFramesOnly: false, ...decoding }, 'all')]), expected)
  })
}

const asDemand = (change: Partial<Rendition>, maxFps?: number) => {
  const rendition = { ...FULL_BGR24, ...change }
  return { key: renditionKey(rendition), rendition, wants: 'all', maxFps } as const
}

test('the rate of all renditions that are wanted is their sum', t => {
  const demand = [
    asDemand({ width: 640 }, 5),
    asDemand({ width: 320, height: 180, format: 'GRAY8' }),
    asDemand({ height: 540, format: 'NV12' }),
  ]
  t.is(rawRate(HD, 30, demand), 640 * 360 * 3 * 5 + 320 * 180 * 30 + 960 * 540 * 1.5 * 30)
  t.is(rawRate(HD, 30, [asDemand({ region: { x: 0, y: 0, width: 100, height: 50 } })]), 100 * 50 * 3 * 30)
  t.true((rawRate(HD, 30, [asDemand({ format: 'JPEG' })]) ?? 0) < 1920 * 1080 * 30)
  t.is(rawRate(HD, 30, []), 0)
})

const CAMERA = { namespace: 'a', name: 'b' }

test('other gateways count that want small frames of the camera, as long as they say so', t => {
  const others = new OtherWishes('me')
  const say = (gateway: string, rate: number | undefined, nowMs = 0) =>
    others.note(demandSubject(CAMERA), { v: 1, gateway, wants: 'none', ...(rate === undefined ? {} : { rate }) }, nowMs)
  say('me', 1)
  say('small', 10)
  say('large', 1000)
  say('unknown', undefined)
  t.is(others.upTo(100, CAMERA, 0), 1)
  t.is(others.upTo(100, { namespace: 'a', name: 'other' }, 0), 0)
  say('small', undefined, 1)
  t.is(others.upTo(100, CAMERA, 1), 0)
  say('small', 10, 2)
  others.expire(6_000)
  t.is(others.upTo(100, CAMERA, 6_000), 0)
})

test('where gateways want more renditions than a pod makes, those whose names come first have them', t => {
  const wanted = (width: number) => ({ rendition: { ...rest, width }, wants: 'all' }) as const
  const { scale: _s, thinnedTo: _t, region: _r, ...rest } = FULL_BGR24
  const b = { v: 1, gateway: 'b', wants: 'none', renditions: [1, 2, 3, 4, 5].map(wanted) } as const
  const a = { v: 1, gateway: 'a', wants: 'none', renditions: [10, 2, 30, 40, 50].map(wanted) } as const
  const wishes = new Wishes()
  const others = new OtherWishes('b')
  for (const demand of [b, a]) {
    wishes.note({ ...demand, renditions: [...demand.renditions] }, 0)
    others.note(demandSubject(CAMERA), { ...demand, renditions: [...demand.renditions] }, 0)
  }
  t.deepEqual(
    wishes.union(0).renditions.map(({ rendition }) => rendition.width),
    [10, 2, 30, 40, 50, 1, 3, 4],
  )
  t.is(others.renditionsBefore(CAMERA, 0).length, 5)
})

test('of one rendition a pod makes what its most eager gateway wants', t => {
  const { scale: _s, thinnedTo: _t, region: _r, ...rendition } = FULL_BGR24
  const wishes = new Wishes()
  const says = (gateway: string, wish: { wants: 'all' | 'keyframes'; maxFps?: number }) =>
    wishes.note({ v: 1, gateway, wants: 'none', renditions: [{ rendition, ...wish }] }, 0)
  says('a', { wants: 'keyframes', maxFps: 1 })
  says('b', { wants: 'keyframes', maxFps: 5 })
  t.like(wishes.union(0).renditions, { length: 1, 0: { wants: 'keyframes', maxFps: 5 } })
  says('c', { wants: 'all' })
  t.like(wishes.union(0).renditions, { length: 1, 0: { wants: 'all', maxFps: undefined } })
})

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

const PLENTY = new MemoryBudget(1e12)
const HD_AT_30 = {
  codec: { name: 'h264', ...HD },
  fps: 30,
  decoding: { keyFramesOnly: false, placement: 'Auto' },
  wants: 'all',
  imageWants: 'all',
} as const
const UHD_AT_5 = { ...HD_AT_30, codec: { name: 'h264', width: 3840, height: 2160 }, fps: 5 } as const
const SMALL = { ...HD_AT_30, codec: { name: 'h264', width: 320, height: 192 }, fps: 25 } as const

test('decoders are shared by pixels a second: beyond them there is room for keyframes, and then for none', t => {
  const admission = new Admission({ decodersMax: 2, rawRateMax: 48 * MB }, PLENTY)
  t.is(admission.load(HD_AT_30, 'all'), 1)
  t.true(Math.abs(admission.load(UHD_AT_5, 'all') - 4 / 6) < 1e-6)
  t.is(admission.load(SMALL, 'all'), 1 / 8)
  const holdings = [HD_AT_30, UHD_AT_5].map(cost => {
    t.is(admission.here(cost, {}), 'all')
    return admission.decoders.enter(admission.load(cost, 'all'))
  })
  t.is(admission.here(SMALL, {}), 'all')
  t.is(admission.here(UHD_AT_5, {}), 'keyframes')
  t.is(admission.here(UHD_AT_5, { decoder: holdings[1] }), 'all') // what it has already is its own
  for (let i = 0; i < 3; i++) {
    t.is(admission.here(UHD_AT_5, {}), 'keyframes')
    admission.decoders.enter(admission.load(UHD_AT_5, 'keyframes'), true)
  }
  t.is(admission.here(UHD_AT_5, {}), 'none')
  t.is(admission.here(HD_AT_30, { decoder: holdings[0] }), 'all') // no keyframes take it away
  holdings[0]?.[Symbol.dispose]()
  t.is(admission.here(SMALL, {}), 'all')
})

test('each frame of MJPEG is a keyframe, and costs as much', t => {
  const admission = new Admission({ decodersMax: 1, rawRateMax: 0 }, PLENTY)
  const mjpeg = { ...HD_AT_30, codec: { name: 'mjpeg', ...HD } } as const
  t.is(admission.load(mjpeg, 'keyframes'), 1)
})

test('one camera is decoded whatever its size, unless none is to be', t => {
  const huge = { ...HD_AT_30, codec: { name: 'h264', width: 7200, height: 5408 } } as const
  t.is(new Admission({ decodersMax: 1, rawRateMax: 0 }, PLENTY).here(huge, {}), 'all')
  t.is(new Admission({ decodersMax: 0, rawRateMax: 0 }, PLENTY).here(huge, {}), 'none')
})

test('frames are moved by bytes a second, and none that is large against what NATS holds for a connection', t => {
  const admission = new Admission({ decodersMax: 2, rawRateMax: 48 * MB }, PLENTY)
  t.is(admission.sent(UHD_AT_5, {}), 'none')
  t.deepEqual(admission.sent(HD_AT_30, {}), { maxFps: 7 })
  t.is(admission.sent({ ...UHD_AT_5, decoding: { ...UHD_AT_5.decoding, scale: '1280:-2' } }, {}), 'all')
  t.is(admission.sent({ ...HD_AT_30, decoding: { ...HD_AT_30.decoding, placement: 'Sidecar' } }, {}), 'all')
  const small = Array.from({ length: 41 }, () => {
    t.is(admission.sent(SMALL, {}), 'all')
    return admission.raw.enter(admission.rate(SMALL, 'all'))
  })
  t.deepEqual(admission.sent(SMALL, {}), { maxFps: 16 }) // what is left of 192 MB/s
  t.is(admission.sent(SMALL, { raw: small[0] }), 'all')
})

test('renditions that camera pods make are moved up to what one camera may move, and the Image service’s frames count for themselves', t => {
  const admission = new Admission({ decodersMax: 2, rawRateMax: 48 * MB }, PLENTY)
  const [one, other]: [Takes, Takes] = [{}, {}]
  const cost = { ...UHD_AT_5, imageWants: 'none' } as const
  t.is(admission.sent(cost, one), 'all') // none of its frames are sent, however large
  t.true(admission.madeThere(12 * MB, one))
  t.false(admission.madeThere(13 * MB, one)) // more than its part of a link
  admission.take(one, cost, { where: 'Sidecar', room: 'all' }, 12 * MB)
  for (let i = 0; i < 3; i++) admission.take({}, cost, { where: 'Sidecar', room: 'all' }, 12 * MB)
  t.true(admission.madeThere(12 * MB, one))
  t.false(admission.madeThere(1 * MB, other))
  t.is(admission.raw.besides(undefined), 0)
  admission.take(one, cost, { where: 'Gateway', room: 'all' })
  t.true(admission.madeThere(12 * MB, other))
})

test('a camera that memory has no room for is refused with a sentence that says so', t => {
  const memory = new MemoryBudget(GIB / 2)
  const admission = new Admission({ decodersMax: 100, rawRateMax: 0 }, memory)
  const first = {}
  admission.take(first, HD_AT_30, { where: 'Gateway', room: 'all' })
  t.is(admission.here(HD_AT_30, {}), 'all')
  t.is(admission.here(UHD_AT_5, {}), 'none')
  t.is(admission.why(UHD_AT_5, {}), 'the gateway has no memory left for it: 512 MiB are shared by rings, decoders and reads')
  t.is(admission.sent({ ...HD_AT_30, decoding: { ...HD_AT_30.decoding, placement: 'Sidecar' } }, {}), 'all')
  admission.take(first, HD_AT_30, 'refused')
  t.is(memory.uses.decoders, 0)
})

test('rings shrink before anything is refused, all of them by the same part', t => {
  const memory = new MemoryBudget(GIB)
  t.is(memory.ringsMax, GIB)
  const decoders = memory.cameras.enter(GIB / 2)
  memory.unsent = GIB / 8
  t.is(memory.ringsMax, (GIB * 3) / 8)
  t.is(memory.unsentMax, GIB / 4)
  t.is(ringsPart(memory.ringsMax, memory.ringsMax), 1)
  t.is(ringsPart(4 * memory.ringsMax, memory.ringsMax), 1 / 4)
  t.false(memory.hasRoom(GIB / 2))
  t.true(memory.hasRoom(GIB / 4))
  t.true(memory.hasRoom(GIB / 2, decoders)) // what it has already is its own
  decoders[Symbol.dispose]()
  t.true(memory.hasRoom(GIB)) // a single one may take it all
})

test('of the memory limit three quarters are given out, less what the process itself needs', t => {
  t.is(memoryMax(4 * GIB), 2.75 * GIB)
  t.is(memoryMax(GIB / 4), GIB / 8)
  t.is(decodersMax(4), 8)
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
  t.is(wishes.union(0).wants, 'none')
  t.deepEqual(wishes.elsewhere(), { active: true, ok: true })
  wishes.note({ v: 1, gateway: 'b', wants: 'all' }, 1000)
  t.is(wishes.union(1000).wants, 'all')
  wishes.note({ v: 1, gateway: 'c', wants: 'none', decoding: { active: false, ok: false, reason: 'DecodersBusy' } }, 1000)
  t.is(wishes.elsewhere()?.reason, 'DecodersBusy')
  wishes.note({ v: 1, gateway: 'c', wants: 'none' }, 1000)
  t.is(wishes.elsewhere()?.ok, true)
  t.is(wishes.union(5500).wants, 'all')
  t.is(wishes.elsewhere(), undefined) // it fell silent
})

test('the sidecar gives as many frames as the gateway that wants most of them', t => {
  const wishes = new Wishes()
  wishes.note({ v: 1, gateway: 'a', wants: 'all', maxFps: 7 }, 0)
  t.like(wishes.union(0), { wants: 'all', maxFps: 7 })
  wishes.note({ v: 1, gateway: 'b', wants: 'keyframes', maxFps: 9 }, 0)
  wishes.note({ v: 1, gateway: 'c', wants: 'none', maxFps: 20 }, 0)
  t.like(wishes.union(0), { wants: 'all', maxFps: 9 })
  wishes.note({ v: 1, gateway: 'b', wants: 'all' }, 0)
  t.like(wishes.union(0), { wants: 'all', maxFps: undefined })
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
