// What a crash left of an archive: files in the making, by a process that is no more. What can be read of them becomes a file of the
// archive, the rest goes.
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Failure } from '../../common/errors.ts'
import { readLines } from '../../common/lines.ts'
import { ARCHIVE_READ_LINES, causeIn } from '../../common/media/ffmpeg-log.ts'
import { runFfmpeg, type End } from '../../common/media/ffmpeg.ts'
import { ticksToMs, type TimeBase } from '../../common/media/timebase.ts'
import { sleep } from '../../common/abort.ts'
import { parseName } from './retention.ts'
import { discard, publish, type Written } from './segment.ts'

/** Reading may take its time, but not this long without a packet. */
const READ_TIMEOUT_MS = 60_000

/**
 * Finishes `part`: cuts off what is incomplete, reads what is left, and gives it its name. Undefined when nothing can be read in it: the file
 * is removed. Rejects when that could not be found out, since ffmpeg or the volume failed: the file stays, to be tried again.
 */
export async function salvage(
  folder: string,
  part: string,
  signal: AbortSignal,
  timeoutMs = READ_TIMEOUT_MS,
): Promise<Written | undefined> {
  const named = parseName(part)
  if (named?.kind !== 'part') return undefined
  const path = join(folder, part)
  const file = await open(path, 'r+')
  try {
    const { size } = await file.stat()
    const whole = await wholeBytes(file, size)
    if (whole > 0 && whole < size) await file.truncate(whole)
    if (whole === 0) {
      await discard(folder, part)
      return undefined
    }
  } finally {
    await file.close()
  }
  const { packets, durationMs } = await read(path, timeoutMs, signal)
  if (signal.aborted) return undefined
  if (packets > 0) return { ...(await publish(folder, part, named.startMs, durationMs)), packets }
  await discard(folder, part)
  return undefined
}

/** Up to where the file is a sequence of complete boxes that ends with media and has its index; 0: it is not readable at all. */
async function wholeBytes(file: FileHandle, size: number): Promise<number> {
  const head = Buffer.alloc(16)
  let hasIndex = false
  let whole = 0
  for (let at = 0; at + 8 <= size;) {
    const { bytesRead } = await file.read(head, 0, 16, at)
    const short = head.readUInt32BE(0)
    const type = head.toString('latin1', 4, 8)
    const length = short === 1 && bytesRead === 16 ? Number(head.readBigUInt64BE(8)) : short
    if (length < 8 || at + length > size || !/^[a-z ]{4}$/.test(type)) break
    at += length
    if (type === 'moov') hasIndex = true
    // A fragment's index (moof) is of use only with its media behind it; a file's own stands before or behind it.
    if (['mdat', 'moov', 'mfra', 'uuid'].includes(type)) whole = at
  }
  return hasIndex ? whole : 0
}

/** The video that is in the file. Rejects with Failure when ffmpeg did not get to its end, which says nothing about the file. */
async function read(path: string, timeoutMs: number, signal: AbortSignal): Promise<{ packets: number; durationMs: number }> {
  let [packets, from, to] = [0, Infinity, -Infinity]
  let timeBase: TimeBase = [1, 1000]
  let [isInvalid, isCutShort] = [false, false]
  await using run = await runFfmpeg(
    [
      '-protocol_whitelist',
      'file',
      '-f',
      'mov',
      '-i',
      `file:${path}`,
      '-map',
      '0:v:0',
      '-c',
      'copy',
      '-copyts',
      '-f',
      'framecrc',
      'pipe:3',
    ],
    {
      pipes: 1,
      onLine: line => {
        const reason = causeIn(ARCHIVE_READ_LINES, line)?.reason
        isInvalid ||= reason === 'NoVideoTrack'
        isCutShort ||= reason === 'ArchiveFailed'
      },
    },
  )
  readLines(run.pipes[0] as Readable, line => {
    const [, num, den] = /^#tb 0: (\d+)\/(\d+)/.exec(line) ?? []
    if (num !== undefined) timeBase = [Number(num), Number(den)]
    const [, pts, duration] = /^0, *-?\d+, *(-?\d+), *(\d+),/.exec(line) ?? []
    if (pts === undefined) return
    packets++
    from = Math.min(from, Number(pts))
    to = Math.max(to, Number(pts) + Number(duration))
  })
  let end: End | undefined
  for (let before = -1; end === undefined && packets > before && !signal.aborted;) {
    before = packets
    const over = new AbortController()
    const late = sleep(timeoutMs, AbortSignal.any([signal, over.signal])).then(() => undefined)
    end = await Promise.race([run.ended, late])
    over.abort()
  }
  const isUnreadable = isInvalid && packets === 0 && end?.signal === null
  if (!signal.aborted && (isCutShort || (end?.code !== 0 && !isUnreadable))) throw readFailure(end)
  return { packets, durationMs: Math.max(1, Math.round(ticksToMs(to - from, timeBase))) }
}

function readFailure(end: End | undefined): Failure {
  const how = end === undefined ? 'stood still' : `ended with ${end.signal ?? `code ${end.code}`}`
  return new Failure('ArchiveFailed', `ffmpeg, which reads what a crash left of the archive, ${how} before the file’s end`)
}
