// How many frames a sidecar has on their way to gateways.
import test from 'ava'
import { SendWindow } from '../sidecar/publish/send-window.ts'

const MB = 2 ** 20
const at = (seq: number) => ({ epoch: 1, seq })

/** Sends frames of so many bytes, each as soon as there is room, all at one time; the last one's number. */
function fill(window: SendWindow, from: number, bytes: number, nowMs: number): number {
  let seq = from
  while (seq < from + 20 && window.hasRoom(bytes, nowMs)) window.sent(at(++seq), bytes, nowMs)
  return seq
}

test('a few small frames are on their way to a gateway, and one of any size', t => {
  const window = new SendWindow()
  window.note(new Map([['a', at(0)]]))
  t.is(fill(window, 0, MB / 4, 0), 4)
  window.note(new Map([['a', at(3)]]))
  t.is(fill(window, 4, MB / 4, 1), 7)
  window.note(new Map([['a', at(7)]]))
  t.is(fill(window, 7, 3 * MB, 2), 9)
  window.note(new Map([['a', at(9)]]))
  t.is(fill(window, 9, 8 * MB, 3), 10)
})

test('gateways that say nothing are not waited for', t => {
  t.is(fill(new SendWindow(), 0, MB, 0), 20)
})

test('a gateway that takes nothing for a second gets one frame a second, and holds up no other', t => {
  const window = new SendWindow()
  window.note(new Map([['a', at(0)]]))
  t.is(fill(window, 0, 4 * MB, 0), 1)
  t.false(window.hasRoom(4 * MB, 999))
  t.is(fill(window, 1, 4 * MB, 1_000), 2)
  t.is(fill(window, 2, 4 * MB, 1_500), 2)
  // A second one comes, which is asked for nothing that was sent before, and takes what it gets.
  window.note(new Map([['a', at(0)], ['b', at(0)]])) // prettier-ignore
  t.is(fill(window, 2, 4 * MB, 1_600), 3)
  window.note(new Map([['a', at(0)], ['b', at(3)]])) // prettier-ignore
  t.is(fill(window, 3, 4 * MB, 1_700), 4)
  // The first one moves again.
  window.note(new Map([['a', at(4)], ['b', at(3)]])) // prettier-ignore
  t.is(fill(window, 4, 4 * MB, 1_800), 4)
})

test('of two prompt gateways the slower one counts', t => {
  const window = new SendWindow()
  window.note(new Map([['a', at(0)], ['b', at(0)]])) // prettier-ignore
  fill(window, 0, 4 * MB, 0)
  window.note(new Map([['a', at(1)], ['b', at(0)]])) // prettier-ignore
  t.false(window.hasRoom(4 * MB, 100))
  window.note(new Map([['a', at(1)]]))
  t.true(window.hasRoom(4 * MB, 100))
})
