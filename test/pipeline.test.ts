import test from 'ava'
import type { Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { Pipeline, plainSink, type PacketSink } from '../sidecar/packet-sink.ts'

const codec: Codec = {
  name: 'h264',
  longName: 'H.264',
  width: 16,
  height: 16,
  pixFmt: 'yuv420p',
  extradata: '',
  timeBase: [1, 1000],
  reorder: 0,
}
const packet = (pts: number): Packet => ({
  ...{ epoch: 1, index: pts, keyframe: 1, pts, dts: pts, timestamp: pts, key: pts === 0, corrupt: false },
  data: Buffer.alloc(1),
})

/** Notes what it is asked for. */
function witness(name: string, notes: string[]): PacketSink {
  return {
    push: ({ pts }, _, newEpoch) => void notes.push(`${name} ${pts}${newEpoch ? ' new' : ''}`),
    reset: () => void notes.push(`${name} reset`),
    async [Symbol.asyncDispose]() {
      await Promise.resolve()
      notes.push(`${name} gone`)
    },
  }
}

test('each packet passes every sink in order before the next one does, and sinks are disposed of in reverse order', async t => {
  const notes: string[] = []
  {
    await using pipeline = new Pipeline([
      witness('first', notes),
      plainSink(({ pts }) => notes.push(`plain ${pts}`)),
      witness('last', notes),
    ])
    pipeline.push(packet(0), codec, true)
    pipeline.push(packet(1), codec, false)
    pipeline.reset()
  }
  t.deepEqual(notes, [
    ...['first 0 new', 'plain 0', 'last 0 new', 'first 1', 'plain 1', 'last 1', 'first reset', 'last reset'],
    ...['last gone', 'first gone'],
  ])
})

test('a sink that fails to end is reported, and the others end all the same', async t => {
  const notes: string[] = []
  const broken = { ...plainSink(() => {}), [Symbol.asyncDispose]: () => Promise.reject(new Error('it hangs')) }
  const pipeline = new Pipeline([witness('first', notes), broken, witness('last', notes)])
  await t.throwsAsync(pipeline[Symbol.asyncDispose](), { message: 'it hangs' })
  t.deepEqual(notes, ['last gone', 'first gone'])
})

test('sinks that work while the lease is held all get the same signal, and the pipeline waits for each', async t => {
  const held = new AbortController()
  const ended: string[] = []
  const worker = (name: string): PacketSink => ({
    ...plainSink(() => {}),
    run: signal =>
      new Promise(resolve =>
        signal.addEventListener('abort', () => {
          ended.push(name)
          resolve()
        }),
      ),
  })
  const running = new Pipeline([worker('first'), plainSink(() => {}), worker('last')]).run(held.signal)
  t.deepEqual(ended, [])
  held.abort()
  await running
  t.deepEqual(ended, ['first', 'last'])
})
