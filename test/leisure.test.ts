// How fast clients take frames, and what follows: a camera, its decoder, the ring and its clients in a time of their own, a step a millisecond.
import test from 'ava'
import { Thinning } from '../common/media/thinning.ts'
import { read, type Position } from '../gateway/frames/cursor.ts'
import { Leisure } from '../gateway/frames/client-rate.ts'
import { Ring } from '../gateway/frames/ring.ts'

const WAIT_MS = 48
type Answer = { atMs: number; seq: number | undefined; ageMs: number }
type Client = {
  /** When it asks next, given when it asked and was answered. */
  next: (askedMs: number, answeredMs: number) => number
  fromMs?: number
}

/** `decodeMs`: from a packet to its frame. `tellMs`: until the decoder hears what is wanted. */
function simulate(clients: readonly Client[], untilMs: number, { fps = 30, decodeMs = 12, tellMs = 0 } = {}) {
  const leisure = new Leisure()
  const thinning = new Thinning()
  const ring = new Ring(2 ** 30)
  const told: { atMs: number; fps: number | undefined }[] = []
  const coming: { atMs: number; seq: number; capturedMs: number }[] = []
  const runs = clients.map(({ next, fromMs = 0 }) => ({
    ...{ next, askMs: fromMs, askedMs: fromMs, isWaiting: false, answers: [] as Answer[] },
    ...{ position: undefined as Position | undefined },
  }))
  const rates = new Set<number | undefined>()
  let unwanted = 0
  const say = (nowMs: number) => void told.push({ atMs: nowMs + tellMs, fps: leisure.fps })
  for (let nowMs = 0, seq = 0; nowMs < untilMs; nowMs++) {
    if (nowMs % 1_000 === 500) {
      leisure.settle(fps, nowMs)
      rates.add(leisure.fps)
      ring.share = leisure.share
      say(nowMs)
    }
    while (told[0] !== undefined && told[0].atMs <= nowMs) thinning.fps = told.shift()?.fps
    if (nowMs >= (seq * 1000) / fps) {
      if (thinning.takes(nowMs)) coming.push({ atMs: nowMs + decodeMs, seq, capturedMs: nowMs })
      else unwanted++
      seq++
    }
    while (coming[0] !== undefined && coming[0].atMs <= nowMs) {
      const { seq: number, capturedMs } = coming.shift() ?? { seq: 0, capturedMs: 0 }
      const frame = { epoch: 1, seq: number, timestamp: capturedMs, key: false, width: 1, height: 1, message: Buffer.alloc(1) }
      ring.push(frame, nowMs)
    }
    for (const run of runs) {
      if (nowMs < run.askMs) continue
      const reading = read(ring, run.position, false, nowMs)
      run.position = reading.position
      if (!run.isWaiting) {
        run.askedMs = nowMs
        if (leisure.asked(run, reading.frame !== undefined, nowMs)) {
          ring.share = leisure.share
          say(nowMs)
        }
      }
      run.isWaiting = reading.frame === undefined && nowMs - run.askedMs < WAIT_MS
      if (run.isWaiting) continue
      const { frame } = reading
      run.answers.push({ atMs: nowMs, seq: frame?.seq, ageMs: nowMs - (frame?.timestamp ?? NaN) })
      run.askMs = Math.max(nowMs + 1, run.next(run.askedMs, nowMs))
    }
  }
  return { answers: runs.map(({ answers }) => answers), unwanted, rates }
}

const every =
  (ms: number, jitterMs = 0) =>
  (askedMs: number) =>
    askedMs + ms + (jitterMs === 0 ? 0 : ((askedMs * 7) % (2 * jitterMs)) - jitterMs)
/** Asks anew as soon as it is answered. */
const atOnce = (_: number, answeredMs: number) => answeredMs + 3
const empty = (answers: readonly Answer[] = []) => answers.filter(({ seq, atMs }) => seq === undefined && atMs > 1_000).length
/** Frames left out between the first and the last that it got since. */
function missed(answers: readonly Answer[] = [], sinceMs: number): number {
  const seqs = answers.filter(({ atMs }) => atMs >= sinceMs).flatMap(({ seq }) => seq ?? [])
  return (seqs.at(-1) ?? 0) - (seqs[0] ?? 0) + 1 - seqs.length
}

