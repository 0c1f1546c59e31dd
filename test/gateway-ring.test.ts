import { Metadata } from '@grpc/grpc-js'
import test from 'ava'
import { Registry } from 'prom-client'
import { ClientCursors, read as readAt, type Choice, type Position } from '../gateway/frames/cursor.ts'
import { Wishes } from '../gateway/frames/demand.ts'
import { createMetrics } from '../gateway/metrics.ts'
import { Ring } from '../gateway/frames/ring.ts'
import { LatestImages, type LatestImageParts } from '../gateway/rpc/latest-image.ts'
import { RenditionFrames } from '../gateway/frames/rendition-frames.ts'
import { MemoryBudget } from '../gateway/memory-budget.ts'
import { Unsent } from '../gateway/frames/unsent.ts'
import { FULL_BGR24, IMAGE_KEY } from '../proto/rendition.ts'
import { cameraRecord } from './fixtures/cameras.ts'
import { liveFrame } from './fixtures/live-frame.ts'

const KIB = 1024

const frame = (seq: number, { key = false, bytes = KIB } = {}) =>
  liveFrame({ index: seq, timestamp: seq, key, message: Buffer.alloc(bytes) })

/** At a time by both clocks. */
const read = (ring: Ring, position: Position | undefined, keyframesOnly: boolean, nowMs: number, choice: Partial<Choice> = {}) =>
  readAt(ring, position, { newest: false, keyframesOnly, ...choice }, { ms: nowMs, unixMs: nowMs })

/** A ring into which frames 0 … count-1 have come, one a millisecond, every `gop`th a keyframe if there is to be any. */
function filled(count: number, { gop = 0, bytesMax = 1000 * KIB } = {}): Ring {
  const ring = new Ring(bytesMax)
  for (let seq = 0; seq < count; seq++) ring.push(frame(seq, { key: gop > 0 && seq % gop === 0 }), seq)
  return ring
}

/** What a client that asks again and again gets, until there is nothing more. */
function readAll(ring: Ring, position: Position | undefined, keyframesOnly: boolean, nowMs: number) {
  const seqs: number[] = []
  let missed = 0
  for (;;) {
    const reading = read(ring, position, keyframesOnly, nowMs)
    position = reading.position
    missed += reading.missed
    if (reading.frame === undefined) return { seqs, missed, position }
    seqs.push(reading.frame.index)
  }
}

test('a client that just came starts at the newest frame', t => {
  t.deepEqual(readAll(filled(7), undefined, false, 7).seqs, [6])
})

test('a client that keeps up gets every frame once and in order', t => {
  const ring = filled(1)
  let { position } = readAll(ring, undefined, false, 1)
  const seen: number[] = []
  for (let seq = 1; seq < 100; seq++) {
    ring.push(frame(seq), seq)
    if (seq % 7 !== 0) continue
    const got = readAll(ring, position, false, seq)
    position = got.position
    seen.push(...got.seqs)
    t.is(got.missed, 0)
  }
  t.deepEqual(
    seen,
    Array.from({ length: 98 }, (_, i) => i + 1),
  )
})

