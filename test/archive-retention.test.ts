import test from 'ava'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { ConfigError } from '../common/errors.ts'
import { readManifests } from '../deploy/local/manifests.ts'
import { readConfig } from '../sidecar/config.ts'
import { overdue, parseName, partName, removeOverdue, scan, SegmentIndex, segmentName } from '../sidecar/archive/retention.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const never = new AbortController().signal

test('names of files say when they begin and how long they are, and nothing else is taken for one', t => {
  t.deepEqual(parseName(segmentName({ startMs: 1_700_000_000_123, durationMs: 2_000 })), {
    kind: 'segment',
    startMs: 1_700_000_000_123,
    durationMs: 2_000,
  })
  t.deepEqual(parseName(partName(1_700_000_000_123, 'a1')), { kind: 'part', startMs: 1_700_000_000_123, run: 'a1' })
  for (const name of [
    'holiday.mp4',
    '1_2.mp4.bak',
    '1_2.MP4',
    '-1_2.mp4',
    '1_2_3.mp4',
    '1.2.mp4',
    'x1_2.mp4',
    '1_2.mp4\n',
    '1.A.mp4.part',
  ]) {
    t.is(parseName(name), undefined, name)
  }
})

test('the index keeps the oldest first, whatever the order in which files are added', t => {
  const index = new SegmentIndex()
  for (const startMs of [30, 10, 50, 20, 40]) index.add({ startMs, durationMs: 10, bytes: startMs })
  t.is(index.count, 5)
  t.is(index.bytes, 150)
  t.true(index.has({ startMs: 20, durationMs: 10 }))
  t.false(index.has({ startMs: 20, durationMs: 11 }))
  const order: number[] = []
  for (let oldest = index.oldest; oldest !== undefined; oldest = index.oldest) {
    order.push(oldest.startMs)
    index.removeOldest()
    if (order.length === 2) index.add({ startMs: 25, durationMs: 1, bytes: 1 })
  }
  t.deepEqual(order, [10, 20, 25, 30, 40, 50])
  t.is(index.bytes, 0)
})

test('a file goes when its last picture is older than the retention, or the oldest when all are too large', t => {
  const index = new SegmentIndex()
  index.add({ startMs: 1_000, durationMs: 1_000, bytes: 100 })
  index.add({ startMs: 2_000, durationMs: 1_000, bytes: 100 })
  const policy = { retentionMs: 10_000, maxBytes: undefined }
  t.is(overdue(index, policy, 0, 12_000), undefined)
  t.is(overdue(index, policy, 0, 12_001), 'age')
  t.is(overdue(index, { ...policy, maxBytes: 200 }, 0, 5_000), undefined)
  t.is(overdue(index, { ...policy, maxBytes: 200 }, 1, 5_000), 'size')
  t.is(overdue(new SegmentIndex(), { ...policy, maxBytes: 1 }, 50, 5_000), undefined)
})

test('only files of our own making are ever removed', async t => {
  await using folder = await temporaryFolder()
  const now = Date.now()
  const old = segmentName({ startMs: now - 600_000, durationMs: 1_000 })
  const young = segmentName({ startMs: now - 5_000, durationMs: 1_000 })
  const strangers = ['holiday.mp4', 'notes.txt', '0_1.mp4.bak', 'x_0_1.mp4']
  for (const name of [old, young, ...strangers]) await writeFile(folder.file(name), 'x'.repeat(10))
  await mkdir(folder.file('7_7.mp4')) // a folder of such a name is not ours
  const { index, parts } = await scan(folder.path, 'me', never)
  t.is(index.count, 2)
  t.deepEqual(parts, [])
  const removed: string[] = []
  await removeOverdue(
    folder.path,
    index,
    { retentionMs: 60_000, maxBytes: undefined },
    () => 0,
    why => removed.push(why),
    never,
  )
  t.deepEqual(removed, ['age'])
  t.deepEqual((await readdir(folder.path)).sort(), [young, ...strangers, '7_7.mp4'].sort())
  await removeOverdue(
    folder.path,
    index,
    { retentionMs: 60_000, maxBytes: 5 },
    () => 0,
    why => removed.push(why),
    never,
  )
  t.deepEqual(removed, ['age', 'size'])
  t.deepEqual((await readdir(folder.path)).sort(), [...strangers, '7_7.mp4'].sort())
})