for (const [where, delays] of [
  ['in the gateway', { decodeMs: 12, tellMs: 0 }],
  ['in the sidecar', { decodeMs: 20, tellMs: 3 }],
] as const) {
  test(`decoded ${where}: three clients that take 5 frames a second leave two thirds of the pictures, and get no empty answer`, t => {
    const clients = [0, 40, 130].map(fromMs => ({ next: every(200, 30), fromMs }))
    const { answers, unwanted, rates } = simulate(clients, 35_000, delays)
    t.deepEqual(rates, new Set([undefined, 10]))
    t.true(unwanted > 0.6 * 30 * 30, `${unwanted}`)
    for (const each of answers) {
      t.true(each.length > 160)
      t.is(empty(each), 0)
      t.true(Math.max(...each.slice(5).map(({ ageMs }) => ageMs)) < 450)
    }
  })

  test(`decoded ${where}: a client that takes one frame a second gets no empty answer, and its frames are fresh`, t => {
    const { answers, unwanted } = simulate([{ next: every(1_000) }], 35_000, delays)
    t.true(unwanted > 500)
    t.is(empty(answers[0]), 0)
    t.true(Math.max(...(answers[0] ?? []).slice(5).map(({ ageMs }) => ageMs)) < 150)
  })

  test(`decoded ${where}: a client that takes every frame gets every frame, whoever else is there`, t => {
    const { answers, unwanted } = simulate([{ next: atOnce }, { next: every(200) }, { next: every(1_000) }], 20_000, delays)
    t.is(unwanted, 0)
    t.is(missed(answers[0], 1_000), 0)
    for (const each of answers) t.is(empty(each), 0)
  })

  test(`decoded ${where}: a client that comes to one that takes 5 a second gets every frame from the next on`, t => {
    const { answers, unwanted } = simulate([{ next: every(200) }, { next: atOnce, fromMs: 15_020 }], 25_000, delays)
    t.true(unwanted > 100)
    t.true(missed(answers[1], 15_000) <= 2, `${missed(answers[1], 15_000)}`)
    t.is(missed(answers[1], 15_300), 0)
    for (const each of answers) t.is(empty(each), 0)
  })

  test(`decoded ${where}: a client that takes 5 a second and then all misses a frame or two, and is not kept waiting`, t => {
    for (let changeMs = 15_000; changeMs < 15_400; changeMs += 10) {
      const next = (askedMs: number, answeredMs: number) => (askedMs < changeMs ? Math.min(askedMs + 200, changeMs) : answeredMs + 3)
      const { answers, unwanted } = simulate([{ next }], 18_000, delays)
      t.true(unwanted > 100)
      t.is(empty(answers[0]), 0)
      const seqs = new Set(answers[0]?.map(({ seq }) => seq))
      const since = Array.from({ length: 60 }, (_, i) => Math.ceil((changeMs * 30) / 1000) + i)
      t.true(since.filter(seq => !seqs.has(seq)).length <= 1, `${since.filter(seq => !seqs.has(seq)).length}`)
    }
  })
}

test('a client that hastens, without having found nothing, is given all frames again', t => {
  const leisure = new Leisure()
  const client = {}
  for (let ms = 0; ms <= 5_000; ms += 200) t.false(leisure.asked(client, true, ms))
  leisure.settle(30, 5_100)
  t.is(leisure.fps, 10)
  t.true(leisure.asked(client, true, 5_020))
  t.is(leisure.fps, undefined)
  leisure.settle(30, 6_000)
  t.is(leisure.fps, undefined)
})

test('as many are enough as twice what the fastest client takes, unless that is nearly all', t => {
  for (const [everyMs, fps, enough] of [
    [1_000, 30, 10],
    [200, 30, 10],
    [125, 30, 15],
    [100, 30, 20],
    [80, 30, undefined],
    [200, 12, undefined],
    [200, undefined, undefined],
  ] as const) {
    const leisure = new Leisure()
    const [one, other] = [{}, {}]
    for (let ms = 0; ms <= 10_000; ms++) {
      if (ms % 1_500 === 0) leisure.asked(one, true, ms)
      if (ms % everyMs === 0) leisure.asked(other, true, ms)
    }
    leisure.settle(fps, 10_000)
    t.is(leisure.fps, enough, `every ${everyMs} ms of ${fps}`)
  }
})

test('who has gone, or has had to wait of late, or is one of too many, is told apart', t => {
  const leisure = new Leisure()
  const [one, other] = [{}, {}]
  leisure.asked(other, false, 0)
  const ask = (fromMs: number, toMs: number) => {
    for (let ms = fromMs; ms <= toMs; ms += 200) leisure.asked(one, true, ms)
  }
  ask(0, 9_000)
  leisure.settle(30, 9_000)
  t.is(leisure.fps, undefined)
  ask(9_200, 10_400)
  leisure.settle(30, 10_400)
  t.is(leisure.fps, 10)
  t.is(leisure.share, 10 / 30)
  t.true(leisure.asked(one, false, 10_600))
  t.is(leisure.share, 1)
  ask(10_800, 13_400)
  leisure.settle(30, 13_400)
  t.is(leisure.fps, undefined)
  ask(13_600, 13_800)
  leisure.settle(30, 13_800)
  t.is(leisure.fps, 10)
  const crowd = Array.from({ length: 1_000 }, () => ({}))
  t.true(leisure.asked({}, true, 13_900))
  for (let ms = 14_000; ms <= 19_000; ms += 500) for (const client of crowd) leisure.asked(client, true, ms)
  ask(14_000, 19_000)
  leisure.settle(30, 19_000)
  t.is(leisure.fps, undefined)
})
