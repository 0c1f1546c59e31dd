// From pts to capture times, and from packets to epochs: tables, no processes.
import test from 'ava'
import type { DemuxedPacket, DemuxInfo } from '../common/media/demux.ts'
import { CaptureClock } from '../sidecar/timing/capture-clock.ts'
import { EpochTracker, type Step } from '../sidecar/timing/epoch.ts'
import { Opening } from '../sidecar/timing/first-timestamp.ts'

const T0 = 1_700_000_000_000
const INFO: DemuxInfo = { codec: 'mpeg4', timeBase: [1, 1000], width: 640, height: 360, pixFmt: 'yuv420p', extradata: Buffer.alloc(0) }

const packet = (change: Partial<DemuxedPacket>): DemuxedPacket => ({
  ...{ pts: 0, dts: change.pts ?? 0, key: false, corrupt: false, newExtradata: false, data: Buffer.from([1]), arrivedAt: T0 },
  ...change,
})

/** Pseudo-random in [0, 1), the same in every run. */
function dice(): () => number {
  let state = 12_345
  return () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
}

test('capture times keep the distance of pts however packets are delayed', t => {
  const clock = new CaptureClock()
  const random = dice()
  const times = Array.from({ length: 3000 }, (_, i) => clock.timestamp(i * 40, T0 + i * 40 + (i % 50 === 0 ? 0 : random() * 120)))
  const steps = times.slice(1).map((time, i) => time - (times[i] ?? 0))
  t.true(steps.every(step => Math.abs(step - 40) <= 5))
  t.true(times.every((time, i) => Math.abs(time - (T0 + i * 40)) <= 10))
})

test('capture times follow a camera whose clock drifts, and go on rising', t => {
  for (const drift of [-0.0005, 0.0005]) {
    const clock = new CaptureClock()
    const times = Array.from({ length: 20_000 }, (_, i) => clock.timestamp(i * 40, T0 + Math.round(i * 40 * (1 + drift))))
    t.true(times.every((time, i) => i === 0 || time > (times[i - 1] ?? 0)))
    const off = times.map((time, i) => Math.abs(time - (T0 + i * 40 * (1 + drift))))
    t.true(Math.max(...off) < 20)
  }
})

test('a burst at the start does not move capture times into the future when its offset is known', t => {
  const clock = new CaptureClock(T0 - 1000)
  const burst = Array.from({ length: 25 }, (_, i) => clock.timestamp(i * 40, T0))
  t.deepEqual(burst.slice(0, 3), [T0 - 1000, T0 - 960, T0 - 920])
  t.true(burst.every(time => time <= T0))
})

test('packets that come earlier than ever pull capture times back without turning them round', t => {
  const clock = new CaptureClock()
  const late = Array.from({ length: 25 }, (_, i) => clock.timestamp(i * 40, T0 + 500 + i * 40))
  const prompt = Array.from({ length: 50 }, (_, i) => clock.timestamp((25 + i) * 40, T0 + (25 + i) * 40))
  const times = [...late, ...prompt]
  t.true(times.every((time, i) => i === 0 || time > (times[i - 1] ?? 0)))
  t.is(times.at(-1), T0 + 74 * 40)
})

test('capture times rise in presentation order, whatever B-frames do and however the clock moves', t => {
  const random = dice()
  for (const order of [
    [0, 3, 1, 2],
    [0, 4, 2, 1, 3],
    [0, 8, 4, 2, 1, 3, 6, 5, 7],
  ]) {
    const clock = new CaptureClock(T0 + 300)
    const length = order.length - 1
    const times = new Map<number, number>()
    for (let group = 0; group < 40; group++) {
      for (const place of group === 0 ? order : order.slice(1)) {
        const pts = (group * length + place) * 33
        times.set(pts, clock.timestamp(pts, T0 + (group * length + length) * 33 + random() * 30))
      }
    }
    const inOrder = [...times].toSorted(([a], [b]) => a - b).map(([, time]) => time)
    t.true(inOrder.every((time, i) => i === 0 || time > (inOrder[i - 1] ?? 0)))
  }
})

test('pictures to which a camera gives one time, which ffmpeg puts a tick apart, have capture times of their own', t => {
  const clock = new CaptureClock()
  const times = Array.from({ length: 300 }, (_, i) => {
    const pair = Math.floor(i / 2) * 66
    return clock.timestamp(i % 2 === 0 ? pair : pair + 1 / 90, T0 + pair + (i % 2) * 33)
  })
  t.true(times.every((time, i) => i === 0 || time > (times[i - 1] ?? 0)))
  t.true(times.every((time, i) => Math.abs(time - (T0 + i * 33)) <= 40))
})

