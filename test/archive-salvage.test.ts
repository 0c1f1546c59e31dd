// What becomes of an archive's file in the making when the ffmpeg that reads it fails: nothing, until one can read it.
import anyTest from 'ava'
import { copyFile, mkdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { Failure } from '../common/errors.ts'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { salvage } from '../sidecar/archive/salvage.ts'
import { archivedFiles, parts, probe } from './fixtures/archive.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { descendants, noneLeft } from './fixtures/processes.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { temporaryFolder, type TemporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest.serial // they change the environment of all

const never = new AbortController().signal
const REAL = ffmpegPath(process.env)
const PART = '1700000000000.gone.mp4.part'

/** A program that is ffmpeg, except that `script` comes before it. */
async function ffmpegWith(folder: TemporaryFolder, script: string): Promise<string> {
  const path = folder.file('ffmpeg')
  await writeFile(path, `#!/bin/sh\n${script}\nexec ${REAL} "$@"\n`, { mode: 0o755 })
  return path
}

/** While `works` is missing, those die that read what a crash left; `tries` gets a line each. */
const readersDie = (works: string, tries: string) =>
  `case "$*" in *.part*framecrc*) echo >> ${tries}; [ -e ${works} ] || kill -KILL $$;; esac`

/** What `use` gives while this is the ffmpeg of this process. */
async function withFfmpeg<T>(ffmpeg: string, use: () => Promise<T>): Promise<T> {
  const before = process.env['FFMPEG_PATH']
  process.env['FFMPEG_PATH'] = ffmpeg
  try {
    return await use()
  } finally {
    if (before === undefined) delete process.env['FFMPEG_PATH']
    else process.env['FFMPEG_PATH'] = before
  }
}

/** For a sidecar: an ffmpeg that is a script starts other programs, as no confined one may. */
const asScript = (ffmpeg: string, unconfined: TemporaryFolder) => ({ FFMPEG_PATH: ffmpeg, XDG_CACHE_HOME: unconfined.path })

/** Some packets only. */
const SOME = `${REAL} "$@" 3>&1 >/dev/null | head -n 30 >&3`

for (const [how, script, says] of [
  ['is killed', 'kill -KILL $$', /SIGKILL/],
  ['is killed in the middle', `${SOME}\nkill -KILL $$`, /SIGKILL/],
  ['fails', 'exit 1', /code 1/],
  ['fails in the middle', `${SOME}\nexit 1`, /code 1/],
  ['calls the file invalid, and is killed', 'echo "[error] Invalid data found when processing input" >&2; kill -KILL $$', /SIGKILL/],
  ['is told of an error of the volume in the middle', `${SOME}\necho "[error] file:x: Input/output error" >&2; exit 0`, /code 0/],
  ['stands still', 'exec sleep 600', /stood still/],
  ['stands still in the middle', `${SOME}\nexec sleep 600`, /stood still/],
] as const) {
  test(`an ffmpeg that ${how} costs no footage: the file in the making stays, and is whole at the next try`, async t => {
    await using folder = await temporaryFolder()
    const video = await testVideo()
    await copyFile(video, folder.file(PART))
    const failing = await ffmpegWith(folder, script)
    const failure = await withFfmpeg(failing, () => t.throwsAsync(salvage(folder.path, PART, never, 2_000), { instanceOf: Failure }))
    t.regex(failure?.message ?? '', says)
    t.deepEqual(await readFile(folder.file(PART)), await readFile(video))
    t.deepEqual(await archivedFiles(folder.path), [])
    await noneLeft(({ command }) => command.includes(folder.path) || command.includes('sleep 600'))

    const saved = await salvage(folder.path, PART, never)
    t.like(saved, { startMs: 1_700_000_000_000, durationMs: 4_000, packets: 120 })
    t.deepEqual(await parts(folder.path), [])
  })
}

test('a reading that takes longer than its limit goes on while packets come', async t => {
  await using folder = await temporaryFolder()
  await copyFile(await testVideo(), folder.file(PART))
  const slow = await ffmpegWith(folder, `exec ${REAL} -readrate 1 -readrate_initial_burst 0 "$@" -flush_packets 1`)
  const saved = await withFfmpeg(slow, () => salvage(folder.path, PART, never, 2_000))
  t.like(saved, { durationMs: 4_000, packets: 120 })
})

for (const [what, box] of [
  ['with a broken index', 'ff'.repeat(92)],
  ['with an index of nothing', '00000008667265650000000866726565'],
] as const) {
  test(`a file in the making ${what} is removed: ffmpeg itself can’t read it`, async t => {
    await using folder = await temporaryFolder()
    const content = Buffer.from(box, 'hex')
    const head = Buffer.from([0, 0, 0, content.length + 8, ...Buffer.from('moov')])
    await writeFile(folder.file(PART), Buffer.concat([head, content]))
    t.is(await salvage(folder.path, PART, never), undefined)
    t.deepEqual(await parts(folder.path), [])
  })
}

test('a sidecar tries a leftover again when ffmpeg failed, ever more seldom, until it is read or as old as the retention', async t => {
  await using folder = await temporaryFolder()
  const cam = folder.file('cam')
  await mkdir(cam)
  const begun = Date.now() - 60_000
  const [whole, empty, old] = [`${begun}.gone1.mp4.part`, '2000.gone2.mp4.part', '3000.gone3.mp4.part']
  await copyFile(await testVideo(), `${cam}/${whole}`)
  await writeFile(`${cam}/${empty}`, '')
  await copyFile(await testVideo(), `${cam}/${old}`)
  await utimes(`${cam}/${old}`, new Date(), new Date(Date.now() - 2 * 3_600_000))
  const [works, tries] = [folder.file('works'), folder.file('tries')]
  const ffmpeg = await ffmpegWith(folder, readersDie(works, tries))
  await using nats = await startNats()
  const spec = { source: { url: 'rtsp://127.0.0.1:1/x' }, archive: { retention: '1h' } }
  await using sidecar = await startSidecar(nats, { spec, env: { CHRYS_ARCHIVE_DIR: folder.path, ...asScript(ffmpeg, folder) } })
  const tried = () => readFile(tries, 'utf8').then(text => text.length)
  await until(async () => (await tried()) >= 2, { what: `two tries\n${sidecar.log()}`, timeoutMs: 60_000 })
  // The one that fails is in nobody's way.
  await until(async () => (await parts(cam)).join() === whole, { what: `the other leftovers to go\n${sidecar.log()}` })
  t.deepEqual(await archivedFiles(cam), [])
  t.regex(sidecar.log(), /could not tidy the archive/)

  await writeFile(works, '')
  await until(async () => (await archivedFiles(cam)).length === 1, { what: `the file\n${sidecar.log()}`, timeoutMs: 60_000 })
  const [saved] = await archivedFiles(cam)
  t.like(saved, { startMs: begun, durationMs: 4_000 })
  t.is((await probe(saved?.path ?? '')).packets, 120)
  t.deepEqual(await parts(cam), [])
  t.true((await tried()) < 10)
})

test('what a sidecar’s own ffmpeg left when it died is tried again too', async t => {
  await using folder = await temporaryFolder()
  const cam = folder.file('cam')
  const [works, tries] = [folder.file('works'), folder.file('tries')]
  const ffmpeg = await ffmpegWith(folder, readersDie(works, tries))
  await using nats = await startNats()
  await using camera = await startCamera({ file: await testVideo({ fps: 15, gop: 15 }) })
  const spec = { source: { url: camera.url }, archive: { segment: '1h' } }
  await using sidecar = await startSidecar(nats, { spec, env: { CHRYS_ARCHIVE_DIR: folder.path, ...asScript(ffmpeg, folder) } })
  const left = await until(
    async () => {
      const [part = ''] = await parts(cam)
      return (await stat(`${cam}/${part}`)).size > 100_000 && part
    },
    { what: `a file in the making\n${sidecar.log()}`, timeoutMs: 60_000 },
  )
  process.kill(descendants(sidecar.pid).find(({ command }) => command.includes(left))?.pid ?? 0, 'SIGKILL')
  await until(() => readFile(tries, 'utf8'), { what: `a try\n${sidecar.log()}` })
  await writeFile(works, '')
  const [saved] = await until(async () => (await archivedFiles(cam)).length === 1 && archivedFiles(cam), {
    what: `the file\n${sidecar.log()}`,
    timeoutMs: 60_000,
  })
  t.true(left.startsWith(`${saved?.startMs}.`), `${left} ${saved?.name}`)
  t.true((await probe(saved?.path ?? '')).packets >= 15)
})
