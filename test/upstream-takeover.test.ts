// A camera's frames as it moves from one upstream to another.
import test from 'ava'
import { Takeover } from '../gateway/frames/takeover.ts'
import type { OnFrame, Upstream } from '../gateway/frames/upstream.ts'
import type { LiveFrame } from '../proto/rendition.ts'

/** Two upstreams, of which the second is to take over. */
function moving() {
  const got: string[] = []
  const ended: string[] = []
  const takeover = new Takeover((rendition, { timestamp }) => void got.push(`${rendition}${timestamp}`))
  const shows = new Map<string, OnFrame>()
  const use = (where: Upstream['where']) =>
    takeover.use(where, onFrame => {
      shows.set(where, onFrame)
      const end = () => Promise.resolve(void ended.push(where))
      return { where, key: where, isClosed: false, want: () => {}, tick: () => {}, end }
    })
  const show = (where: Upstream['where'], rendition: string, timestamp: number) =>
    shows.get(where)?.(rendition, { timestamp, lease: undefined } as unknown as LiveFrame)
  return { got, ended, use, show }
}

test('each rendition comes from the upstream before until the next one gives it, which then takes over', t => {
  const { got, ended, use, show } = moving()
  use('Sidecar')
  show('Sidecar', 'a', 1)
  show('Sidecar', 'b', 1)
  use('Gateway')
  show('Gateway', 'a', 2)
  show('Sidecar', 'a', 2) // has come already
  show('Sidecar', 'b', 2)
  t.deepEqual(ended, [])
  show('Gateway', 'b', 3)
  t.deepEqual(ended, ['Sidecar'])
  show('Sidecar', 'b', 4)
  show('Gateway', 'c', 4)
  t.deepEqual(got, ['a1', 'b1', 'a2', 'b2', 'b3', 'c4'])
})

test('where one upstream gave nothing the next takes over with its first frame; and one is left that is not wanted after all', t => {
  const { got, ended, use, show } = moving()
  use('Sidecar')
  use('Gateway')
  show('Gateway', 'a', 1)
  t.deepEqual(ended, ['Sidecar'])
  use('Sidecar')
  use('Gateway')
  t.deepEqual(ended, ['Sidecar', 'Sidecar'])
  show('Gateway', 'a', 2)
  t.deepEqual(got, ['a1', 'a2'])
})
