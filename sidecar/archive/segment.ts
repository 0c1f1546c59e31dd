// One file of the archive: packets → ffmpeg → a file under a temporary name → its name, once it is whole and on the disk.
import { appendFile, open, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, messageOf } from '../../common/errors.ts'
import { exactDts, NutFeed, nutCopy } from '../../common/media/nut-feed.ts'
import { ARCHIVE_LINES, causeIn } from '../../common/media/ffmpeg-log.ts'
import { runFfmpeg, type End, type Run } from '../../common/media/ffmpeg.ts'
import { within } from '../../common/abort.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import { CaptureNotes } from './capture-times.ts'
import type { OpenFile } from './readable-files.ts'
import { partName, segmentName, type Stored } from './retention.ts'

/** Enough to know how many frames the stream holds back: the header says it, and comes before the first packet. */
const HELD_MAX = 16
const HELD_BYTES_MAX = 4 * 2 ** 20
/** A disk that takes nothing for so long is not coming back by waiting. */
const WRITE_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 30_000

/** `longer`: files that take longer than a group of pictures; what was written of them survives a crash. */
export type SegmentKind = 'gop' | 'longer'

const MOVFLAGS: Readonly<Record<SegmentKind, string>> = {
  gop: '+faststart',
  longer: '+frag_keyframe+delay_moov+default_base_moof',
}

export type Written = Stored & { packets: number }

export class Segment {
  readonly startMs: number
  readonly epoch: number
  /** By performance.now(). */
  readonly openedAt = performance.now()
  readonly part: string
  readonly #folder: string
  readonly #kind: SegmentKind
  readonly #notes: CaptureNotes
  #held: Packet[] | undefined = []
  #codec: Codec
  #run: Run | undefined
  #feed: NutFeed | undefined
  #newestMs: number
  #keyframeMs: number
  #packets = 0
  #bytes = 0
  /** As ffmpeg counted them. */
  #written: number | undefined
  #complaint: Failure | undefined
  #isClosing = false

  private constructor(folder: string, kind: SegmentKind, part: string, first: Packet, codec: Codec) {
    this.#folder = folder
    this.#kind = kind
    this.part = part
    this.#codec = codec
    this.#notes = new CaptureNotes(first, codec)
    this.startMs = first.timestamp
    this.#newestMs = first.timestamp
    this.#keyframeMs = first.timestamp
    this.epoch = first.epoch
  }

  /** Makes the file for a segment that begins with `first`, a keyframe. Rejects with Failure Archive…. */
  static async open(folder: string, kind: SegmentKind, run: string, first: Packet, codec: Codec): Promise<Segment> {
    const part = partName(first.timestamp, run)
    try {
      await (await open(join(folder, part), 'wx', 0o640)).close() // ours, and known to be writable, before ffmpeg starts
    } catch (error) {
      throw fileFailure(error)
    }
    return new Segment(folder, kind, part, first, codec)
  }

  /** Of the packets it was given. */
  get bytes(): number {
    return this.#bytes
  }

  get packets(): number {
    return this.#packets
  }

