// Whatever a camera's pod answers about its archive, and whatever lies on its volume, harms neither the gateway nor the sidecar.
import test from 'ava'
import * as fc from 'fast-check'
import { open, readFile, writeFile } from 'node:fs/promises'
import { Archives } from '../gateway/past/archives.ts'
import type { KnownCamera } from '../gateway/cameras.ts'
import { Refusal } from '../gateway/refusal.ts'
import type { Nats } from '../common/nats/connect.ts'
import { decodePackets, decodeRanges, encodeAnswer, type ArchiveAnswer, type ArchivePacket } from '../proto/archive.ts'
import { BadMessage } from '../proto/messages.ts'
import { archiveSubject } from '../proto/subjects.ts'
import { readIndex } from '../sidecar/archive/mp4-index.ts'
import { cameraRecord, type FakeCamera } from './fixtures/cameras.ts'
import { fuzzRuns } from './fixtures/fuzz.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { connect } from 'nats'

const CAMERA: FakeCamera = { namespace: 'yard', name: 'evil', uid: 'uid-evil' }
const known: KnownCamera = {
  ...{ ref: CAMERA, uid: CAMERA.uid, deviceId: 'yard/evil', report: undefined, runningSince: undefined },
  record: cameraRecord(CAMERA, { archive: true }),
}
const packet = (index: number, size: number): ArchivePacket => ({
  ...{ epoch: 1, keyframe: 1, index, pts: index, dts: index, timestamp: 1_700_000_000_000 + index, key: index === 0, size },
})
const PIECE: ArchiveAnswer = { v: 1, packets: [packet(0, 3), packet(1, 2)], offset: 0 }

test('an answer of any bytes is read as what it is, or is a bad message', t => {
  const sound = encodeAnswer(PIECE, [Buffer.from('abcde')])
  const cut = fc
    .tuple(fc.nat(sound.length), fc.uint8Array({ maxLength: 40 }))
    .map(([at, tail]) => Buffer.concat([sound.subarray(0, at), tail]))
  fc.assert(
    fc.property(fc.oneof(cut, fc.uint8Array({ maxLength: 200 })), bytes => {
      for (const decode of [decodePackets, decodeRanges]) {
        try {
          decode(bytes)
        } catch (error) {
          if (!(error instanceof BadMessage)) throw error
        }
      }
    }),
    fuzzRuns(),
  )
  t.is(decodePackets(sound).v, 1)
})

test('a file of any bytes is read as far as it can be, or is a RangeError', async t => {
  await using folder = await temporaryFolder()
  const path = folder.file('x.mp4')
  const whole = await readFile(await testVideo({ width: 160, height: 96, seconds: 1, gop: 10 }))
  // The index, where damage tells.
  const moov = whole.indexOf('moov')
  const damage = fc.array(fc.tuple(fc.integer({ min: 0, max: whole.length - moov - 1 }), fc.nat(255)), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(damage, async changes => {
      const bytes = Buffer.from(whole)
      for (const [at, value] of changes) bytes[moov + at] = value
      await writeFile(path, bytes)
      const file = await open(path, 'r')
      try {
        await readIndex(file)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      } finally {
        await file.close()
      }
    }),
    fuzzRuns(0.02),
  )
  await writeFile(path, whole)
  const file = await open(path, 'r')
  t.is((await readIndex(file)).samples.count, 30)
  await file.close()
})

for (const [what, answer, kind] of [
  ['nonsense', () => Buffer.from('nonsense'), 'unavailable'],
  ['nothing', () => Buffer.alloc(0), 'unavailable'],
  [
    'packets that say to go on at the same place',
    () => encodeAnswer({ ...PIECE, next: { startMs: 5, sample: 0, offset: 0 } }, [Buffer.from('abcde')]),
    'unavailable',
  ],
  ['parts without their begin', () => encodeAnswer({ ...PIECE, offset: 1 }, [Buffer.from('bcde')]), 'unavailable'],
  ['fewer bytes than it declares', () => encodeAnswer(PIECE, [Buffer.from('abc')]), 'unavailable'],
  ['that it cannot read', () => encodeAnswer({ v: 1, problem: 'unreadable' }), 'unavailable'],
  ['that it is busy, and always', () => encodeAnswer({ v: 1, problem: 'busy' }), 'exhausted'],
  ['not at all', () => undefined, 'unavailable'],
] as const) {
  test(`a camera’s pod that answers ${what} is refused, with a sentence`, async t => {
    await using nats = await startNats()
    await using stack = new AsyncDisposableStack()
    const nc = await connect({ servers: nats.url })
    stack.defer(() => nc.close())
    let asked = 0
    nc.subscribe(archiveSubject(CAMERA), {
      callback: (_error, message) => {
        asked++
        const bytes = answer()
        if (bytes !== undefined) message.respond(bytes)
      },
    })
    const link = { nc, inbox: '_INBOX', connected: () => true } as unknown as Nats
    const archives = new Archives(
      () => link,
      () => {},
    )
    const reading = async () => {
      for await (const _ of archives.from(known, 0).read(0, () => {}, new AbortController().signal)) continue
    }
    const error = await t.throwsAsync(reading(), { instanceOf: Refusal })
    t.is(error.kind, kind)
    t.regex(error.message, /archive/)
    t.true(asked <= 6, `${asked} questions`)
  })
}