test('a clock that was set is noticed', t => {
  const clock = new CaptureClock()
  clock.timestamp(0, T0)
  t.false(clock.isOff(1000, T0 + 6000))
  t.true(clock.isOff(1000, T0 + 3_600_000))
  t.true(clock.isOff(1000, T0 - 3_600_000))
})

test('the first packet gets the time that it lacks from those behind it', t => {
  for (const { packets, late = packets.length - 1, pts, dts } of [
    // B-frames: 0 8 4 … in decoding order
    {
      packets: [
        packet({ pts: undefined, dts: -80, key: true }),
        packet({ pts: 120, dts: -40 }),
        packet({ pts: 40, dts: 0 }),
        packet({ pts: 80, dts: 40 }),
      ],
      pts: 0,
      dts: -80,
    },
    // the same, and all but the first come late
    {
      packets: [
        packet({ pts: undefined, dts: -66, key: true }),
        packet({ pts: 99, dts: -33 }),
        packet({ pts: 33, dts: 0 }),
        packet({ pts: 66, dts: 33 }),
      ],
      late: 1,
      pts: 0,
      dts: -66,
    },
    // ffmpeg took 0 for a time it does not know
    { packets: [packet({ pts: 0, key: true }), packet({ pts: 900_040 }), packet({ pts: 900_080 })], pts: 900_000, dts: 900_000 },
    { packets: [packet({ pts: 0, key: true }), packet({ pts: 900_040 })], pts: 900_000, dts: 900_000 },
    { packets: [packet({ pts: 7, key: true }), packet({ pts: 47 })], pts: 7, dts: 7 },
  ]) {
    const opening = new Opening()
    const all = packets.map((one, i) => ({ ...one, arrivedAt: T0 + i + (i < late ? 0 : 150) }))
    const out = all.flatMap(one => opening.push(one, [1, 1000]))
    t.is(out.length, packets.length)
    t.like(out[0], { pts, dts })
  }
})

test('packets wait for a tenth of a second at first, and never again', t => {
  const opening = new Opening()
  t.is(opening.push(packet({ pts: 0, key: true }), [1, 1000]).length, 0)
  t.is(opening.push(packet({ pts: 40, arrivedAt: T0 + 1 }), [1, 1000]).length, 0)
  t.is(opening.push(packet({ pts: 80, arrivedAt: T0 + 30 }), [1, 1000]).length, 0)
  t.is(opening.push(packet({ pts: 120, arrivedAt: T0 + 110 }), [1, 1000]).length, 4)
  t.is(opening.push(packet({ pts: 160, arrivedAt: T0 + 111 }), [1, 1000]).length, 1)
  t.is(opening.startOffsetMs, T0 - 50) // that of the third, which waited least
})

test('what waits at first is bounded', t => {
  const opening = new Opening()
  let held = 0
  while (opening.push(packet({ pts: held * 40, data: Buffer.alloc(100_000) }), [1, 1000]).length === 0) held++
  t.true(held < 100)
})

/** Feeds pts (ms) with keyframes where `key` says so, arriving in time unless told otherwise. */
function track(tracker: EpochTracker, packets: Partial<DemuxedPacket>[], info = INFO): Step[] {
  return packets.flatMap(one => tracker.next(packet({ arrivedAt: T0 + (one.pts ?? 0), ...one }), info))
}
const epochsOf = (steps: Step[]) => steps.map(step => (step.kind === 'packet' ? step.packet.epoch : step.kind))
const every40 = (from: number, count: number) => Array.from({ length: count }, (_, i) => ({ pts: from + i * 40, key: i % 10 === 0 }))

test('packets are numbered within their group and keyframes within the epoch; nothing comes before a keyframe', t => {
  const tracker = new EpochTracker(0, () => 1000)
  const steps = track(tracker, [{ pts: 0 }, { pts: 40 }, ...every40(80, 25)])
  t.deepEqual(epochsOf(steps).slice(0, 3), ['skip', 'skip', 1000])
  const places = steps.flatMap(step => (step.kind === 'packet' ? [[step.packet.keyframe, step.packet.index]] : []))
  t.deepEqual(places[0], [1, 0])
  t.deepEqual(places[9], [1, 9])
  t.deepEqual(places[24], [3, 4])
  t.is(steps.filter(step => step.kind === 'packet' && step.newEpoch).length, 1)
})

test('a jump of time ends the epoch; the next one begins with a keyframe, under a higher name', t => {
  for (const jumpMs of [60_000, -60_000]) {
    const tracker = new EpochTracker(0, () => 1000)
    const steps = track(tracker, [...every40(100_000, 15), ...every40(100_600 + jumpMs, 10).slice(5), ...every40(101_000 + jumpMs, 3)])
    const epochs = epochsOf(steps)
    t.deepEqual(epochs.slice(0, 15), Array(15).fill(1000))
    t.deepEqual(epochs.slice(15, 20), Array(5).fill('skip'))
    t.deepEqual(epochs.slice(20), [1001, 1001, 1001])
    t.like(steps[20], { newEpoch: true, packet: { keyframe: 1, index: 0 } })
  }
})

