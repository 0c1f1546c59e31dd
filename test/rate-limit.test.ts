import test from 'ava'
import { RateLimit } from '../common/media/rate-limit.ts'

const camera = (fps: number, count: number, fromMs = 1_700_000_000_000) =>
  Array.from({ length: count }, (_, i) => fromMs + Math.round((i * 1000) / fps))
const taken = (times: readonly number[], maxFps: number, limit = new RateLimit()) => times.filter(time => limit.takes(time, maxFps))
const steps = (times: readonly number[]) => times.slice(1).map((time, i) => time - (times[i] ?? 0))

for (const [fps, maxFps] of [
  [30, 10],
  [30, 15],
  [29.97, 10],
  [25, 10],
  [15, 10],
  [30, 20],
  [30, 1],
  [30, 0.1],
  [15, 30],
] as const) {
  test(`of ${fps} frames a second at most ${maxFps} are taken, and there is one in any stretch of two periods`, t => {
    const seconds = 60
    const times = camera(fps, Math.round(fps * seconds)).map((time, i) => time + ((i * 7) % 5) - 2) // jitter
    const got = taken(times, maxFps)
    t.true(Math.abs(got.length - Math.min(fps, maxFps) * seconds) <= 1, `${got.length}`)
    t.true(Math.max(...steps(got)) <= 2000 / Math.min(fps, maxFps), `${Math.max(...steps(got))} ms`)
  })
}

test('frames that are taken have the same distance where the rate divides that of the camera, also out of order', t => {
  const times = camera(30, 600)
  // Groups of 30 as encoders make them with two B-frames: the reference comes before what is presented before it.
  const decoded = [...Array(20).keys()].flatMap(group => {
    const order = [0, ...[...Array(9).keys()].flatMap(i => [3 * i + 3, 3 * i + 1, 3 * i + 2]), 29, 28]
    return order.map(place => times[30 * group + place] ?? 0)
  })
  const got = taken(decoded, 5).map(time => times.indexOf(time))
  t.deepEqual([...new Set(steps(got))], [6])
})

test('a clock that is set back is no reason to leave frames out', t => {
  const limit = new RateLimit()
  t.true(taken(camera(30, 30), 10, limit).length > 8)
  t.true(taken(camera(30, 30, 1_600_000_000_000), 10, limit).length > 8)
})
