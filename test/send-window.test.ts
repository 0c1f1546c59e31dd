// How many frames a sidecar has on their way to gateways.
import test from 'ava'
import { SendWindow, type Taken } from '../sidecar/publish/send-window.ts'

const MB = 2 ** 20
const at = (seq: number): Taken => ({ epoch: 1, seq, run: 1, heardMs: -Infinity })
const takers = (places: Record<string, Taken>): Map<string, Taken> => new Map(Object.entries(places))

/** Sends frames of so many bytes, each as soon as there is room, all at one time; the last one's number. */
function fill(window: SendWindow, from: number, bytes: number, nowMs: number): number {
  let seq = from
  while (seq < from + 20 && window.hasRoom(bytes, nowMs)) window.sent(at(++seq), bytes, nowMs)
  return seq
}

test('a few small frames are on their way to a gateway, and one of any size', t => {
  const window = new SendWindow()
  window.note(takers({ a: at(0) }))
  t.is(fill(window, 0, MB / 4, 0), 4)
  window.note(takers({ a: at(3) }))
  t.is(fill(window, 4, MB / 4, 1), 7)
  window.note(takers({ a: at(7) }))
  t.is(fill(window, 7, 3 * MB, 2), 9)
  window.note(takers({ a: at(9) }))
  t.is(fill(window, 9, 8 * MB, 3), 10)
})

test('gateways that say nothing are not waited for', t => {
  t.is(fill(new SendWindow(), 0, MB, 0), 20)
})

test('a gateway that stands still is sent nothing more, and holds up no other', t => {
  const window = new SendWindow()
  window.note(takers({ a: at(0) }))
  t.is(fill(window, 0, 4 * MB, 0), 1)
  for (const nowMs of [999, 1_000, 60_000]) t.false(window.hasRoom(4 * MB, nowMs))
  // A second one comes, which is asked for nothing that was sent before, and takes what it gets.
  window.note(takers({ a: at(0), b: at(0) }))
  t.is(fill(window, 1, 4 * MB, 61_000), 2)
  window.note(takers({ a: at(0), b: at(2) }))
  t.is(fill(window, 2, 4 * MB, 61_100), 3)
  // The first one moves again.
  window.note(takers({ a: at(3), b: at(2) }))
  t.is(fill(window, 3, 4 * MB, 61_200), 3)
})

test('a gateway that is heard and takes nothing has lost what was sent: it is tried more and more rarely, until it takes something', t => {
  const window = new SendWindow()
  window.note(takers({ a: at(0) }))
  const tried: number[] = []
  for (let nowMs = 0, seq = 0; nowMs <= 16_000; nowMs += 500) {
    window.note(takers({ a: { ...at(0), heardMs: nowMs } }))
    if (!window.hasRoom(4 * MB, nowMs)) continue
    window.sent(at(++seq), 4 * MB, nowMs - 1)
    tried.push(nowMs)
  }
  t.deepEqual(tried, [0, 1_000, 3_000, 7_000, 15_000])
  window.note(takers({ a: { ...at(tried.length), heardMs: 16_001 } }))
  t.true(window.hasRoom(4 * MB, 16_002))
})

test('a gateway that begins to listen once more is not waited for with what was sent before', t => {
  const window = new SendWindow()
  window.note(takers({ a: at(0) }))
  t.is(fill(window, 0, 4 * MB, 0), 1)
  window.note(takers({ a: { ...at(0), run: 2 } }))
  t.is(fill(window, 1, 4 * MB, 1), 2)
  window.note(takers({ a: { ...at(1), run: 2 } }))
  t.is(fill(window, 2, 4 * MB, 2), 2)
})

test('of two prompt gateways the slower one counts', t => {
  const window = new SendWindow()
  window.note(takers({ a: at(0), b: at(0) }))
  fill(window, 0, 4 * MB, 0)
  window.note(takers({ a: at(1), b: at(0) }))
  t.false(window.hasRoom(4 * MB, 100))
  window.note(takers({ a: at(1) }))
  t.true(window.hasRoom(4 * MB, 100))
})
