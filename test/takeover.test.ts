// Two sidecars of one camera, as when the pod of a lost node lives on beside its replacement: one at a time has the camera.
import anyTest from 'ava'
import { stat, writeFile } from 'node:fs/promises'
import { parseJson } from '../proto/messages.ts'
import { CameraLease } from '../proto/state.ts'
import { BUCKET, cameraKey } from '../proto/subjects.ts'
import { archivedFiles, parts, probe } from './fixtures/archive.ts'
import { startCameras } from './fixtures/cameras.ts'
import { grpcClient, startGateway } from './fixtures/gateway.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { descendants, end } from './fixtures/processes.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest.serial

/** It has an ffmpeg on the camera. */
const hasCamera = ({ pid }: Sidecar) => descendants(pid).some(({ command }) => command.includes('-f rtsp'))

async function setUp() {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const camera = stack.use(await startCamera({ file: await testVideo({ width: 320, height: 192, seconds: 1 }) }))
  const start = async (holder: string) =>
    stack.use(await startSidecar(nats, { spec: { source: { url: camera.url } }, env: { CHRYS_LEASE_HOLDER: holder } }))
  const first = await start('pod-a')
  await first.stateWith('streaming', ({ connection }) => connection === 'streaming')
  const second = await start('pod-b')
  await until(() => /waiting for the camera’s lease/.test(second.log()), { what: `the second to wait\n${second.log()}` })
  const cameras = stack.use(await startCameras(nats.url, [first.camera]))
  const gateway = stack.use(await startGateway(nats.url))
  await until(() => gateway.ready(), { what: 'the gateway to know its cameras' })
  const owned = stack.move()
  return { nats, first, second, cameras, gateway, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

for (const [how, signal, limitMs] of [
  ['is killed', 'SIGKILL', 15_000],
  ['is asked to stop', 'SIGTERM', 3_000],
] as const) {
  test(`a second sidecar waits, ready, and takes the camera within ${limitMs / 1000} s after the first ${how}; a client goes on`, async t => {
    await using setting = await setUp()
    const { first, second, gateway } = setting
    await using client = grpcClient(gateway.port)
    using stream = client.stream()
    const got: number[] = []
    const watch = async (enough: () => boolean) => {
      await until(
        async () => {
          const { data, timestamp } = await stream.ask({ device_id: first.camera.name })
          if (data.length > 0) got.push(timestamp)
          return enough()
        },
        { what: 'frames', timeoutMs: 40_000, everyMs: 5 },
      )
    }
    await watch(() => got.length > 20)
    t.true(hasCamera(first))
    t.false(hasCamera(second))
    t.true(await second.isReady())
    const { epoch, connection } = await first.stateWith('the holder’s word', () => true)
    t.is(connection, 'streaming')

    const from = performance.now()
    const ending = end(first.child, signal)
    await until(() => hasCamera(second), { what: `the second with the camera\n${second.log()}` })
    t.true(performance.now() - from <= limitMs, `${performance.now() - from} ms`)
    await ending
    const before = got.length
    await watch(() => got.length > before + 20)
    t.deepEqual(
      got,
      got.toSorted((a, b) => a - b),
    )
    const after = await second.stateWith('streaming', state => state.connection === 'streaming' && state.epoch > epoch)
    t.like(after, { reason: undefined, failingStreak: 0 })
    const epochs = (await second.packets()).map(packet => packet.epoch)
    t.deepEqual(
      epochs,
      epochs.toSorted((a, b) => a - b),
    )
    t.deepEqual([...new Set(epochs)], [epoch, after.epoch])
  })
}

test('who waits for a silent holder says so, and ListStreams calls it restarting until the holder speaks again', async t => {
  await using setting = await setUp()
  const { first, second, gateway } = setting
  first.child.kill('SIGSTOP') // it holds the lease, and says nothing
  const state = await second.stateWith('WaitingForLease', ({ reason }) => reason === 'WaitingForLease')
  t.is(state.connection, 'waiting')
  t.regex(state.message ?? '', /pod-a/)
  await using client = grpcClient(gateway.port)
  const listed = async () => (await client.list()).find(({ name }) => name === first.camera.name)
  const waiting = await until(
    async () => {
      const found = await listed()
      return found?.error?.startsWith('WaitingForLease') === true && found
    },
    { what: 'ListStreams' },
  )
  t.is(waiting.status, 'restarting')
  // It was only believed to be dead: another has the camera now, and it must let go.
  await until(() => hasCamera(second), { what: 'the second with the camera' })
  first.child.kill('SIGCONT')
  await until(() => !hasCamera(first), { what: 'the first to let go', timeoutMs: 10_000 })
  await until(() => /another sidecar has taken/.test(first.log()), { what: 'the first to know' })
  await second.stateWith('streaming', ({ connection, run }) => connection === 'streaming' && run === state.run)
  await until(async () => (await listed())?.status === 'running', { what: 'running' })
})

test('a sidecar that was killed has its camera back within seconds: its next process is the same holder', async t => {
  await using setting = await setUp()
  const { first, second } = setting
  await using watching = await first.watch('all')
  await until(() => watching.frames.length > 10, { what: 'frames' })
  const epoch = watching.frames.at(-1)?.epoch ?? 0
  const from = performance.now()
  await end(first.child, 'SIGKILL')
  await first.restart()
  await until(() => watching.frames.some(frame => frame.epoch > epoch), { what: 'frames of a later epoch' })
  t.true(performance.now() - from <= 10_000, `${performance.now() - from} ms`)
  t.false(hasCamera(second))
})

/** Sidecars with one volume; at one picture a second a file in the making stays empty for many seconds. */
async function setUpArchive(fps = 1) {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const file = await testVideo({ width: 320, height: 192, fps, gop: 2 * fps, seconds: 60 / fps, bitrate: 100_000 })
  const camera = stack.use(await startCamera({ file }))
  const volume = stack.use(await temporaryFolder())
  const spec = { source: { url: camera.url }, archive: { segment: '1h', retention: '1h' } }
  const owned = stack.move()
  const start = async (holder: string) =>
    owned.use(await startSidecar(nats, { spec, env: { CHRYS_LEASE_HOLDER: holder, CHRYS_ARCHIVE_DIR: volume.path } }))
  return { folder: volume.file('cam'), start, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const waits = (sidecar: Sidecar) =>
  until(() => /waiting for the camera’s lease/.test(sidecar.log()), { what: `it to wait\n${sidecar.log()}` })

async function holderOf({ nc, camera }: Sidecar): Promise<string> {
  const kv = await nc.jetstream().views.kv(BUCKET.leases, { bindOnly: true })
  const entry = await kv.get(cameraKey(camera))
  return entry === null ? '' : parseJson(CameraLease, entry.value).holder
}

test('a sidecar that waits touches no file of the one with the camera, which finishes what is open before it lets go', async t => {
  await using setting = await setUpArchive()
  const { folder, start } = setting
  const first = await start('pod-a')
  const [part = ''] = await until(async () => (await parts(folder)).length === 1 && parts(folder), { what: 'a file in the making' })
  const second = await start('pod-b')
  await waits(second)
  const { ino, size } = await stat(`${folder}/${part}`)
  t.is(size, 0)
  // Two looks at the folder would be enough to take it for left behind; it gets its first bytes later than that.
  await until(async () => (await stat(`${folder}/${part}`).catch(() => ({ size: -1 }))).size !== 0, {
    what: 'bytes in the file',
    timeoutMs: 60_000,
  })
  const after = await stat(`${folder}/${part}`)
  t.true(after.size > 0)
  t.is(after.ino, ino)
  t.regex(await second.metrics(), /^chrysalis_archive_files 0$/m)

  // Whenever another may have the camera, the file is whole.
  const ending = end(first.child, 'SIGTERM', 20_000)
  await until(async () => (await holderOf(second)) !== 'pod-a', { what: 'the first to let go' })
  const [finished] = await archivedFiles(folder)
  t.true(part.startsWith(`${finished?.startMs}.`), JSON.stringify(finished))
  t.true((await probe(finished?.path ?? '')).packets >= 16)
  t.false((await parts(folder)).includes(part))
  await ending
  t.is(first.child.exitCode, 0)
  await until(async () => /^chrysalis_archive_files 1$/m.test(await second.metrics()), {
    what: `the second to look after it\n${second.log()}`,
  })
})

test('a sidecar that has lost the camera finishes its file and tidies nothing, until it has the camera again', async t => {
  await using setting = await setUpArchive()
  const { folder, start } = setting
  const first = await start('pod-a')
  const [part = ''] = await until(async () => (await parts(folder)).length === 1 && parts(folder), { what: 'a file in the making' })
  const second = await start('pod-b')
  await waits(second)
  first.child.kill('SIGSTOP')
  await until(() => hasCamera(second), { what: 'the second with the camera' })
  first.child.kill('SIGCONT')
  await until(() => /another sidecar has taken/.test(first.log()), { what: 'the first to know' })
  await waits(first)
  t.false((await parts(folder)).includes(part))

  // Whoever looks after the folder removes this one.
  await end(second.child, 'SIGKILL')
  const old = `${folder}/${Date.now() - 7_200_000}_1000.mp4`
  await writeFile(old, 'x')
  let holder = ''
  const isThere = () =>
    stat(old).then(
      () => true,
      () => false,
    )
  await until(async () => !(await isThere()) && (holder = await holderOf(first)), {
    what: `the old file to go\n${first.log()}`,
    timeoutMs: 60_000,
  })
  t.is(holder, 'pod-a')
  await until(() => hasCamera(first), { what: 'the first with the camera' })
})

test('a sidecar whose volume stands still lets go of the camera, and ends, soon after it is asked to', async t => {
  await using setting = await setUpArchive(15)
  const first = await setting.start('pod-a')
  const writers = () => descendants(first.pid).filter(({ command }) => command.includes('.mp4.part'))
  const [writer] = await until(() => writers().length === 1 && writers(), { what: `a file being written\n${first.log()}` })
  const pid = writer?.pid ?? 0
  process.kill(pid, 'SIGSTOP')
  try {
    const second = await setting.start('pod-b')
    await waits(second)
    const from = performance.now()
    await end(first.child, 'SIGTERM', 30_000)
    t.true(performance.now() - from < 14_000, `${performance.now() - from} ms`)
    t.is(first.child.exitCode, 0, first.log())
    await until(() => hasCamera(second), { what: 'the second with the camera' })
    t.true(performance.now() - from < 20_000, `${performance.now() - from} ms`)
  } finally {
    process.kill(pid, 'SIGKILL') // in a pod it would end with its container
  }
})