  /** What can be read of it while it is written: each fragment is in the file when the next one begins. */
  get readable(): OpenFile | undefined {
    const [{ part, startMs }, endMs] = [this, this.#keyframeMs]
    return this.#kind === 'gop' || this.#run === undefined || endMs <= startMs
      ? undefined
      : { part, startMs, endMs, capture: this.#notes.captured }
  }

  /** Resolves when the next packet may come. Rejects with Failure when the file can't be written. */
  async add(packet: Packet, codec: Codec): Promise<void> {
    this.#packets++
    this.#bytes += packet.data.length
    this.#newestMs = Math.max(this.#newestMs, packet.timestamp)
    if (packet.key) this.#keyframeMs = packet.timestamp
    this.#notes.add(packet)
    if (this.#held !== undefined) {
      this.#held.push(packet)
      this.#codec = codec
      if (this.#held.length < HELD_MAX && this.#bytes < HELD_BYTES_MAX) return
      await this.#start()
    } else {
      this.#feed?.feed(packet)
    }
    if (this.#complaint !== undefined) throw this.#complaint
    if (await this.#feed?.hasRoom(WRITE_TIMEOUT_MS)) return
    throw new Failure('ArchiveFailed', `the archive’s volume has taken nothing for ${WRITE_TIMEOUT_MS / 1000} s`)
  }

  /** Finishes the file; `nextMs`: when the segment behind it begins, where it follows without a gap. Rejects with Failure. */
  async close(nextMs: number | undefined): Promise<Written> {
    if (this.#held !== undefined) await this.#start()
    this.#isClosing = true
    this.#feed?.end()
    const end = await within(CLOSE_TIMEOUT_MS, 'writing the end of an archive file', this.#run?.ended ?? Promise.resolve(undefined)).catch(
      (error: unknown) => {
        throw new Failure('ArchiveFailed', messageOf(error))
      },
    )
    if (this.#complaint !== undefined) throw this.#complaint
    if (end?.code !== 0) throw endFailure(end)
    const durationMs = Math.max(1, Math.round((nextMs ?? this.#newestMs + this.#meanMs()) - this.startMs))
    const stored = await publish(this.#folder, this.part, this.startMs, durationMs, this.#notes.box())
    return { ...stored, packets: this.#written ?? this.#packets }
  }

  /** Ends ffmpeg; what the file holds stays under its temporary name. */
  async abandon(): Promise<void> {
    this.#held = undefined
    this.#isClosing = true
    await this.#run?.stop()
  }

  #meanMs(): number {
    return this.#packets > 1 ? (this.#newestMs - this.startMs) / (this.#packets - 1) : 0
  }

  async #start(): Promise<void> {
    const held = this.#held ?? []
    this.#held = undefined
    // Fragments reach the file as they are made, whatever buffer ffmpeg has.
    const flush = this.#kind === 'longer' ? ['-flush_packets', '1'] : []
    const metadata = ['-metadata', `creation_time=${new Date(this.startMs).toISOString()}`]
    const output = ['-movflags', MOVFLAGS[this.#kind], ...flush, ...metadata, '-f', 'mp4', '-y', `file:${join(this.#folder, this.part)}`]
    const args = [...nutCopy(this.#codec), ...exactDts(this.#codec, held), ...output]
    const run = await runFfmpeg(args, { stdin: true, onLine: line => this.#line(line) }).catch((error: unknown) => {
      throw new Failure('ArchiveFailed', messageOf(error))
    })
    this.#run = run
    void this.#noticeEnd(run)
    this.#feed = new NutFeed(run, this.#codec)
    for (const packet of held) this.#feed.feed(packet)
  }

  async #noticeEnd(run: Run): Promise<void> {
    const end = await run.ended
    if (!this.#isClosing) this.#complaint ??= endFailure(end)
  }

  #line(line: string): void {
    const count = /^\[info\] frame= *(\d+) /.exec(line)?.[1]
    if (count !== undefined) this.#written = Number(count)
    const cause = causeIn(ARCHIVE_LINES, line)
    // The first is the cause, unless it names none.
    if (cause !== undefined && (this.#complaint === undefined || this.#complaint.reason === 'ArchiveFailed'))
      this.#complaint = new Failure(cause.reason, cause.message)
  }
}

const endFailure = (end: End | undefined) =>
  new Failure('ArchiveFailed', `ffmpeg, which writes the archive, ended with ${end?.signal ?? `code ${end?.code}`}`)

const NOTHING = new Uint8Array()

/** Gives a whole file its name: after its content is on the disk, so that a power cut leaves either the file or no file of this name. */
export async function publish(
  folder: string,
  part: string,
  startMs: number,
  durationMs: number,
  end: Uint8Array = NOTHING,
): Promise<Stored> {
  const from = join(folder, part)
  try {
    await appendFile(from, end)
    await synced(await open(from, 'r+'))
    let start = startMs
    while (await exists(join(folder, segmentName({ startMs: start, durationMs })))) start++ // a clock that was set back
    await rename(from, join(folder, segmentName({ startMs: start, durationMs })))
    await synced(await open(folder, 'r'))
    const { size } = await stat(join(folder, segmentName({ startMs: start, durationMs })))
    return { startMs: start, durationMs, bytes: size }
  } catch (error) {
    throw fileFailure(error)
  }
}

async function synced(file: FileHandle): Promise<void> {
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** A file that need not be there. */
export const discard = (folder: string, name: string): Promise<void> => unlink(join(folder, name)).catch(() => {})

export function fileFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  const { code = '' } = error as NodeJS.ErrnoException
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)) return new Failure('ArchiveDiskFull')
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'ENOENT', 'EEXIST'].includes(code))
    return new Failure('ArchiveUnwritable', `the archive’s directory is not writable (${code})`)
  return new Failure('ArchiveFailed', `the archive can’t be written: ${code === '' ? messageOf(error) : code}`)
}
