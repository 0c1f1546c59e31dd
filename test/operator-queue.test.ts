import test from 'ava'
import pino from 'pino'
import { KeyedQueue, work } from '../operator/kube/queue.ts'
import { until } from './fixtures/wait.ts'

/** A queue whose clock stands still until the test moves it. */
function still() {
  const clock = { ms: 0 }
  return { clock, queue: new KeyedQueue({ now: () => clock.ms, random: () => 1 }) }
}

test('a key that is added twice is worked on once', t => {
  const { queue } = still()
  queue.add('a')
  queue.add('a')
  queue.add('b')
  t.is(queue.depth, 2)
  t.is(queue.take(), 'a')
  t.is(queue.take(), 'b')
  t.is(queue.take(), undefined)
})

test('a key that is added while it is worked on waits until that is done, and is then worked on once more', t => {
  const { queue } = still()
  queue.add('a')
  t.is(queue.take(), 'a')
  queue.add('a')
  queue.add('a')
  t.is(queue.take(), undefined)
  queue.done('a')
  t.is(queue.take(), 'a')
  queue.done('a')
  t.is(queue.take(), undefined)
})

test('a failed key comes back after 1 s, doubling up to 5 minutes, and after success begins anew', t => {
  const { queue, clock } = still()
  const waits: number[] = []
  for (let i = 0; i < 11; i++) {
    queue.add('a')
    queue.take()
    waits.push(queue.failed('a'))
    clock.ms += 300_000
    t.is(queue.take(), 'a')
    queue.failed('a', 0)
  }
  t.deepEqual(waits.slice(0, 3), [1_000, 4_000, 16_000])
  t.is(waits.at(-1), 300_000)
  clock.ms += 300_000
  queue.take()
  queue.done('a')
  queue.add('a')
  queue.take()
  t.is(queue.failed('a'), 1_000)
})

test('the wait after a failure is random over its upper half, and no shorter than the server asks', t => {
  const waitOf = (random: number, atLeastMs?: number) => {
    const queue = new KeyedQueue({ now: () => 0, random: () => random })
    queue.add('a')
    queue.take()
    return queue.failed('a', atLeastMs)
  }
  t.is(waitOf(0), 500)
  t.is(waitOf(1), 1_000)
  t.is(waitOf(0, 7_000), 7_000)
})

test('of several wishes for later the earliest stands, and a wish for now replaces them', t => {
  const { queue, clock } = still()
  queue.addAfter('a', 500)
  queue.addAfter('a', 100)
  queue.addAfter('a', 900)
  clock.ms = 99
  t.is(queue.take(), undefined)
  clock.ms = 100
  t.is(queue.take(), 'a')
  queue.done('a')
  clock.ms = 2_000
  t.is(queue.take(), undefined)
  queue.addAfter('b', 1_000)
  queue.add('b')
  t.is(queue.take(), 'b')
  queue.done('b')
  clock.ms = 9_000
  t.is(queue.take(), undefined)
})

test('workers share the keys, never work on one twice at a time, and end when told, with what they had begun done', async t => {
  const queue = new KeyedQueue()
  const stop = new AbortController()
  const running = new Set<string>()
  const counts = new Map<string, number>()
  let most = 0
  const handle = async (key: string) => {
    t.false(running.has(key))
    running.add(key)
    most = Math.max(most, running.size)
    await new Promise(resolve => setTimeout(resolve, 2))
    running.delete(key)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const working = work(queue, 3, handle, pino({ level: 'silent' }), stop.signal)
  for (let i = 0; i < 100; i++) {
    queue.add(`k${i % 10}`)
    if (i % 10 === 9) await new Promise(resolve => setTimeout(resolve, 1))
  }
  await until(() => queue.depth === 0 && running.size === 0, { what: 'an empty queue' })
  queue.addAfter('late', 5)
  await until(() => counts.get('late') === 1, { what: 'the delayed key' })
  stop.abort()
  await working
  t.is(running.size, 0)
  t.true(most <= 3)
  t.is(counts.size, 11)
})

test('a worker that fails works on, and the key comes back', async t => {
  const queue = new KeyedQueue({ random: () => 0 })
  const stop = new AbortController()
  let attempts = 0
  const handle = async () => {
    if (++attempts === 1) throw new Error('once')
  }
  const working = work(queue, 1, handle, pino({ level: 'silent' }), stop.signal)
  queue.add('a')
  await until(() => attempts === 2, { what: 'the second attempt' })
  stop.abort()
  await working
  t.is(queue.depth, 0)
})
