import test from 'ava'
import { frameInPlace, seamlessFraming } from '../common/patches/grpc-framing.ts'
import { PIXELS_MAX } from '../proto/frame.ts'
import { fakeFrame } from './fixtures/cameras.ts'

test('this grpc-js is one that can be handed framed messages', t => {
  t.true(seamlessFraming())
})

test('the five bytes are put in front of the message and nowhere else', t => {
  const room = Buffer.alloc(32, 0xaa)
  const message = room.subarray(10, 16)
  frameInPlace(message)
  t.deepEqual([...room.subarray(4, 11)], [0xaa, 0, 0, 0, 0, 6, 0xaa])
  t.is(room[16], 0xaa)
})

test('a message without room in front stays as it is', t => {
  const bytes = new Uint8Array(8).fill(7)
  frameInPlace(bytes)
  t.true(bytes.every(byte => byte === 7))
})

test('the room in front of the largest frame holds what stands there, and gRPC’s five bytes', t => {
  const { message } = fakeFrame({ namespace: 'default', name: 'door' }, { seq: 1, width: PIXELS_MAX / 5_000, height: 5_000 })
  t.true(message.byteOffset >= 5)
})