test('what ffmpeg flattened gets the times of arrival, and what only looked so is left as it is', t => {
  const flattened = [5761, 5762, 5763].map((pts, i) => ({ pts, arrivedAt: T0 + 5800 + i * 40 }))
  const steps = track(new EpochTracker(0, () => 1), [...every40(5000, 20), ...flattened])
  t.deepEqual(epochsOf(steps), Array<number>(23).fill(1))
  t.deepEqual(
    steps.slice(-4).map(step => (step.kind === 'packet' ? step.packet.pts : undefined)),
    [5760, 5800, 5840, 5880],
  )
  const harmless = track(new EpochTracker(0, () => 1), [...every40(5000, 2), { pts: 5041 }, { pts: 5042 }, { pts: 5080 }, { pts: 5120 }])
  t.deepEqual(epochsOf(harmless), [1, 1, 1, 1, 1, 1])
})

test('a known offset is for the first clock only: after a jump time is taken anew', t => {
  const tracker = new EpochTracker(0, () => 1)
  tracker.startClock(T0 - 500)
  const steps = track(tracker, [
    ...every40(0, 10),
    ...every40(400 + 100_000, 5).map(one => ({ ...one, arrivedAt: T0 + one.pts - 100_000 })),
  ])
  t.like(steps[0], { packet: { timestamp: T0 - 500 } })
  t.like(steps[10], { packet: { timestamp: T0 + 400 } })
})

test('a clock that is set begins a new epoch, so that times are right again', t => {
  const tracker = new EpochTracker(0, () => 1000)
  const before = every40(0, 15)
  const after = every40(600, 30).map((one, i) => ({ ...one, key: i === 5, arrivedAt: T0 + one.pts + 3_600_000 }))
  const steps = track(tracker, [...before, ...after])
  t.like(steps.at(-1), { packet: { epoch: 1001, timestamp: T0 + 600 + 29 * 40 + 3_600_000 } })
  t.is(epochsOf(steps)[19], 1000)
})

test('the names of epochs rise over restarts and clocks that go back', t => {
  const first = new EpochTracker(0, () => 1000)
  track(first, every40(0, 1))
  t.deepEqual(epochsOf(track(new EpochTracker(1000, () => 500), every40(0, 1))), [1001])
})

test('what ffmpeg flattens at the very begin, as a camera’s clock begins at 0, is left out up to the next keyframe', t => {
  const packets = [
    ...[{ pts: -33, dts: -66, key: true }, { pts: 0, dts: -33 }, ...[-32, -31, -30].map(pts => ({ pts }))],
    ...[
      { pts: 132, dts: -29 },
      { pts: 66, dts: 0 },
      { pts: 33 },
      { pts: 99, dts: 66 },
      { pts: 231, dts: 99, key: true },
      { pts: 165, dts: 132 },
    ],
  ]
  t.deepEqual(epochsOf(track(new EpochTracker(0, () => 1), packets)), [1, 1, ...Array<string>(7).fill('skip'), 2, 2])
})

test('what ffmpeg flattens before it has seen the parameter sets, as the first keyframe brings them, is left out up to the next keyframe', t => {
  const flattened = Array.from({ length: 30 }, (_, i) => ({ pts: 5000 + i, key: i === 27 }))
  const packets = [...flattened, ...every40(5080, 12).map((one, i) => ({ ...one, key: i === 10 }))]
  t.deepEqual(epochsOf(track(new EpochTracker(0, () => 1), packets)).slice(-3), ['skip', 1, 1])
})

test('ffmpeg starts anew when parameter sets change beside the stream, and without timestamps', t => {
  t.deepEqual(epochsOf(track(new EpochTracker(0, () => 1), [...every40(0, 2), { pts: 80, newExtradata: true }])).at(-1), 'restart')
  t.like(new EpochTracker(0, () => 1).next(packet({ pts: undefined, dts: undefined, key: true }), INFO)[0], {
    kind: 'restart',
    why: 'NoTimestamps',
  })
})

test('how many frames a decoder must hold back is learnt from the order of packets', t => {
  for (const { order, reorder } of [
    { order: [0, 1, 2, 3], reorder: 0 },
    { order: [0, 3, 1, 2, 6, 4, 5], reorder: 1 },
    { order: [0, 4, 2, 1, 3, 8, 6, 5, 7], reorder: 2 },
  ]) {
    const tracker = new EpochTracker(0, () => 1)
    const steps = track(
      tracker,
      order.map((place, i) => ({ pts: 1000 + place * 40, dts: 800 + i * 40, key: i === 0 })),
    )
    t.like(steps.at(-1), { codec: { reorder } })
  }
})
