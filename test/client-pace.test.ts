// Which clients count as slower than their camera, and how old the frames are that they get: a camera, a ring and its clients in a time of
// their own, a step a millisecond.
import test from 'ava'
import { found, newCursor, read } from '../gateway/frames/cursor.ts'
import { Ring } from '../gateway/frames/ring.ts'
import { liveFrame } from './fixtures/live-frame.ts'

const WAIT_MS = 48
type Answer = { atMs: number; index: number | undefined; ageMs: number }
type Client = {
  /** When it asks next, given when it asked and was answered. */
  next: (askedMs: number, answeredMs: number) => number
  fromMs?: number
}

/** `firstMs`: when the first frame comes, after the clients began to ask. `decodeMs`: from capture to the ring. */
function simulate(clients: readonly Client[], untilMs: number, { fps = 15, decodeMs = 12, firstMs = 300 } = {}) {
  const ring = new Ring(2 ** 30)
  const runs = clients.map(({ next, fromMs = 0 }) => ({
    ...{ next, askMs: fromMs, askedMs: fromMs, isWaiting: false, answers: [] as Answer[], cursor: newCursor() },
  }))
  for (let nowMs = 0, index = 0; nowMs < untilMs; nowMs++) {
    if (nowMs >= firstMs + decodeMs + (index * 1000) / fps) {
      ring.push(liveFrame({ index, timestamp: Math.round(firstMs + (index * 1000) / fps) }), nowMs)
      index++
    }
    for (const run of runs) {
      if (nowMs < run.askMs) continue
      const { cursor } = run
      if (!run.isWaiting) {
        run.askedMs = nowMs
        cursor.pace.asked(found(ring, cursor.position, false, nowMs), nowMs)
      }
      const reading = read(ring, cursor.position, { newest: cursor.pace.isSlow, keyframesOnly: false }, { ms: nowMs, unixMs: nowMs })
      cursor.position = reading.position
      run.isWaiting = reading.frame === undefined && nowMs - run.askedMs < WAIT_MS
      if (run.isWaiting) continue
      cursor.pace.answered(reading.frame !== undefined, nowMs)
      const { frame } = reading
      run.answers.push({ atMs: nowMs, index: frame?.index, ageMs: nowMs - (frame?.timestamp ?? NaN) })
      run.askMs = Math.max(nowMs + 1, run.next(run.askedMs, nowMs))
    }
  }
  return runs.map(({ answers }) => answers.filter(({ index }) => index !== undefined))
}

/** Asks so many times a second, with some jitter. */
const rate = (perSecond: number, jitterMs = 0) => {
  let turn = 0
  return (askedMs: number) => Math.round(askedMs + 1000 / perSecond + (jitterMs === 0 ? 0 : ((turn++ * 7919) % (2 * jitterMs)) - jitterMs))
}
/** Asks again as soon as it has dealt with an answer. */
const after = (ms: number) => (_: number, answeredMs: number) => answeredMs + ms

/** Frames left out between the first and the last that it got. */
function missed(answers: readonly Answer[] = []): number {
  const indices = answers.flatMap(({ index }) => index ?? [])
  return (indices.at(-1) ?? 0) - (indices[0] ?? 0) + 1 - indices.length
}

function ages(answers: readonly Answer[] = []) {
  const sorted = answers.map(({ ageMs }) => ageMs).toSorted((a, b) => a - b)
  return { p95: sorted[Math.floor(sorted.length * 0.95)] ?? NaN, max: sorted.at(-1) ?? NaN }
}

for (const [fps, perSecond] of [
  [15, 14],
  [15, 10],
  [15, 5],
  [15, 2],
  [15, 0.5],
  [5, 4],
  [5, 2],
  [30, 20],
  [30, 5],
] as const) {
  test(`a client that takes ${perSecond} frames a second of ${fps} gets none older than two intervals, from its first one on`, t => {
    const answers = simulate([{ next: rate(perSecond, 8) }, { next: after(3) }, { next: rate(perSecond), fromMs: 5_037 }], 60_000, { fps })
    for (const each of [answers[0], answers[2]]) {
      const { p95, max } = ages(each)
      t.true((each?.length ?? 0) > 0.8 * 50 * perSecond, `${each?.length}`)
      t.true(p95 <= 1000 / fps + 40, `p95 ${p95}`)
      t.true(max <= 2000 / fps + 60, `max ${max}`)
    }
    t.is(missed(answers[1]), 0)
  })
}

test('a client that keeps up gets every frame, also after pauses of half a second', t => {
  const hiccup = (_: number, answeredMs: number) => answeredMs + (answeredMs % 3_000 < 40 ? 500 : 20)
  for (const next of [hiccup, after(1), after(30), after(60)]) {
    const [answers] = simulate([{ next }], 60_000)
    t.is(missed(answers), 0)
    t.true((answers?.length ?? 0) > 870)
  }
})

test('a client that becomes slow gets the newest frames, and every frame when it is fast again', t => {
  const isSlow = (ms: number) => ms > 10_000 && ms < 20_000
  const [answers = []] = simulate([{ next: (_, answeredMs) => answeredMs + (isSlow(answeredMs) ? 200 : 5) }], 40_000)
  const slow = answers.filter(({ atMs }) => atMs > 11_000 && atMs < 20_000)
  t.true(ages(slow).max <= 2000 / 15 + 60, `${ages(slow).max}`)
  t.is(missed(answers.filter(({ atMs }) => atMs < 10_000)), 0)
  t.is(missed(answers.filter(({ atMs }) => atMs > 21_000)), 0)
})
