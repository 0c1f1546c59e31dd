// Cameras' clocks that are wrong, as packets and their times of arrival: tables, no processes.
import test from 'ava'
import type { DemuxedPacket, DemuxInfo } from '../common/media/demux.ts'
import { CaptureClock } from '../sidecar/timing/capture-clock.ts'
import { EpochTracker, type LearntTimes, type Step } from '../sidecar/timing/epoch.ts'

const T0 = 1_700_000_000_000
const INFO: DemuxInfo = { codec: 'mpeg4', timeBase: [1, 90_000], width: 640, height: 360, pixFmt: 'yuv420p', extradata: Buffer.alloc(0) }
const GOP = 25

/** Pseudo-random in [0, 1), the same in every run. */
function dice(): () => number {
  let state = 12_345
  return () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
}

type Sent = { rtpMs: number; atMs: number; key: boolean }
type Shown = { atMs: number; timestamp: number; pts: number; epoch: number }

/** What a camera sends: `said` frames a second by its own clock, `sent` by ours, each up to `jitterMs` late. */
function frames(seconds: number, { said = 25, sent = 25, jitterMs = 0, gop = GOP }): Sent[] {
  const random = dice()
  let last = 0
  return Array.from({ length: Math.round(seconds * sent) }, (_, i) => {
    // TCP keeps the order.
    last = Math.max(last, (i * 1000) / sent + random() * jitterMs)
    return { rtpMs: 100_000 + (i * 1000) / said, atMs: last, key: i % gop === 0 }
  })
}

/** As ffmpeg writes times: each later than the one before, by a tick at least. */
function asFfmpegDoes(sent: readonly Sent[]): DemuxedPacket[] {
  let last = -Infinity
  return sent.map(({ rtpMs, atMs, key }) => {
    last = Math.max(last + 1, Math.round(rtpMs * 90))
    const rest = { key, corrupt: false, newExtradata: false, data: Buffer.from([1]) }
    return { pts: last, dts: last, arrivedAt: T0 + Math.round(atMs), ...rest }
  })
}

function run(sent: readonly Sent[], learnt?: LearntTimes): { shown: Shown[]; steps: Step[]; learnt: LearntTimes } {
  const tracker = new EpochTracker(0, () => 1, learnt)
  const shown: Shown[] = []
  const steps: Step[] = []
  for (const packet of asFfmpegDoes(sent)) {
    for (const step of tracker.next(packet, INFO)) {
      steps.push(step)
      if (step.kind === 'packet') {
        shown.push({ atMs: packet.arrivedAt, timestamp: step.packet.timestamp, pts: step.packet.pts / 90, epoch: step.packet.epoch })
      }
    }
  }
  return { shown, steps, learnt: tracker.learnt }
}

const lagsOf = (shown: readonly Shown[]): number[] => shown.map(({ atMs, timestamp }) => atMs - timestamp)
const stepsOf = (shown: readonly Shown[], of: 'timestamp' | 'pts' = 'timestamp'): number[] =>
  shown.slice(1).map((each, i) => each[of] - (shown[i]?.[of] ?? 0))
const isRising = (shown: readonly Shown[]): boolean =>
  stepsOf(shown).every(step => step >= 1) && stepsOf(shown, 'pts').every(step => step > 0)

/** Errors of 0.1 to 20 %, both ways. */
const RATES = [
  0.8,
  0.85,
  0.9,
  0.95,
  0.98,
  0.99,
  0.995,
  0.998,
  0.999,
  1,
  1.001,
  1.002,
  1.005,
  1.01,
  1.02,
  1.05,
  1.1,
  1.15,
  25 / 21,
  1.2,
  1.25,
]

for (const { fps, jitterMs } of [
  { fps: 25, jitterMs: 0 },
  { fps: 25, jitterMs: 60 },
  { fps: 60, jitterMs: 30 },
  { fps: 5, jitterMs: 50 },
  { fps: 2, jitterMs: 100 },
]) {
  test(`timestamps stay within half a second of arrival however wrong a camera's rate is: ${fps} fps, ${jitterMs} ms of jitter`, t => {
    for (const rate of RATES) {
      const { shown } = run(frames(90, { said: fps * rate, sent: fps, jitterMs }))
      const lags = lagsOf(shown)
      t.true(Math.max(...lags) < 500, `${rate}: ${Math.max(...lags)} ms late`)
      t.true(Math.min(...lags) > -250, `${rate}: ${Math.min(...lags)} ms early`)
      t.is(new Set(shown.map(({ epoch }) => epoch)).size, 1)
      t.true(isRising(shown), `${rate}`)
      // Once the rate is known, time is even: no step is far from what was sent.
      const late = stepsOf(shown.slice(shown.length / 2))
      const off = Math.max(...late.map(step => Math.abs(step - 1000 / fps)))
      t.true(off <= Math.max(12, 150 / fps) + jitterMs / 2, `${rate}: steps ${off} ms off`)
    }
  })
}

