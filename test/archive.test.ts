// The archive of a real sidecar, read back by ffmpeg and ffprobe.
import test, { type ExecutionContext } from 'ava'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readdir, stat, truncate, unlink, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { archivedFiles, archivedPictures, parts, probe } from './fixtures/archive.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { pictureHash } from './fixtures/packets.ts'
import { descendants } from './fixtures/processes.ts'
import { startCamera, type CameraCodec } from './fixtures/rtsp-camera.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { testInTurns } from './fixtures/turns.ts'
import { until } from './fixtures/wait.ts'
import { startWebCamera } from './fixtures/web-camera.ts'

const run = promisify(execFile)
const inTurn = testInTurns(3)

type Options = { codec?: CameraCodec; bFrames?: number; archive?: object; env?: Record<string, string>; dir?: string }

/** A camera at almost no cost, and a sidecar that archives it. */
async function setUp({ codec = 'h264', bFrames = 0, archive = {}, dir, env = {} }: Options = {}) {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const camera = stack.use(await startCamera({ codec, file: await testVideo({ codec, bFrames, fps: 15, gop: 15 }) }))
  const folder = stack.use(await temporaryFolder())
  const volume = dir ?? folder.path
  const spec = { source: { url: camera.url }, buffer: { duration: '10m', maxBytes: '256Mi' }, archive }
  const sidecar = stack.use(await startSidecar(nats, { spec, env: { CHRYS_ARCHIVE_DIR: volume, ...env } }))
  const owned = stack.move()
  return { nats, camera, sidecar, volume, folder: `${volume}/cam`, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const metric = async (sidecar: Sidecar, name: string): Promise<number> =>
  (await sidecar.metrics())
    .split('\n')
    .filter(line => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)

const files = (folder: string, count: number) =>
  until(async () => (await archivedFiles(folder)).length >= count, { what: `${count} files`, timeoutMs: 60_000, everyMs: 200 })

async function stop(sidecar: Sidecar): Promise<void> {
  const gone = once(sidecar.child, 'exit')
  sidecar.child.kill('SIGTERM')
  await gone
}

/** Every finished file is one that ffprobe accepts. */
async function allAccepted(t: ExecutionContext, folder: string): Promise<void> {
  for (const { path, name, durationMs } of await archivedFiles(folder)) {
    const { packets } = await probe(path)
    t.true(packets > 0 && durationMs > 0, name)
  }
}

for (const [codec, bFrames, archive] of [
  ['h264', 0, {}],
  ['h264', 2, { segment: '3s' }],
  ['h265', 2, {}],
  ['mjpeg', 0, { segment: 'GOP' }],
] as const) {
  inTurn(
    `the files of a camera that sends ${codec} (B-frames: ${bFrames}, ${JSON.stringify(archive)}) hold every packet, once and in order`,
    async t => {
      await using parts_ = await setUp({ codec, bFrames, archive })
      const { sidecar, folder } = parts_
      await files(folder, 4)
      t.like(await sidecar.stateWith('archiving', state => state.archive?.active === true), { archive: { ok: true } })
      await stop(sidecar)

      const stored = await sidecar.packets()
      const pictures = await archivedPictures(folder)
      const name = codec === 'h265' ? 'hevc' : codec
      t.deepEqual(
        pictures.map(({ hash }) => hash),
        stored.map(({ data }) => pictureHash(name, data)),
      )
      const found = await archivedFiles(folder)
      let first = 0
      for (const [i, { path, startMs, durationMs }] of found.entries()) {
        const { packets, seconds } = await probe(path)
        t.like(stored[first], { timestamp: startMs, key: true })
        const next = found[i + 1]
        if (next !== undefined) {
          t.is(startMs + durationMs, next.startMs)
          t.true(Math.abs(seconds * 1000 - durationMs) < 200, `${seconds} s in a file of ${durationMs} ms`)
        }
        first += packets
      }
      t.is(first, stored.length)
      t.deepEqual(await parts(folder), [])
    },
  )
}

inTurn('a codec that MP4 does not carry: the archive says so by its name, and the camera streams all the same', async t => {
  await using folder = await temporaryFolder()
  const file = folder.file('vp8.mkv')
  const encode = ['-c:v', 'libvpx', '-deadline', 'realtime', '-g', '10']
  await run(ffmpegPath(process.env), ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=320x192:rate=10', '-t', '60', ...encode, file])
  await using nats = await startNats()
  await using camera = await startWebCamera({ kind: 'file', file })
  const spec = { source: { url: camera.url }, archive: {} }
  await using sidecar = await startSidecar(nats, { spec, env: { CHRYS_ARCHIVE_DIR: folder.path } })
  const { archive, connection } = await sidecar.stateWith('a refusal', state => state.archive?.ok === false)
  t.like(archive, { reason: 'ArchiveCodecUnsupported', message: 'MP4 files do not carry vp8, which the camera sends' })
  t.is(connection, 'streaming')
  t.deepEqual(await archivedFiles(`${folder.path}/cam`), [])
})

inTurn('a new picture size begins a new file', async t => {
  await using parts_ = await setUp({ archive: { segment: '1h' } })
  const { sidecar, camera, folder } = parts_
  const before = await sidecar.stateWith('the first codec', state => state.codec?.width === 640)
  await until(async () => (await parts(folder)).length === 1, { what: 'a file in the making' })
  await camera.changeFile(await testVideo({ width: 320, height: 240, fps: 15, gop: 15 }))
  await sidecar.stateWith('the second codec', state => state.codec?.width === 320 && state.epoch !== before.epoch, 60_000)
  await files(folder, 1)
  await stop(sidecar)
  const stored = await sidecar.packets()
  t.deepEqual(
    (await archivedPictures(folder)).map(({ hash }) => hash),
    stored.map(({ data }) => pictureHash('h264', data)),
  )
  t.true((await archivedFiles(folder)).length >= 2)
  await allAccepted(t, folder)
})

inTurn('while the camera is away the file that was being written is complete', async t => {
  await using parts_ = await setUp({ archive: { segment: '1h' } })
  const { sidecar, camera, folder } = parts_
  await until(async () => (await parts(folder)).length === 1, { what: 'a file in the making' })
  await camera.kill()
  await sidecar.stateWith('the end', state => state.connection !== 'streaming' && state.archive?.active === false)
  await files(folder, 1)
  t.deepEqual(await parts(folder), [])
  await camera.restart()
  await until(async () => (await parts(folder)).length === 1, { what: 'the next file', timeoutMs: 60_000 })
  t.like(await sidecar.state(), { archive: { ok: true } })
})

inTurn('old files are removed by age, and the oldest by size', async t => {
  await using folder = await temporaryFolder()
  await mkdir(folder.file('cam'))
  const old = `${Date.now() - 3_600_000}_1000.mp4`
  await writeFile(folder.file(`cam/${old}`), 'x')
  await writeFile(folder.file('cam/holiday.mp4'), 'x')
  await using parts_ = await setUp({ dir: folder.path, archive: { retention: '1h', maxBytes: '1M' } })
  const { sidecar } = parts_
  const cam = folder.file('cam')
  await until(async () => !(await readdir(cam)).includes(old), { what: 'the old file to go' })
  await until(async () => (await metric(sidecar, 'chrysalis_archive_removed_total')) >= 4, {
    what: 'files to go by size',
    timeoutMs: 90_000,
    everyMs: 500,
  })
  // Another file may go between the list and a look at it.
  const sizes = await until(() => sizesIn(cam), { what: 'a look at the files between two removals' })
  t.true(sizes.length > 0 && sizes.reduce((sum, size) => sum + size, 0) < 2e6)
  t.true((await readdir(cam)).includes('holiday.mp4'))
})

async function sizesIn(folder: string): Promise<number[] | undefined> {
  try {
    return await Promise.all((await archivedFiles(folder)).map(async ({ path }) => (await stat(path)).size))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

inTurn('after a kill of the sidecar every finished file is accepted, and what was in the making is finished', async t => {
  await using parts_ = await setUp({ archive: { segment: '1h' } })
  const { sidecar, folder } = parts_
  await until(async () => (await metric(sidecar, 'chrysalis_packets_total')) > 60, { what: 'some packets', everyMs: 200 })
  const left = (await parts(folder))[0] ?? ''
  for (const child of descendants(sidecar.pid)) process.kill(child.pid, 'SIGKILL') // as in a pod, where nothing outlives its process 1
  sidecar.child.kill('SIGKILL')
  await sidecar.restart()
  await files(folder, 1)
  const [saved] = await archivedFiles(folder)
  t.true(left.startsWith(`${saved?.startMs}.`), left)
  await until(async () => !(await parts(folder)).includes(left), { what: 'the leftover to go' })
  await stop(sidecar)
  await allAccepted(t, folder)
  // What comes first in the archive is what came first: the loss is at the end of the file.
  const stored = (await sidecar.packets()).map(({ data }) => pictureHash('h264', data))
  const pictures = (await archivedPictures(folder)).map(({ hash }) => hash)
  const { packets } = await probe(saved?.path ?? '')
  t.true(packets >= 30, `${packets} packets were kept`)
  t.deepEqual(pictures.slice(0, packets), stored.slice(0, packets))
})

inTurn('an ffmpeg that outlives its sidecar ends its file, which then gets its name', async t => {
  await using parts_ = await setUp({ archive: { segment: '1h' } })
  const { sidecar, folder } = parts_
  await until(async () => (await metric(sidecar, 'chrysalis_packets_total')) > 50, { what: 'some packets', everyMs: 200 })
  sidecar.child.kill('SIGKILL')
  await sidecar.restart()
  await files(folder, 1)
  await stop(sidecar)
  await allAccepted(t, folder)
  const [saved] = await archivedFiles(folder)
  const { packets } = await probe(saved?.path ?? '')
  const stored = (await sidecar.packets()).map(({ data }) => pictureHash('h264', data))
  t.true(packets > 45, `${packets}`)
  t.deepEqual((await archivedPictures(folder)).map(({ hash }) => hash).slice(0, packets), stored.slice(0, packets))
})

inTurn('a kill of the archive’s ffmpeg costs at most what it had not written, and is noticed', async t => {
  await using parts_ = await setUp({ archive: { segment: '1h' } })
  const { sidecar, folder } = parts_
  await until(async () => (await metric(sidecar, 'chrysalis_packets_total')) > 50, { what: 'some packets', everyMs: 200 })
  const writer = descendants(sidecar.pid).find(({ command }) => command.includes('.mp4.part'))
  process.kill(writer?.pid ?? 0, 'SIGKILL')
  await files(folder, 1)
  await sidecar.stateWith('archiving again', state => state.archive?.ok === true && state.archive.active, 60_000)
  await stop(sidecar)
  await allAccepted(t, folder)
  t.is((await archivedFiles(folder)).length, 2)
  t.regex(sidecar.log(), /"reason":"ArchiveFailed"/)
})

inTurn('leftovers that can’t be read are removed, and those that are still being written are left alone', async t => {
  await using folder = await temporaryFolder()
  const cam = folder.file('cam')
  await mkdir(cam)
  const [empty, cut, busy] = ['1000.gone1.mp4.part', '2000.gone2.mp4.part', '3000.busy.mp4.part']
  await writeFile(`${cam}/${empty}`, '')
  await copyFile(await testVideo(), `${cam}/${cut}`)
  await truncate(`${cam}/${cut}`, 100_000) // its index is at its end
  await writeFile(`${cam}/${busy}`, 'x')
  const writing = setInterval(() => void writeFile(`${cam}/${busy}`, 'x', { flag: 'a' }), 500)
  t.teardown(() => clearInterval(writing))
  await using parts_ = await setUp({ dir: folder.path, archive: { retention: '10000d' } })
  await until(async () => !(await readdir(cam)).some(name => name === empty || name === cut), { what: 'the leftovers to go' })
  t.true((await readdir(cam)).includes(busy))
  await stop(parts_.sidecar)
  await allAccepted(t, cam)
})

inTurn('a folder that can’t be written to is said to be so, and the stream goes on', async t => {
  await using folder = await temporaryFolder()
  await writeFile(folder.file('cam'), 'not a folder')
  await using parts_ = await setUp({ dir: folder.path })
  const { sidecar } = parts_
  const state = await sidecar.stateWith('a cause', ({ archive }) => archive?.reason === 'ArchiveUnwritable')
  t.false(state.archive?.ok)
  t.false(state.archive?.active)
  t.notRegex(state.archive?.message ?? '', /\/tmp/)
  await using watching = await sidecar.watch('all')
  await until(() => watching.frames.length > 20, { what: 'frames' })
  t.true((await metric(sidecar, 'chrysalis_archive_dropped_total')) > 0)
  await unlink(folder.file('cam'))
  await sidecar.stateWith('archiving', ({ archive }) => archive?.ok === true && archive.active, 60_000)
  await files(folder.file('cam'), 1)
  t.is(await metric(sidecar, 'chrysalis_buffer_dropped_total'), 0)
})

// Only root may mount; elsewhere nothing stands in for a full file system.
const asRoot: typeof inTurn = process.getuid?.() === 0 ? inTurn : test.skip

async function mount(what: string[], place: string): Promise<AsyncDisposable> {
  await run('mount', [...what, place])
  return {
    async [Symbol.asyncDispose]() {
      await run('umount', ['--lazy', place])
    },
  }
}

asRoot('a full volume costs the archive its packets, nobody else anything, and is over when there is room', async t => {
  await using folder = await temporaryFolder()
  await using _mounted = await mount(['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs'], folder.path)
  await writeFile(folder.file('ballast'), Buffer.alloc(3 * 2 ** 20))
  await using parts_ = await setUp({ dir: folder.path, archive: { retention: '1d' } })
  const { sidecar } = parts_
  await using watching = await sidecar.watch('all')
  const state = await sidecar.stateWith('a cause', ({ archive }) => archive?.reason === 'ArchiveDiskFull', 90_000)
  t.false(state.archive?.ok)
  t.regex(state.archive?.message ?? '', /volume is full/)
  const before = watching.frames.length
  await until(() => watching.frames.length > before + 60, { what: 'frames while the volume is full' })
  t.is((await sidecar.state())?.archive?.reason, 'ArchiveDiskFull')
  await allAccepted(t, folder.file('cam'))
  const dropped = await metric(sidecar, 'chrysalis_archive_dropped_total')
  await until(async () => (await metric(sidecar, 'chrysalis_archive_dropped_total')) > dropped, {
    what: 'more to be dropped, as the alert has it',
  })

  await unlink(folder.file('ballast'))
  const count = (await archivedFiles(folder.file('cam'))).length
  await sidecar.stateWith('archiving', ({ archive }) => archive?.ok === true && archive.active, 60_000)
  await files(folder.file('cam'), count + 1)
  t.is(await metric(sidecar, 'chrysalis_buffer_dropped_total'), 0)
  await stop(sidecar)
  await allAccepted(t, folder.file('cam'))
  t.deepEqual(await parts(folder.file('cam')), [])
})

asRoot('after a power cut every finished file is whole', async t => {
  await using folder = await temporaryFolder()
  const [image, copy] = [folder.file('image'), folder.file('copy')]
  await run('truncate', ['-s', '64M', image])
  await run('mkfs.ext4', ['-q', image])
  const [volume, after] = [folder.file('volume'), folder.file('after')]
  for (const place of [volume, after]) await mkdir(place)
  await using _device = await mount(['-o', 'loop', image], volume)
  await using parts_ = await setUp({ dir: volume })
  await files(`${volume}/cam`, 5)
  // What has not been written back to the device by now is what a power cut takes.
  await copyFile(image, copy)
  const before = await archivedFiles(`${volume}/cam`)
  await stop(parts_.sidecar)
  await using _afterwards = await mount(['-o', 'loop', copy], after)
  const survived = await archivedFiles(`${after}/cam`)
  t.true(survived.length >= 5, `${survived.length} of ${before.length} files survived`)
  await allAccepted(t, `${after}/cam`)
})