test('files in the making by others are told apart from our own', async t => {
  await using folder = await temporaryFolder()
  for (const name of [partName(1, 'me'), partName(2, 'other'), 'x.part']) await writeFile(folder.file(name), '')
  t.deepEqual((await scan(folder.path, 'me', never)).parts, [partName(2, 'other')])
})

test('a file that is gone already is no obstacle to removing the next', async t => {
  await using folder = await temporaryFolder()
  for (const startMs of [1, 2, 3]) await writeFile(folder.file(segmentName({ startMs, durationMs: 1 })), 'x')
  const { index } = await scan(folder.path, 'me', never)
  const gone = new SegmentIndex()
  gone.add({ startMs: 0, durationMs: 1, bytes: 1 })
  for (; index.oldest !== undefined; index.removeOldest()) gone.add(index.oldest)
  await removeOverdue(
    folder.path,
    gone,
    { retentionMs: 1_000, maxBytes: undefined },
    () => 0,
    () => {},
    never,
  )
  t.deepEqual(await readdir(folder.path), [])
})

const problemsOf = (archive: object, env: Record<string, string> = { CHRYS_ARCHIVE_DIR: '/archive' }): readonly string[] => {
  try {
    readConfig({
      CHRYS_NATS_URL: 'nats://127.0.0.1:4222',
      CHRYS_CAMERA_NAMESPACE: 'default',
      CHRYS_CAMERA_NAME: 'cam',
      CHRYS_CAMERA_UID: 'u',
      CHRYS_CAMERA_SPEC: JSON.stringify({ source: { url: 'testsrc:' }, archive }),
      ...env,
    })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

for (const [title, archive, says] of [
  ['a retention that is no duration', { retention: '5x' }, 'spec.archive.retention: must be a duration such as 90s, 5m, 2h'],
  ['an empty retention', { retention: '' }, 'spec.archive.retention: must be a duration'],
  ['a retention without a unit', { retention: '300' }, 'spec.archive.retention: must be a duration'],
  ['a retention of nothing', { retention: '0s' }, 'spec.archive.retention: must be more than nothing'],
  ['a retention that is a number', { retention: 300 }, 'string'],
  ['a size that is none', { maxBytes: 'lots' }, 'spec.archive.maxBytes: must be a quantity of bytes'],
  ['a size of nothing', { maxBytes: '0' }, 'spec.archive.maxBytes: must be more than nothing'],
  ['a segment that is no duration', { segment: 'gop' }, 'spec.archive.segment: must be a duration'],
] as const) {
  test(`${title} is refused, so that nothing is removed by it`, t => {
    const problems = problemsOf(archive)
    t.is(problems.length, 1)
    t.true(problems[0]?.includes(says), problems[0])
  })
}

test('an archive needs a folder, and a device id names one inside it', t => {
  t.deepEqual(problemsOf({}), [])
  t.deepEqual(problemsOf({}, {}), ['CHRYS_ARCHIVE_DIR: is required: spec.archive asks for an archive'])
  t.deepEqual(problemsOf({}, { CHRYS_ARCHIVE_DIR: '/a', CHRYS_DEVICE_ID: 'default/cam' }), [])
  t.deepEqual(problemsOf({}, { CHRYS_ARCHIVE_DIR: '/a', CHRYS_DEVICE_ID: '../cam' }), ['CHRYS_DEVICE_ID: must be cam or default/cam'])
})

test('the example asks for an archive that the sidecar understands', async t => {
  const { cameras } = await readManifests(['deploy/examples/archive.yaml'])
  t.is(cameras.length, 1)
  t.deepEqual(problemsOf(cameras[0]?.spec.archive ?? {}), [])
})
