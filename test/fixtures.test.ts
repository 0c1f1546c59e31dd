import { spawnSync } from 'node:child_process'
import test from 'ava'
import { connect } from 'nats'
import { startNats } from './fixtures/nats.ts'
import { startCamera, type CameraCodec } from './fixtures/rtsp-camera.ts'

test('a nats-server that was killed comes back on its port with what was stored', async t => {
  await using server = await startNats()
  const first = await connect({ servers: server.url, reconnect: false })
  const manager = await first.jetstreamManager()
  await manager.streams.add({ name: 'kept', subjects: ['kept.>'] })
  await first.jetstream().publish('kept.a', 'one')
  await server.kill()
  await first.closed()
  await server.restart()
  const second = await connect({ servers: server.url })
  const { state } = await (await second.jetstreamManager()).streams.info('kept')
  t.is(state.messages, 1)
  await second.close()
})

for (const codec of ['h264', 'h265', 'mjpeg'] as const satisfies CameraCodec[]) {
  test(`a live ${codec} camera`, async t => {
    await using camera = await startCamera({ codec, auth: { user: 'viewer', password: 'pass word' } })
    const r = spawnSync(
      'ffprobe',
      [
        '-v',
        'error',
        '-rtsp_transport',
        'tcp',
        '-read_intervals',
        '%+1',
        '-show_entries',
        'frame=width,height,pict_type',
        '-of',
        'csv',
        camera.urlWithCredentials,
      ],
      { encoding: 'utf8' },
    )
    t.log(r.stdout.slice(0, 500), r.stderr)
    t.is(r.status, 0)
  })
}
