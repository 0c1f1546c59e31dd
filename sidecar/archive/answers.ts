// Answers the gateway's questions about the archive: which times it has, and the packets from a time on, a piece at a time.
import { open } from 'node:fs/promises'
import type { Msg, NatsConnection } from 'nats'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import {
  ARCHIVE_BYTES_MAX,
  ARCHIVE_PACKETS_MAX,
  ArchiveRequest,
  encodeAnswer,
  RANGES_MAX,
  type ArchivePacket,
  type ArchivePlace,
} from '../../proto/archive.ts'
import { BadMessage, parseJson } from '../../proto/messages.ts'
import { archiveSubject, type CameraRef } from '../../proto/subjects.ts'
import type { FilePackets } from './file-packets.ts'
import { isGone, ReadableFiles, type FileList, type ReadableFile, type ReadableOptions } from './readable-files.ts'

/** Questions that are being answered; more are told to come again. */
const ASKED_MAX = 8
/** Segments closer to each other are one range. */
const GAP_MIN_MS = 2_000
/** Files that cannot be read are passed by, so many in one answer. */
const PASSED_MAX = 16

export type AnswersOptions = Omit<ReadableOptions, 'onUnreadable'> & {
  readonly nc: NatsConnection
  readonly camera: CameraRef & { uid: string }
  readonly log: Logger
}

export class ArchiveAnswers {
  readonly #options: AnswersOptions
  readonly #warn: (message: string) => void
  readonly #files: ReadableFiles
  #asked = 0

  constructor(options: AnswersOptions) {
    this.#options = options
    this.#warn = everyMinute((count, error) => options.log.warn({ count, error }, 'could not read the archive for a client'))
    this.#files = new ReadableFiles({ ...options, onUnreadable: this.#warn })
  }

  /** Until it is disposed of. */
  listen(): Disposable {
    const { nc, camera, log } = this.#options
    const subscription = nc.subscribe(archiveSubject(camera))
    const listening = async () => {
      try {
        for await (const message of subscription) void this.#respond(message)
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'cannot answer questions about the archive')
      }
    }
    void listening()
    return { [Symbol.dispose]: () => subscription.unsubscribe() }
  }

  async #respond(message: Msg): Promise<void> {
    const answer = await this.#answer(message.data)
    if (answer !== undefined && !this.#options.nc.isClosed()) message.respond(answer)
  }

  /** Never rejects. Undefined for a question that no honest client asks. */
  async #answer(data: Uint8Array): Promise<Buffer | undefined> {
    if (this.#asked >= ASKED_MAX) return encodeAnswer({ v: 1, problem: 'busy' })
    this.#asked++
    try {
      const request = parseJson(ArchiveRequest, data)
      if (request.uid !== this.#options.camera.uid) return undefined
      if (request.ask === 'ranges') return encodeAnswer({ v: 1, ranges: rangesOf(this.#files.list(), request.fromMs, request.toMs) })
      return await this.#packets('at' in request ? request.at : request.fromMs)
    } catch (error) {
      if (error instanceof BadMessage) return undefined
      // It was finished or removed meanwhile: the next question finds it so.
      if (isGone(error)) return encodeAnswer({ v: 1, problem: 'busy' })
      this.#warn(messageOf(error).replace(/ '.*/, '')) // without the path
      return encodeAnswer({ v: 1, problem: 'unreadable' })
    } finally {
      this.#asked--
    }
  }

  /** From a time on, or from where the last answer ended. */
  async #packets(from: number | ArchivePlace): Promise<Buffer> {
    const files = this.#files.list()
    const startMs = typeof from === 'number' ? from : from.startMs
    const first = Math.max(0, files.lastBefore(startMs))
    for (let i = first; i < first + PASSED_MAX; i++) {
      const stored = files.at(i)
      if (stored === undefined) break
      const file = await this.#files.packets(stored, typeof from === 'number' ? Infinity : from.sample)
      if (file === undefined) continue
      // A file that was removed meanwhile has another in its place: that one from its start on.
      const isSame = typeof from !== 'number' && from.startMs === stored.startMs
      const place = typeof from === 'number' ? { sample: file.keyframeBefore(from), offset: 0 } : isSame ? from : { sample: 0, offset: 0 }
      if (place.sample >= file.count) continue
      return await piece(file, stored, place, files.at(i + 1))
    }
    return encodeAnswer({ v: 1, packets: [], offset: 0 })
  }
}

/** Of a file, from a place in it on: as much as one answer holds. `following`: the next file. */
async function piece(
  file: FilePackets,
  { startMs }: ReadableFile,
  { sample, offset }: Pick<ArchivePlace, 'sample' | 'offset'>,
  following: ReadableFile | undefined,
): Promise<Buffer> {
  const packets: ArchivePacket[] = []
  let room = ARCHIVE_BYTES_MAX
  let i = sample
  let next: ArchivePlace | undefined
  for (; i < file.count && packets.length < ARCHIVE_PACKETS_MAX && room > 0; i++) {
    const { position: _, ...packet } = file.at(i)
    const size = packet.size - (i === sample ? offset : 0)
    if (size < 1) throw new RangeError('beyond the packet')
    packets.push(packet)
    if (size > room) {
      next = { startMs, sample: i, offset: packet.size - size + room }
      room = 0
      break
    }
    room -= size
  }
  if (next === undefined && i < file.count) next = { startMs, sample: i, offset: 0 }
  if (next === undefined && following !== undefined) next = { startMs: following.startMs, sample: 0, offset: 0 }
  const bytes = Buffer.alloc(ARCHIVE_BYTES_MAX - room)
  const handle = await open(file.path, 'r')
  try {
    // ffmpeg writes one track, whose samples stand one behind the other, but for the heads of fragments.
    await readSamples(handle, file, { sample, offset, count: packets.length }, bytes)
  } finally {
    await handle.close()
  }
  return encodeAnswer({ v: 1, codec: file.codec, packets, offset, ...(next && { next }) }, [bytes])
}

type Handle = Awaited<ReturnType<typeof open>>

async function readSamples(
  handle: Handle,
  file: FilePackets,
  { sample, offset, count }: { sample: number; offset: number; count: number },
  bytes: Buffer,
): Promise<void> {
  let filled = 0
  for (let i = sample; i < sample + count;) {
    const { position, size } = file.at(i)
    const start = position + (i === sample ? offset : 0)
    let end = position + size
    for (i++; i < sample + count && file.at(i).position === end; i++) end += file.at(i).size
    const length = Math.min(end - start, bytes.length - filled)
    const { bytesRead } = await handle.read(bytes, filled, length, start)
    if (bytesRead < length) throw new RangeError('the file is shorter than its index says')
    filled += length
  }
}

/** Where there are too many, the newest. */
function rangesOf(files: FileList, fromMs: number, toMs: number): [number, number][] {
  const ranges: [number, number][] = []
  for (let i = Math.max(0, files.lastBefore(fromMs)); i < files.count; i++) {
    const { startMs, durationMs } = files.at(i) ?? { startMs: Infinity, durationMs: 0 }
    if (startMs > toMs) break
    const endMs = startMs + durationMs
    if (endMs < fromMs) continue
    const last = ranges.at(-1)
    if (last !== undefined && startMs - last[1] < GAP_MIN_MS) last[1] = Math.max(last[1], endMs)
    else ranges.push([startMs, endMs])
  }
  return ranges.slice(-RANGES_MAX)
}