test('a client that came before the first frame misses none of the ten that follow', t => {
  const ring = new Ring(1000 * KIB)
  const { position } = read(ring, undefined, false, 0)
  for (let seq = 0; seq < 10; seq++) ring.push(frame(seq), seq)
  const { seqs, missed } = readAll(ring, position, false, 10)
  t.deepEqual(seqs, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  t.is(missed, 0)
})

test('a client that fell behind the ring goes on at the newest, and is told how many it missed', t => {
  const ring = filled(1)
  const { position } = readAll(ring, undefined, false, 1)
  for (let seq = 1; seq <= 11; seq++) ring.push(frame(seq), seq)
  const { seqs, missed } = readAll(ring, position, false, 12)
  t.deepEqual(seqs, [11])
  t.is(missed, 10)
})

test('reading takes nothing from other clients', t => {
  const ring = filled(5)
  t.deepEqual(readAll(ring, undefined, false, 5).seqs, [4])
  t.deepEqual(readAll(ring, undefined, false, 5).seqs, [4])
})

test('whoever wants keyframes only gets each of them, long after the ring has passed it', t => {
  const ring = new Ring(1000 * KIB)
  let position: Position | undefined
  const seen: number[] = []
  for (let seq = 0; seq < 300; seq++) {
    ring.push(frame(seq, { key: seq % 60 === 0 }), seq * 33)
    if (seq % 50 !== 49) continue // asks every 1.6 s, keyframes come every 2 s
    const got = readAll(ring, position, true, seq * 33)
    position = got.position
    seen.push(...got.seqs)
    t.is(got.missed, 0)
  }
  t.deepEqual(seen, [0, 60, 120, 180, 240])
})

test('keyframes that came faster than they were asked for are counted as missed', t => {
  const ring = filled(1, { gop: 1 })
  const { position } = readAll(ring, undefined, true, 1)
  for (let seq = 1; seq <= 30; seq++) ring.push(frame(seq, { key: true }), seq)
  const { seqs, missed } = readAll(ring, position, true, 31)
  t.deepEqual(seqs, [30])
  t.is(missed, 29)
})

test('keyframes that are all still there are given in order', t => {
  const ring = filled(1, { gop: 1 })
  const { position } = readAll(ring, undefined, true, 1)
  for (let seq = 1; seq <= 8; seq++) ring.push(frame(seq, { key: seq % 2 === 0 }), seq)
  t.deepEqual(readAll(ring, position, true, 9).seqs, [2, 4, 6, 8])
})

test('a client may change between keyframes and all frames and gets none twice', t => {
  const ring = filled(5, { gop: 2 })
  const first = read(ring, undefined, true, 5)
  t.is(first.frame?.index, 4)
  t.is(read(ring, first.position, false, 5).frame, undefined)
  ring.push(frame(5), 5)
  ring.push(frame(6, { key: true }), 6)
  const second = read(ring, first.position, false, 7)
  t.is(second.frame?.index, 5)
  t.is(read(ring, second.position, true, 7).frame?.index, 6)
})

for (const { title, keyframesOnly, ageMs, given } of [
  { title: 'a frame of 2.9 s is given to a newcomer', keyframesOnly: false, ageMs: 2_900, given: true },
  { title: 'a frame of 3.1 s is not given to a newcomer', keyframesOnly: false, ageMs: 3_100, given: false },
  { title: 'a keyframe of 14 s is given to a newcomer who wants keyframes', keyframesOnly: true, ageMs: 14_000, given: true },
  { title: 'a keyframe of 15.1 s is given to nobody', keyframesOnly: true, ageMs: 15_100, given: false },
]) {
  test(title, t => {
    t.deepEqual(readAll(filled(1, { gop: 1 }), undefined, keyframesOnly, ageMs).seqs, given ? [0] : [])
  })
}

test('a frame that a known client left for 15 s is stale for it too', t => {
  const ring = filled(1)
  const { position } = readAll(ring, undefined, false, 1)
  ring.push(frame(1), 100)
  t.deepEqual(readAll(ring, position, false, 15_200).seqs, [])
  t.is(ring.depth, 0)
  t.is(ring.bytes, 0)
  ring.push(frame(2), 15_300)
  t.deepEqual(readAll(ring, position, false, 15_300).seqs, [2])
})

test('a position in one ring is worth nothing in another', t => {
  const { position } = readAll(filled(9), undefined, false, 9)
  t.deepEqual(readAll(filled(3), position, false, 3).seqs, [2])
})

test('a ring holds at most ten frames', t => {
  const ring = filled(1000)
  t.is(ring.depth, 10)
  t.is(ring.bytes, 10 * KIB)
})

test('a ring’s bytes are bounded, the keyframe kept apart included', t => {
  const ring = new Ring(5 * KIB)
  for (let seq = 0; seq < 100; seq++) {
    ring.push(frame(seq, { key: seq % 10 === 0 }), seq)
    t.true(ring.bytes <= 5 * KIB)
  }
  t.is(ring.depth, 4)
  t.is(ring.newest(true)?.frame.index, 90)
  t.is(ring.bytes, 5 * KIB)
})

test('the newest frame is held even where it alone exceeds the bound', t => {
  const ring = new Ring(KIB)
  ring.push(frame(0, { key: true, bytes: 5 * KIB }), 0)
  ring.push(frame(1, { bytes: 7 * KIB }), 1)
  t.is(ring.depth, 1)
  t.is(ring.bytes, 7 * KIB)
  t.is(ring.newest(false)?.frame.index, 1)
  t.is(ring.newest(true), undefined)
})

test('bytes are neither lost nor counted twice, whatever comes', t => {
  const ring = new Ring(20 * KIB)
  for (let seq = 0; seq < 2_000; seq++) {
    ring.push(frame(seq, { key: (seq * 7919) % 13 < 3, bytes: ((seq * 31) % 9) * KIB }), seq * 400)
    if (seq % 17 === 0) ring.expire(seq * 400)
  }
  ring.expire(1e9)
  t.is(ring.bytes, 0)
})

test('a cursor is forgotten after a minute without use', t => {
  const cursors = new ClientCursors()
  const ring = filled(3)
  cursors.of('a', 'camera', 0).position = read(ring, undefined, false, 3).position
  t.not(cursors.of('a', 'camera', 59_000).position, undefined)
  t.is(cursors.of('a', 'camera', 120_000).position, undefined)
  cursors.expire(200_000)
  t.is(cursors.size, 0)
})

test('of too many cursors the one unused for longest goes first', t => {
  const cursors = new ClientCursors({ max: 3 })
  const first = cursors.of('a', 'camera', 0)
  const second = cursors.of('b', 'camera', 1)
  cursors.of('c', 'camera', 2)
  t.is(cursors.of('a', 'camera', 3), first)
  cursors.of('d', 'camera', 4)
  t.is(cursors.size, 3)
  t.is(cursors.of('a', 'camera', 5), first)
  t.not(cursors.of('b', 'camera', 6), second)
})

test('cursors of cameras and of clients are apart', t => {
  const cursors = new ClientCursors()
  t.not(cursors.of('a', 'camera', 0), cursors.of('a', 'other', 0))
  t.not(cursors.of('a', 'camera', 0), cursors.of('b', 'camera', 0))
})

test('all frames are wanted while anyone asked for all in the last ten seconds, then keyframes, then nothing', t => {
  const wish = new Wishes()
  const KEYFRAMES = { keyframesOnly: true, maxFps: undefined }
  const ALL = { keyframesOnly: false, maxFps: undefined }
  t.is(wish.wants(0), 'none')
  wish.ask(undefined, KEYFRAMES, 1_000)
  t.is(wish.wants(1_000), 'keyframes')
  wish.ask(undefined, ALL, 2_000)
  wish.ask(undefined, KEYFRAMES, 5_000)
  t.is(wish.wants(12_000), 'all')
  t.is(wish.wants(12_001), 'keyframes')
  t.is(wish.wants(15_000), 'keyframes')
  t.is(wish.wants(15_001), 'none')
})

test('of all rates that consumers ask for the highest counts, and a consumer’s earlier one does not', t => {
  const wish = new Wishes()
  const [one, other] = [{}, {}]
  t.true(wish.ask(one, { keyframesOnly: false, maxFps: 5 }, 0))
  t.true(wish.ask(other, { keyframesOnly: true, maxFps: 10 }, 0))
  t.is(wish.maxFps(1), 10)
  t.true(wish.ask(undefined, { keyframesOnly: false, maxFps: undefined }, 1))
  t.is(wish.maxFps(1), undefined)
  t.is(wish.maxFps(10_002), undefined)
  t.true(wish.ask(one, { keyframesOnly: false, maxFps: 2 }, 10_002))
  t.is(wish.maxFps(10_002), 2)
  wish.drop(one)
  t.is(wish.wants(10_002), 'none')
})

test('a request that waits when its camera is deleted is answered, and does not look again and again until its time is over', async t => {
  const record = cameraRecord({ namespace: 'default', name: 'door', uid: 'uid-door' })
  const known = { ref: record, uid: record.uid, deviceId: 'door', record, report: undefined, runningSince: 0 }
  const metrics = createMetrics(new Registry())
  const frames = new RenditionFrames({
    ...{ key: IMAGE_KEY, rendition: FULL_BGR24, camera: 'default/door', ringBytesMax: KIB, metrics, why: () => undefined },
  })
  let waits = 0
  const changed = frames.changed.bind(frames)
  frames.changed = (ms, signal) => {
    if (++waits === 1) setImmediate(() => frames.end())
    return changed(ms, signal)
  }
  const images = new LatestImages({
    ...{
      cursors: new ClientCursors(),
      metrics,
      unsent: new Unsent(KIB, new MemoryBudget(1e12), () => {}),
      emptyFrame: () => Buffer.from('empty'),
    },
    cameras: { resolve: () => known } as unknown as LatestImageParts['cameras'],
    frames: { ask: () => frames } as unknown as LatestImageParts['frames'],
  })
  const requests = (async function* () {
    yield { device_id: 'door', key_frame_only: false }
  })()
  const answers: string[] = []
  const caller = {
    metadata: new Metadata(),
    peer: 'somebody',
    signal: new AbortController().signal,
    cutOff: () => {},
    subject: undefined,
    uses: () => {},
    asks: () => {},
    keys: [],
  }
  for await (const answer of images.answer(requests, caller)) answers.push(answer.toString())
  t.deepEqual(answers, ['empty'])
  t.is(waits, 1)
})
