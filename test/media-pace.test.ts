import test from 'ava'
import { LAG_MAX_MS, Pace } from '../common/media/pace.ts'

const FRAME_MS = 40
const packets = (count: number) => Array.from({ length: count }, (_, pts) => ({ pts }))

test('a decoder that keeps up is not behind', t => {
  const pace = new Pace()
  for (const packet of packets(500)) {
    const now = packet.pts * FRAME_MS
    pace.fed(packet, now)
    t.is(pace.delivered(packet, now + 10), 10)
    t.false(pace.isBehind)
    t.true(pace.isDrained)
  }
})

test('a decoder that takes twice as long as the pictures last is behind after a while', t => {
  const pace = new Pace()
  const all = packets(100)
  for (const packet of all) pace.fed(packet, packet.pts * FRAME_MS)
  const behind = all.findIndex(packet => {
    pace.delivered(packet, (packet.pts + 1) * 2 * FRAME_MS)
    return pace.isBehind
  })
  t.is(behind, Math.floor(LAG_MAX_MS / FRAME_MS) + 1)
})

test('a decoder that begins with a long GOP at hand may take its time to catch up', t => {
  const pace = new Pace()
  const all = packets(300)
  for (const packet of all) pace.fed(packet, 0)
  for (const packet of all.slice(250)) {
    pace.delivered(packet, 5_000 + packet.pts)
    t.false(pace.isBehind)
  }
})

test('frames that a decoder always holds back are not waited for', t => {
  const pace = new Pace()
  const all = packets(50)
  for (const packet of all) {
    pace.fed(packet, packet.pts * FRAME_MS)
    const out = all[packet.pts - 2]
    if (out !== undefined) pace.delivered(out, packet.pts * FRAME_MS)
  }
  t.true(pace.isDrained)
  pace.fed({ pts: 50 }, 50 * FRAME_MS)
  t.false(pace.isDrained)
})

test('pictures that are not wanted don’t come out and are not waited for', t => {
  const pace = new Pace()
  const all = packets(100)
  const wanted = ({ pts }: { pts: number }) => pts < 30 || pts % 3 === 0
  for (const packet of all) {
    const now = packet.pts * FRAME_MS
    pace.fed(packet, now, wanted(packet))
    const out = all[packet.pts - 2] // two are held back
    if (out !== undefined && wanted(out)) t.is(pace.delivered(out, now + 10), 2 * FRAME_MS + 10)
    t.false(pace.isBehind)
    if (out !== undefined) t.true(pace.isDrained)
  }
  for (const packet of packets(110).slice(100)) pace.fed(packet, 100 * FRAME_MS)
  t.false(pace.isDrained)
})

test('after a pause a decoder is judged by what comes then', t => {
  const pace = new Pace()
  const [first, late, next] = [{ pts: 0 }, { pts: 1 }, { pts: 2 }]
  pace.fed(first, 0)
  pace.delivered(first, 10)
  pace.fed(late, 40)
  pace.delivered(late, 4_000)
  t.true(pace.isBehind)
  pace.resume()
  t.false(pace.isBehind)
  pace.fed(next, 5_000)
  pace.delivered(next, 5_010)
  t.false(pace.isBehind)
})

test('memory is bounded when nothing ever comes out', t => {
  const pace = new Pace()
  for (const packet of packets(100_000)) pace.fed(packet, 0)
  t.is(pace.delivered({ pts: 99_999 }, 1), undefined)
  t.true(pace.isDrained)
})
