import test from 'ava'
import type { Camera } from '../proto/camera.ts'
import { EventLog, eventObject } from '../operator/kube/events.ts'

const camera = (name: string) =>
  ({ apiVersion: 'video.chrys.cloud/v1beta1', kind: 'Camera', metadata: { namespace: 'n', name, uid: `uid-of-${name}` } }) as Camera
const refused = (name: string, message = 'm') => ({
  camera: camera(name),
  type: 'Warning' as const,
  reason: 'ConnectionRefused' as const,
  message,
})

test('the same thing again is counted, and written once a minute', t => {
  const log = new EventLog()
  log.add(refused('a'), 0)
  t.like(log.due(0), [{ count: 1, message: 'm' }])
  for (let s = 1; s < 60; s++) log.add(refused('a', `at ${s}`), s * 1_000)
  t.deepEqual(log.due(59_999), [])
  t.like(log.due(60_000), [{ count: 60, message: 'at 59', first: 0, last: 59_000 }])
  t.deepEqual(log.due(600_000), [])
})

test('different cameras and reasons are different Events, and the name of one does not change', t => {
  const log = new EventLog()
  log.add(refused('a'), 0)
  log.add(refused('b'), 0)
  log.add({ ...refused('a'), reason: 'AuthFailed' }, 0)
  const names = log.due(0).map(({ name }) => name)
  t.is(new Set(names).size, 3)
  const again = new EventLog()
  again.add(refused('a'), 5)
  t.is(again.due(5)[0]?.name, names[0])
})

test('what does not fit is refused until old entries are forgotten', t => {
  const log = new EventLog(2)
  t.true(log.add(refused('a'), 0))
  t.true(log.add(refused('b'), 0))
  t.false(log.add(refused('c'), 0))
  log.due(0)
  log.due(3_600_000)
  t.true(log.add(refused('c'), 3_600_000))
})

test('an Event names its camera, and its message is bounded', t => {
  const log = new EventLog()
  log.add(refused('a', 'x'.repeat(5_000)), 1_700_000_000_123)
  const [record] = log.due(1_700_000_000_123)
  const object = eventObject(record!, 'operator')
  t.is(object.message.length, 1_024)
  t.like(object, {
    involvedObject: { kind: 'Camera', namespace: 'n', name: 'a', uid: 'uid-of-a' },
    type: 'Warning',
    count: 1,
    firstTimestamp: '2023-11-14T22:13:20Z',
  })
  t.regex(object.metadata.name, /^a\.[0-9a-f]{16}$/)
})
