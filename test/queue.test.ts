// A queue bounded in bytes, the gate that skips to the next keyframe, and the phases of the buffer.
import test from 'ava'
import { KeyframeGate } from '../common/media/keyframe-gate.ts'
import { ByteQueue } from '../common/queue.ts'
import { isOpen, nextBufferPhase, type BufferEvent, type BufferPhase } from '../sidecar/publish/buffer-phase.ts'

const key = { key: true }
const other = { key: false }

test('a gate that was closed lets nothing pass up to the next keyframe, and then all', t => {
  const gate = new KeyframeGate('closed')
  t.deepEqual(
    [other, key, other, key].map(packet => gate.passes(packet)),
    [false, true, true, true],
  )
  gate.close()
  t.deepEqual(
    [other, other, key, other].map(packet => gate.passes(packet)),
    [false, false, true, true],
  )
  t.true(new KeyframeGate('open').passes(other))
})

test('a keyframe opens the gate only where that is allowed, which is asked of no other packet', t => {
  const gate = new KeyframeGate('open')
  let asked = 0
  const notYet = () => ++asked === 0
  t.true(gate.passes(key, notYet))
  gate.close()
  t.false(gate.passes(other, notYet))
  t.is(asked, 0)
  t.false(gate.passes(key, notYet))
  t.false(gate.passes(other))
  t.is(asked, 1)
  t.true(gate.passes(key))
})

test('a queue refuses what would exceed its bytes or its items, and has room again for what is taken', t => {
  const queue = new ByteQueue<string>({ bytesMax: 10, itemsMax: 3 })
  t.true(queue.push('a', 6))
  t.false(queue.push('too large', 5))
  t.true(queue.push('b', 4))
  t.true(queue.push('no bytes', 0))
  t.false(queue.push('one too many', 0))
  t.is(queue.bytes, 10)
  t.is(queue.newest, 'no bytes')
  t.is(queue.shift(), 'a')
  t.is(queue.bytes, 4)
  t.true(queue.push('c', 6))
  t.is(queue.clear(), 3)
  t.is(queue.bytes, 0)
  t.is(queue.shift(), undefined)
})

test('a reader waits for an item or for the end, and for neither where it is there already', async t => {
  const stop = new AbortController()
  const queue = new ByteQueue<number>({ bytesMax: 10, itemsMax: 3 })
  let waited = queue.wait(stop.signal)
  queue.push(1, 1)
  await waited
  await queue.wait(stop.signal)
  t.is(queue.shift(), 1)
  waited = queue.wait(stop.signal)
  stop.abort()
  await waited
  await queue.wait(stop.signal)
  t.is(queue.shift(), undefined)
})

test('after a refusal packets are tried again once the stream is prepared, and only an acknowledgement ends the trouble', t => {
  const walk = (...events: BufferEvent[]) => events.reduce<BufferPhase>(nextBufferPhase, 'preparing')
  t.is(walk('prepared'), 'storing')
  t.is(walk('prepared', 'interrupted'), 'preparing')
  t.is(walk('prepared', 'refused', 'prepared'), 'trying')
  t.is(walk('prepared', 'refused', 'prepared', 'acknowledged'), 'storing')
  t.is(walk('prepared', 'refused', 'prepared', 'interrupted', 'prepared'), 'trying')
  // The answer to a packet that was on its way before the refusal.
  t.is(walk('prepared', 'refused', 'acknowledged'), 'preparing')
  for (const phase of ['preparing', 'refused'] as const) t.false(isOpen(phase))
  for (const phase of ['storing', 'trying'] as const) t.true(isOpen(phase))
})
