// Stock Python clients, made from our proto, at a real gateway.
import test from 'ava'
import { createHash } from 'node:crypto'
import { startCameras, type FakeCamera } from './fixtures/cameras.ts'
import { startGateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { startPython } from './fixtures/python.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { until } from './fixtures/wait.ts'

type Line = { packet: number; pts: number; timestamp: number; is_keyframe: boolean; width: number; height: number; sha256: string }

const CAMERA: FakeCamera = { namespace: 'default', name: 'cam', uid: '11111111-1111-4111-8111-111111111111' }

/** What a client prints, from its first line on. */
async function run(args: readonly string[], whileRunning: (frames: readonly Line[]) => Promise<void> = async () => {}): Promise<Line[]> {
  await using python = await startPython('latest_images.py', args)
  const frames: Line[] = []
  let running: Promise<void> | undefined
  for await (const line of python.lines) {
    const value = JSON.parse(line) as Line | 'started'
    if (value === 'started') running = whileRunning(frames)
    else frames.push(value)
  }
  await python.finished
  await running
  return frames
}

for (const manner of ['stream', 'calls']) {
  test.serial(`a Python client gets every frame of a camera once, in order and whole, by ${manner}`, async t => {
    await using nats = await startNats()
    await using cameras = await startCameras(nats.url, [CAMERA])
    await using gateway = await startGateway(nats.url)
    await until(() => gateway.ready(), { what: 'the gateway to be ready' })
    const count = 60
    const frames = await run([`127.0.0.1:${gateway.port}`, 'cam', String(count), manner], async got => {
      await until(() => cameras.demands.length > 0, { what: 'the client’s demand' })
      for (let seq = 1; seq <= count; seq++) {
        await until(() => got.length > seq - 2, { what: `the client to have the frame before ${seq}`, everyMs: 5 })
        cameras.send(CAMERA, { seq, width: 320, height: 180 })
      }
    })
    t.deepEqual(
      frames.map(frame => frame.packet),
      Array.from({ length: count }, (_, i) => i + 1),
    )
    for (const { packet, sha256 } of frames) {
      t.is(
        sha256,
        createHash('sha256')
          .update(Buffer.alloc(320 * 180 * 3, packet))
          .digest('hex'),
      )
    }
  })
}

test.serial('a Python client and a real sidecar: frames in order, none twice, and keyframes for whoever wants only those', async t => {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [CAMERA])
  await using sidecar = await startSidecar(nats, { spec: { source: { url: 'testsrc:?size=320x180&rate=15' } } })
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await sidecar.stateWith('packets', state => state.connection === 'streaming')
  const address = `127.0.0.1:${gateway.port}`
  const [all, keyframes] = await Promise.all([run([address, 'cam', '60', 'calls']), run([address, 'cam', '3', 'stream', 'keyframes'])])
  for (const frames of [all, keyframes]) {
    t.true(frames.every(({ width, height }) => width === 320 && height === 180))
    const times = frames.map(({ timestamp }) => timestamp)
    t.deepEqual(
      times,
      [...new Set(times)].sort((a, b) => a - b),
    )
  }
  t.true(keyframes.every(frame => frame.is_keyframe))
})
