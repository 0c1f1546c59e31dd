import test from 'ava'
import { Starts } from '../deploy/local/starts.ts'
import { until } from './fixtures/wait.ts'

/** Cameras ask for their turn in this order; `started` grows as they get it. */
function ask(starts: Starts, cameras: readonly string[], stop = new AbortController().signal) {
  const started: string[] = []
  const ended = Promise.all(
    cameras.map(async camera => {
      await starts.turn(camera, stop)
      if (!stop.aborted) started.push(camera)
    }),
  )
  return { started, ended }
}

const settled = () => new Promise(resolve => setImmediate(resolve))

test('no more cameras start at once than may, and one more with each that is done, in order', async t => {
  const starts = new Starts({ atOnce: 2 })
  const { started, ended } = ask(starts, ['a', 'b', 'c', 'd', 'e'])
  await settled()
  t.deepEqual(started, ['a', 'b'])
  starts.done('b')
  await settled()
  t.deepEqual(started, ['a', 'b', 'c'])
  starts.done('b')
  await settled()
  t.deepEqual(started, ['a', 'b', 'c'], 'what says a second word makes no room')
  starts.done('a')
  starts.done('c')
  await ended
  t.deepEqual(started, ['a', 'b', 'c', 'd', 'e'])
})

test('a camera that never says a word keeps the others waiting for a time only', async t => {
  const starts = new Starts({ atOnce: 1, startMsMax: 50 })
  const { started } = ask(starts, ['mute', 'next'])
  await settled()
  t.deepEqual(started, ['mute'])
  await until(() => started.length === 2, { what: 'the next camera' })
})

test('a stop lets nobody wait, and nobody start', async t => {
  const starts = new Starts({ atOnce: 1 })
  const stop = new AbortController()
  const { started, ended } = ask(starts, ['a', 'b', 'c'], stop.signal)
  await settled()
  stop.abort()
  await ended
  t.deepEqual(started, ['a'])
})