test('pts are corrected where the rate is wrong, so that maxFps and archives hold', t => {
  for (const rate of [0.8, 0.9, 1.1, 25 / 21, 1.25]) {
    const { shown } = run(frames(60, { said: 25 * rate, sent: 25, jitterMs: 20 }))
    const last = shown.slice(-500)
    const spanMs = (last.at(-1)?.pts ?? 0) - (last[0]?.pts ?? 0)
    t.true(Math.abs(spanMs - 499 * 40) < 300, `${rate}: ${spanMs}`)
  }
})

test('pts are left alone where the rate is right, however packets are delayed', t => {
  for (const jitterMs of [0, 20, 100]) {
    const { shown, learnt } = run(frames(120, { jitterMs }))
    t.true(stepsOf(shown, 'pts').every(step => Math.abs(step - 40) < 0.02))
    t.is(learnt.rate, 1)
  }
})

test('a rate that was found in one session holds from the first frame of the next', t => {
  const sent = frames(30, { said: 25, sent: 21, jitterMs: 10 })
  const { learnt } = run(sent)
  t.true(Math.abs(learnt.rate - 25 / 21) < 0.02, `${learnt.rate}`)
  t.true(Math.max(...lagsOf(run(sent, learnt).shown)) < 120)
})

test('a stall and the burst behind it do not move timestamps, and make no wrong rate', t => {
  for (const stallMs of [500, 1500, 4500]) {
    for (const drainMs of [0, 300, 2000]) {
      const sent = frames(60, {}).map(frame => {
        const stalledFor = frame.atMs - 20_000
        if (stalledFor < 0 || stalledFor > stallMs + drainMs) return frame
        return { ...frame, atMs: 20_000 + stallMs + (stalledFor * drainMs) / (stallMs + drainMs) }
      })
      const { shown } = run(sent)
      t.true(isRising(shown))
      t.is(new Set(shown.map(({ epoch }) => epoch)).size, 1)
      const settled = shown.filter(({ atMs }) => atMs < T0 + 20_000 || atMs > T0 + 45_000)
      t.true(Math.max(...lagsOf(settled).map(Math.abs)) < 80, `${stallMs} ${drainMs}: ${Math.max(...lagsOf(settled))}`)
      t.true(Math.abs(run(sent).learnt.rate - 1) < 0.01)
    }
  }
})

test('rates that are wrong by half and more are found too, and half a second holds once they are', t => {
  for (const rate of [0.1, 0.2, 0.33, 0.5, 0.7, 1.5, 2, 4]) {
    const { shown, learnt } = run(frames(60, { said: 25 * rate, sent: 25, jitterMs: 20 }))
    const lags = lagsOf(shown)
    t.true(Math.max(...lags) < 1700 && Math.min(...lags) > -300, `${rate}`)
    t.true(Math.max(...lags.slice(lags.length / 2).map(Math.abs)) < 300, `${rate}`)
    t.true(Math.abs(learnt.rate / rate - 1) < 0.05, `${rate}: ${learnt.rate}`)
    t.true(isRising(shown))
  }
})

test('a camera that begins with its last seconds at double speed has the right rate afterwards', t => {
  for (const seconds of [1, 2, 4]) {
    const fast = seconds * 1000
    const sent = frames(60, {}).map(frame => (frame.atMs < fast ? { ...frame, atMs: fast / 2 + frame.atMs / 2 } : frame))
    const { shown, learnt } = run(sent)
    t.true(Math.max(...lagsOf(shown.slice(-1000)).map(Math.abs)) < 100)
    t.deepEqual(learnt, { isArrival: false, rate: 1 })
  }
})

test('a step forward of a camera’s clock does not put timestamps ahead of arrival', t => {
  for (const stepMs of [500, 2_000, 9_000]) {
    const sent = frames(60, {}).map(frame => (frame.atMs < 20_000 ? frame : { ...frame, rtpMs: frame.rtpMs + stepMs }))
    const { shown, learnt } = run(sent)
    t.true(Math.min(...lagsOf(shown)) > -100)
    t.is(shown.length, sent.length)
    t.is(learnt.rate, 1)
  }
})

test('a network that delays everything by a second for good is followed', t => {
  const sent = frames(60, {}).map(frame => (frame.atMs < 20_000 ? frame : { ...frame, atMs: frame.atMs + 1000 }))
  const lags = lagsOf(run(sent).shown)
  t.true(Math.max(...lags.slice(-500)) < 200)
})

