import test from 'ava'
import { Thinning } from '../common/media/thinning.ts'

const taken = (thinning: Thinning, times: readonly number[]) => times.filter(time => thinning.takes(time))
const camera = (fps: number, count: number, fromMs = 1_700_000_000_000) =>
  Array.from({ length: count }, (_, i) => fromMs + Math.round((i * 1000) / fps))

test('all pictures are taken until it is told how many are enough, and again when it is told no more', t => {
  const thinning = new Thinning()
  const times = camera(30, 90)
  t.deepEqual(taken(thinning, times.slice(0, 30)), times.slice(0, 30))
  thinning.fps = 10
  t.true(Math.abs(taken(thinning, times.slice(30, 60)).length - 10) <= 1)
  thinning.fps = undefined
  t.deepEqual(taken(thinning, times.slice(60)), times.slice(60))
})

for (const [fps, enough] of [
  [30, 10],
  [30, 15],
  [29.97, 10],
  [25, 10],
  [15, 10],
  [30, 20],
] as const) {
  test(`${enough} of ${fps} pictures a second are taken, and there is one in any stretch of two periods`, t => {
    const thinning = new Thinning()
    thinning.fps = enough
    const times = camera(fps, Math.round(fps * 20)).map((time, i) => time + ((i * 7) % 5) - 2) // jitter
    const got = taken(thinning, times)
    t.true(Math.abs(got.length - enough * 20) <= 1, `${got.length}`)
    const steps = got.slice(1).map((time, i) => time - (got[i] ?? 0))
    t.true(Math.max(...steps) <= 2000 / enough, `${Math.max(...steps)} ms`)
  })
}

test('as many are taken of pictures that come out of order', t => {
  const thinning = new Thinning()
  thinning.fps = 10
  const times = camera(30, 600)
  // Each fourth before the three that are presented before it.
  const decoded = times.map((_, i) => times[i % 4 === 1 ? i + 3 : i % 4 === 0 ? i : i - 1] ?? times.at(-1) ?? 0)
  const got = taken(thinning, [...new Set(decoded)]).toSorted((a, b) => a - b)
  t.true(Math.abs(got.length - 200) <= 2, `${got.length}`)
  t.true(Math.max(...got.slice(1).map((time, i) => time - (got[i] ?? 0))) <= 200)
})

test('a picture that has been taken is no reason to leave out those before a jump back in time', t => {
  const thinning = new Thinning()
  thinning.fps = 10
  t.is(taken(thinning, camera(30, 30)).length > 8, true)
  t.is(taken(thinning, camera(30, 30, 1_600_000_000_000)).length > 8, true)
})
