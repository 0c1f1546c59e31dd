import test from 'ava'
import { runBefore, runFrom, Runs, runsIn, type Place } from '../gateway/past/runs.ts'
import { clipped, gapsBetween, without } from '../gateway/past/stretches.ts'

/** Capture times by sequence, from 1 on; undefined where a message tells nothing. */
async function found(times: readonly (number | undefined)[], stepMs: number) {
  let looks = 0
  const look = async (seq: number) => {
    looks++
    return times[seq - 1]
  }
  const ends = [1, times.length].map(seq => ({ seq, ms: times[seq - 1] ?? 0 }))
  const [first, last] = ends
  if (first === undefined || last === undefined) throw new Error('no times')
  return { gaps: await gapsBetween(first, last, stepMs, look), looks }
}

const every = (count: number, stepMs: number, fromMs = 0) => Array.from({ length: count }, (_, i) => fromMs + i * stepMs)

test('an hour without a gap is known from a few packets', async t => {
  const { gaps, looks } = await found(every(108_000, 1000 / 30), 1000 / 30)
  t.deepEqual(gaps, [])
  t.true(looks < 2_500, `${looks}`)
})

test('each gap is found, with its ends', async t => {
  const times = [...every(3_000, 40), ...every(500, 40, 200_000), ...every(7_000, 40, 223_000)]
  const { gaps } = await found(times, 40)
  t.deepEqual(gaps, [
    { fromMs: 119_960, toMs: 200_000 },
    { fromMs: 219_960, toMs: 223_000 },
  ])
})

test('a rate that changes, and messages that tell nothing, are no gaps', async t => {
  const times = [...every(1_000, 40), ...every(400, 500, 40_000), ...every(1_000, 40, 240_000)]
  const holes = times.map((ms, i) => (i % 7 === 3 ? undefined : ms))
  t.deepEqual((await found(holes, 40)).gaps, [])
})

test('a range is cut by gaps and by a window', t => {
  const ranges = without({ fromMs: 0, toMs: 100 }, [{ fromMs: 20, toMs: 50 }])
  t.deepEqual(ranges, [
    { fromMs: 0, toMs: 20 },
    { fromMs: 50, toMs: 100 },
  ])
  t.deepEqual(clipped(ranges, { fromMs: 10, toMs: 40 }), [{ fromMs: 10, toMs: 20 }])
})

/** Packets of epochs of ten each, which begin at these times. */
async function runsOf(begins: readonly number[], runs = new Runs()) {
  const places = begins.flatMap((ms, epoch) => every(10, 40, ms).map((at, i): Place => ({ seq: epoch * 10 + i + 1, ms: at, epoch })))
  let looks = 0
  const look = async (seq: number) => {
    looks++
    return places[seq - 1]
  }
  const [first, last] = [places[0], places.at(-1)] as [Place, Place]
  return { runs: await runs.of('stream', first, last, look), looks }
}

test('a run ends where the clock goes back, and only there', async t => {
  const { runs } = await runsOf([10_000, 20_000, 5_000, 6_000, 30_000, 29_000])
  t.deepEqual(
    runs.map(({ firstSeq, lastSeq, startMs, endMs }) => [firstSeq, lastSeq, startMs, endMs]),
    [
      [1, 20, 10_000, 20_360],
      [21, 50, 5_000, 30_360],
      [51, 60, 29_000, 29_360],
    ],
  )
  t.is(runBefore(runs, 20_000), runs[1])
  t.is(runBefore(runs, 29_100), runs[2])
  t.is(runBefore(runs, 99_000), runs[1])
  t.is(runBefore(runs, 4_000), undefined)
  t.is(runFrom(runs, 0), runs[0])
  t.is(runFrom(runs, 29_000), runs[2])
  t.is(runFrom(runs, 99_000), runs[2])
  t.deepEqual(runsIn(runs, { fromMs: 0, toMs: 8_000 }), [runs[1]])
})

test('what is known of a stream is not looked for again', async t => {
  const runs = new Runs()
  const begins = Array.from({ length: 100 }, (_, i) => (i % 7) * 1_000)
  const first = await runsOf(begins, runs)
  const again = await runsOf([...begins, 20_000], runs)
  t.is(first.runs.length, 15)
  t.is(again.runs.length, 15)
  t.true(first.looks > 100 && again.looks < 10, `${first.looks} ${again.looks}`)
})
