import test from 'ava'
import { QueueHealth } from '../gateway/annotations/queue-health.ts'

const state = (first_seq: number, last_seq: number, messages = last_seq - first_seq + 1) => ({ first_seq, last_seq, messages })

test('what is missing at the end or within the stream is counted once; what was delivered is not', t => {
  const health = new QueueHealth()
  const measure = (now: ReturnType<typeof state>) => health.measured(now, health.known, 0)
  t.is(measure(state(1, 100)), 0)
  health.stored(110)
  t.is(measure(state(1, 110)), 0)
  t.is(measure(state(51, 110)), 0) // 50 were delivered
  t.is(measure(state(51, 80)), 30)
  t.is(measure(state(51, 80)), 30)
  t.is(measure(state(51, 90, 38)), 32)
  t.is(measure(state(91, 90, 0)), 30) // all delivered, or gone
  t.is(measure(state(91, 95)), 30)
  t.is(health.problem(3_599_999)?.reason, 'StoreDamaged')
  t.is(health.problem(3_600_000), undefined)
})

test('an annotation that is stored while the stream is asked about is not taken for lost', t => {
  const health = new QueueHealth()
  t.is(health.measured(state(1, 10), undefined, 0), 0)
  const { known } = health
  health.stored(11)
  t.is(health.measured(state(1, 10), known, 0), 0)
  t.is(health.measured(state(1, 11), health.known, 0), 0)
})

test('a failure counts for a minute, or until an annotation is stored', t => {
  const health = new QueueHealth()
  health.failed('annotation queue full', 0)
  t.deepEqual(health.problem(59_999), { reason: 'AnnotationsUnavailable', message: 'annotation queue full' })
  t.is(health.problem(60_000), undefined)
  health.failed('annotation queue full', 100_000)
  health.stored(7)
  t.is(health.problem(100_001), undefined)
})