const UNUSABLE: Record<string, (frame: Sent, i: number) => Sent> = {
  'stand still': frame => ({ ...frame, rtpMs: 0 }),
  'begin again with each keyframe': (frame, i) => ({ ...frame, rtpMs: (i % GOP) * 40 }),
  'are milliseconds where ticks of 90 kHz are said': (frame, i) => ({ ...frame, rtpMs: (i * 40) / 90 }),
  'are seconds': (frame, i) => ({ ...frame, rtpMs: Math.floor(i / 25) / 90 }),
  'run backwards': (frame, i) => ({ ...frame, rtpMs: 1e6 - i * 40 }),
}
for (const [what, change] of Object.entries(UNUSABLE)) {
  test(`packets whose times ${what} get the times of arrival, without a restart`, t => {
    const sent = frames(60, { jitterMs: 20 }).map(change)
    const { shown, steps, learnt } = run(sent)
    t.false(steps.some(({ kind }) => kind === 'restart'))
    t.true(shown.length > sent.length - 3 * GOP, `${shown.length} of ${sent.length}`)
    t.true(Math.max(...lagsOf(shown.slice(GOP)).map(Math.abs)) < 300)
    t.true(isRising(shown))
    t.true(learnt.isArrival)
    const next = run(sent, learnt)
    t.is(next.shown.length, sent.length)
    t.true(Math.max(...lagsOf(next.shown).map(Math.abs)) < 100)
  })
}

test('a rate that changes all the time is given up for the times of arrival', t => {
  const rates = [25, 3, 10, 1, 25, 2, 8, 1]
  let atMs = 0
  const sent = Array.from({ length: 600 }, (_, i) => {
    atMs += 1000 / (rates[Math.floor(i / 40) % rates.length] ?? 25)
    return { rtpMs: i * 40, atMs, key: i % GOP === 0 }
  })
  const { shown, learnt } = run(sent)
  t.true(learnt.isArrival)
  t.true(isRising(shown))
  t.true(Math.max(...lagsOf(shown.slice(-300)).map(Math.abs)) < 500)
})

test('a clock that goes back once is followed by times of arrival until it has been right for long, and no frame is lost', t => {
  for (const backMs of [3_000, 60_000, 3_600_000]) {
    const sent = frames(200, {}).map(frame => (frame.atMs < 20_000 ? frame : { ...frame, rtpMs: frame.rtpMs - backMs }))
    const { shown, steps, learnt } = run(sent)
    t.false(steps.some(({ kind }) => kind === 'restart'))
    t.is(shown.length, sent.length)
    t.true(isRising(shown))
    t.true(Math.max(...lagsOf(shown).map(Math.abs)) < 100)
    t.false(learnt.isArrival)
  }
})

test('a camera with B-frames whose clock goes back is connected to again, as arrival does not tell the order of its frames', t => {
  const order = [0, 3, 1, 2]
  const tracker = new EpochTracker(0, () => 1)
  const packets = Array.from({ length: 400 }, (_, i) => {
    const place = i === 0 ? 0 : Math.floor((i - 1) / 3) * 3 + (order[1 + ((i - 1) % 3)] ?? 0)
    const times =
      i < 300 ? { pts: 9e6 + place * 3600, dts: 9e6 + i * 3600 - 7200 } : { pts: 9e6 + 300 * 3600 + i, dts: 9e6 + 300 * 3600 + i }
    return { ...times, key: i % 30 === 0, corrupt: false, newExtradata: false, data: Buffer.from([1]), arrivedAt: T0 + i * 40 }
  })
  const steps = packets.flatMap(packet => tracker.next(packet, INFO))
  t.true(steps.some(step => step.kind === 'restart' && step.why === 'TimestampsStuck'))
})

test('frames with B-frames at a wrong rate keep their order in pts and timestamps', t => {
  for (const rate of [0.85, 1.02, 25 / 21]) {
    const clock = new CaptureClock()
    const times = new Map<number, { timestamp: number; out: number }>()
    for (let group = 0; group < 500; group++) {
      for (const [i, place] of (group === 0 ? [0, 3, 1, 2] : [3, 1, 2]).entries()) {
        const pts = (group * 3 + place) * 40
        times.set(pts, { timestamp: clock.timestamp(pts, T0 + (group * 3 + i) * 40 * rate), out: clock.corrected(pts) })
      }
    }
    const inOrder = [...times].toSorted(([a], [b]) => a - b).map(([, time]) => time)
    t.true(inOrder.every(({ timestamp }, i) => i === 0 || timestamp > (inOrder[i - 1]?.timestamp ?? 0)))
    t.true(inOrder.every(({ out }, i) => i === 0 || out > (inOrder[i - 1]?.out ?? 0)))
    t.true(Math.abs((inOrder.at(-1)?.timestamp ?? 0) - (T0 + 1500 * 40 * rate)) < 400)
  }
})
