import test from 'ava'
import { retryDelayMs } from '../common/backoff.ts'

const delays = (count: number, random: () => number) => Array.from({ length: count }, (_, attempt) => retryDelayMs(attempt, random))

test('waits 1 s five times, 5 s five times, 10 s ten times, then 60 s for ever', t => {
  const expected = [...Array(5).fill(1_000), ...Array(5).fill(5_000), ...Array(10).fill(10_000), ...Array(5).fill(60_000)] as number[]
  t.deepEqual(
    delays(25, () => 0.5),
    expected,
  )
  t.is(
    retryDelayMs(1_000_000, () => 0.5),
    60_000,
  )
})

test('is off by a fifth at most, either way', t => {
  t.deepEqual(
    [0, 5, 10, 20].map(attempt => retryDelayMs(attempt, () => 0)),
    [800, 4_000, 8_000, 48_000],
  )
  t.deepEqual(
    [0, 5, 10, 20].map(attempt => retryDelayMs(attempt, () => 1)),
    [1_200, 6_000, 12_000, 72_000],
  )
  t.true(delays(100, Math.random).every((delayMs, attempt) => delayMs >= (attempt < 5 ? 800 : 4_000) && delayMs <= 72_000))
})
