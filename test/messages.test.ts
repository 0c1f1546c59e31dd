// What is believed of a message that says it is a frame.
import test from 'ava'
import * as v from 'valibot'
import { BadMessage, frameMessages, Reassembly, type Frame } from '../proto/messages.ts'
import { Codec } from '../proto/state.ts'
import { fakeFrame } from './fixtures/cameras.ts'

const CAMERA = { namespace: 'default', name: 'door', uid: 'uid' }
const frame = (change: Partial<Frame> = {}): Frame => ({ ...fakeFrame(CAMERA, { seq: 1, key: true, width: 320, height: 192 }), ...change })

/** The frame at its receiver's, who got it in messages of at most `partBytes`. */
function received(sent: Frame, partBytes = 2 ** 20) {
  const reassembly = new Reassembly(CAMERA.uid)
  let whole: ReturnType<Reassembly['frame']>
  for (const { headers, payload } of frameMessages(CAMERA.uid, sent, partBytes)) whole = reassembly.frame({ headers, data: payload })
  return whole
}

const copyOf = (bytes: Buffer, change: (copy: Buffer) => void) => {
  const copy = Buffer.from(bytes)
  change(copy)
  return copy
}

test('a frame is received as it was sent, in one message or in parts', t => {
  const sent = frame()
  for (const partBytes of [2 ** 20, 1000, sent.message.length - 1]) {
    const { message, seal, ...rest } = received(sent, partBytes) ?? { ...frame({ seq: 0 }), seal: undefined }
    t.true(message.equals(sent.message))
    t.like(sent, rest)
    t.like(seal, { keyframe: 1, packet: 1, isCorrupt: false })
    t.true(
      message
        .subarray(seal?.dataOffset)
        .subarray(0, 320 * 192 * 3)
        .equals(Buffer.alloc(320 * 192 * 3, 1)),
    )
  }
  const longest = fakeFrame(
    { namespace: 'n'.repeat(63), name: 'c'.repeat(52) },
    {
      ...{ seq: 2 ** 40, timestamp: Date.now(), width: 4000, height: 2000 },
    },
  )
  t.is(received(longest)?.message.length, longest.message.length)
})

test('a frame and a packet keep the camera’s own time', t => {
  const camera = { ms: 1_800_000_000_123, uncertaintyMs: 4 }
  t.deepEqual(received({ ...frame(), camera })?.camera, camera)
  t.is(received(frame())?.camera, undefined)
  t.throws(() => received({ ...frame(), camera: { ms: 1, uncertaintyMs: -1 } }), { instanceOf: BadMessage })
})

test('a frame that is larger than any picture is refused at its first part', t => {
  const [first] = frameMessages(CAMERA.uid, frame({ width: 8_000, height: 6_000, message: Buffer.alloc(8_000 * 6_000 * 3 + 10) }), 2 ** 20)
  const message = { headers: first?.headers, data: first?.payload ?? Buffer.alloc(0) }
  t.is(t.throws(() => new Reassembly(CAMERA.uid).frame(message), { instanceOf: BadMessage })?.reason, 'header')
})

test('a frame whose picture is not as large as it says is no frame, and its bytes are no client’s', t => {
  const { message } = frame()
  const picture = 320 * 192 * 3
  const head = message.indexOf(1) // fakeFrame's pictures are full of their seq
  for (const [what, bad] of [
    ['one pixel, and much behind it', { width: 1, height: 1 }],
    ['a pixel less than there is', { width: 319 }],
    ['as many pixels in another shape', { width: 192, height: 320 }],
    ['another length in front of the picture', { message: copyOf(message, copy => copy.writeUInt8((copy[1] ?? 0) ^ 1, 1)) }],
    ['another field in front', { message: copyOf(message, copy => copy.writeUInt8(0x22, 0)) }],
    ['nothing but bytes', { message: Buffer.alloc(picture + 100, 0x1a) }],
    ['much behind it', { message: Buffer.concat([message, Buffer.alloc(2_000)]) }],
    ['what can’t be read behind it', { message: Buffer.concat([message, Buffer.from([0xff])]) }],
    ['a second picture', { message: Buffer.concat([message, Buffer.from([0x1a, 1, 0])]) }],
    ['a second width', { message: Buffer.concat([message, Buffer.from([0x08, 1])]) }],
    ['neither width nor height', { message: message.subarray(0, head + picture) }],
  ] as const satisfies [string, Partial<Frame>][]) {
    for (const partBytes of [2 ** 20, 100_000]) {
      const error = t.throws(() => received(frame(bad), partBytes), { instanceOf: BadMessage }, what)
      t.is(error?.reason, 'shape', what)
    }
  }
})

test('a codec whose time base ffmpeg could not have said is refused: its ticks are written bit by bit', t => {
  const codec = { ...{ name: 'h264', longName: 'H.264', width: 64, height: 64, pixFmt: 'yuv420p', extradata: '' }, reorder: 0 }
  const parsed = (timeBase: number[]) => v.safeParse(Codec, { ...codec, timeBase }).success
  t.true(parsed([1, 2 ** 31 - 1]))
  for (const bad of [
    [1, 1.7e308],
    [1e300, 1],
    [1, 2 ** 31],
    [0, 1],
  ])
    t.false(parsed(bad), String(bad))
})
