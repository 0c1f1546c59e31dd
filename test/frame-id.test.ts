import test from 'ava'
import { frameId, placeOfFrame } from '../proto/frame-id.ts'

test('a frame id names the frame’s epoch, keyframe and packet', t => {
  const place = { epoch: 1_790_000_000_123, keyframe: 12_345, index: 49 }
  t.deepEqual(placeOfFrame(frameId(place)), place)
  t.deepEqual(placeOfFrame(frameId({ epoch: 0, keyframe: 0, index: 0 })), { epoch: 0, keyframe: 0, index: 0 })
  t.not(frameId(place), frameId({ ...place, index: 50 }))
})

for (const text of ['', 'x', '1-2', '1-2-3-4', '01-2-3', '1-2--3', ' 1-2-3', '1-2-3\n', 'A-1-1', 'zzzzzzzzzzz-1-1', '1.5-1-1'])
  test(`${JSON.stringify(text)} is no frame id`, t => {
    t.is(placeOfFrame(text), undefined)
  })
