// A file of the archive as packets, as they were when they were captured.
import { open } from 'node:fs/promises'
import { codecLongName } from '../../common/media/codecs.ts'
import { keyframeParameters } from '../../common/media/parameters.ts'
import { Reorder } from '../../common/media/reorder.ts'
import { ticksToMs, type TimeBase } from '../../common/media/timebase.ts'
import type { ArchivePacket } from '../../proto/archive.ts'
import type { Codec } from '../../proto/state.ts'
import type { CaptureTimes } from './capture-times.ts'
import { readIndex, type Mp4Index, type Samples } from './mp4-index.ts'
import type { Stored } from './retention.ts'

/** So many packets show how many frames the stream holds back. */
const KNOWN_MAX = 64
/** A file's length by capture times and by its own may differ by so much, and says then how fast the camera's clock ran. */
const DRIFT_MAX = 0.02

type Span = Pick<Stored, 'startMs' | 'durationMs'>
export type FilePacket = ArchivePacket & { readonly position: number }

export class FilePackets {
  readonly codec: Codec
  readonly path: string
  readonly #stored: Span
  readonly #samples: Samples
  readonly #timeBase: TimeBase
  readonly #epoch: number
  /** Of the first sample. */
  readonly #keyframe: number
  /** Sample numbers of keyframes. */
  readonly #keys: number[] = []
  readonly #times: readonly number[] | undefined
  /** Capture time per media time, where the file does not say its capture times. */
  readonly #rate: number
  readonly #firstPts: number
  /** Times in a file begin near 0; those of packets go on from file to file, and in the buffer. */
  readonly #offset: number

  private constructor(path: string, stored: Span, index: Mp4Index, first: Uint8Array, writing: CaptureTimes | undefined) {
    const { samples, timescale, entry } = index
    const capture = writing ?? index.capture
    const noted = capture?.times.length ?? 0
    const isNoted = capture !== undefined && (writing === undefined ? noted === samples.count : noted >= samples.count)
    const guess = { epoch: stored.startMs, keyframe: 1, times: undefined, ptsSeconds: stored.startMs / 1000 }
    const { epoch, keyframe, times, ptsSeconds } = isNoted ? capture : guess
    this.#times = times
    this.path = path
    this.#stored = stored
    this.#samples = samples
    this.#timeBase = [1, timescale]
    this.#epoch = epoch
    this.#keyframe = keyframe
    const reorder = new Reorder()
    this.#firstPts = samples.at(0).pts
    let end = this.#firstPts
    for (let i = 0; i < samples.count; i++) {
      const { key, pts } = samples.at(i)
      if (key) this.#keys.push(i)
      if (i < KNOWN_MAX) reorder.push(pts)
      end = Math.max(end, pts)
    }
    const mediaMs = ticksToMs(end - this.#firstPts, this.#timeBase) * (1 + 1 / Math.max(1, samples.count - 1))
    const rate = mediaMs > 0 ? stored.durationMs / mediaMs : 1
    this.#rate = Math.abs(rate - 1) < DRIFT_MAX ? rate : 1
    this.#offset = Math.round(ptsSeconds * timescale) - this.#firstPts
    const { name, extradata } = described(entry)
    const own = keyframeParameters(name, first, extradata)
    this.codec = {
      ...{ name, longName: codecLongName(name), width: own?.width ?? entry.width, height: own?.height ?? entry.height },
      ...{ pixFmt: own?.pixFmt ?? 'yuv420p', extradata: extradata.toString('base64'), timeBase: [1, timescale], reorder: reorder.frames },
    }
  }

  /** Rejects with a RangeError for a file that cannot be read, or with the file system's error. `writing`: of a file that has no notes yet. */
  static async open(path: string, stored: Span, writing?: CaptureTimes): Promise<FilePackets> {
    const file = await open(path, 'r')
    try {
      const index = await readIndex(file)
      if (index.samples.count === 0) throw new RangeError('the file is empty')
      const { position, size } = index.samples.at(0)
      const first = Buffer.alloc(Math.min(size, 65_536))
      await file.read(first, 0, first.length, position)
      return new FilePackets(path, stored, index, first, writing)
    } finally {
      await file.close()
    }
  }

  get count(): number {
    return this.#samples.count
  }

  at(i: number): FilePacket {
    const { position, size, dts, pts, key } = this.#samples.at(i)
    const place = this.#keyBefore(i)
    const timestamp = this.#times?.[i] ?? Math.round(this.#stored.startMs + ticksToMs(pts - this.#firstPts, this.#timeBase) * this.#rate)
    return {
      ...{ epoch: this.#epoch, keyframe: this.#keyframe + Math.max(0, place), index: i - (this.#keys[place] ?? 0) },
      ...{ pts: pts + this.#offset, dts: dts + this.#offset, timestamp, key, size, position },
    }
  }

  /** The sample with the last keyframe shown at or before `ms`; else the first. */
  keyframeBefore(ms: number): number {
    for (let i = this.#keys.length - 1; i >= 0; i--) {
      const sample = this.#keys[i] ?? 0
      if (this.at(sample).timestamp <= ms) return sample
    }
    return 0
  }

  /** Which of the keyframes is the last at or before a sample. */
  #keyBefore(sample: number): number {
    let [low, high] = [0, this.#keys.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#keys[middle] ?? 0) <= sample) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

const NAMES: Readonly<Record<string, string>> = {
  avc1: 'h264',
  avc3: 'h264',
  hvc1: 'hevc',
  hev1: 'hevc',
  av01: 'av1',
  vp09: 'vp9',
  vp08: 'vp8',
}
const RECORDS: Readonly<Record<string, string>> = { h264: 'avcC', hevc: 'hvcC', av1: 'av1C' }
/** Object types of MPEG-4 systems: ISO/IEC 14496-1 7.2.6.6. */
const OBJECTS: Readonly<Record<number, string>> = { 0x20: 'mpeg4', 0x6c: 'mjpeg', 0x6a: 'mpeg1video' }

/** Throws RangeError for a codec that is not known. */
function described({ type, boxes }: Mp4Index['entry']): { name: string; extradata: Buffer } {
  if (type === 'mp4v') return fromEsds(boxOf(boxes, 'esds') ?? Buffer.alloc(0))
  const name = NAMES[type]
  if (name === undefined) throw new RangeError(`the codec ${type} is not known`)
  const record = RECORDS[name]
  return { name, extradata: Buffer.from((record && boxOf(boxes, record)) ?? []) }
}

function boxOf(boxes: Buffer, wanted: string): Buffer | undefined {
  for (let at = 0; at + 8 <= boxes.length;) {
    const size = boxes.readUInt32BE(at)
    if (size < 8 || at + size > boxes.length) return undefined
    if (boxes.toString('latin1', at + 4, at + 8) === wanted) return boxes.subarray(at + 8, at + size)
    at += size
  }
  return undefined
}

/** ISO/IEC 14496-1 7.2.6: an ES descriptor (3) with a decoder's (4) in it, which may hold its own (5). */
function fromEsds(esds: Buffer): { name: string; extradata: Buffer } {
  let at = 4
  const head = () => {
    const tag = esds.readUInt8(at++)
    let size = 0
    for (let more = true; more;) {
      const byte = esds.readUInt8(at++)
      size = size * 128 + (byte & 127)
      more = byte >= 128
    }
    return { tag, size }
  }
  if (head().tag !== 3) throw new RangeError('no description of the codec')
  at += 3 // id and flags, of which ffmpeg sets none
  if (head().tag !== 4) throw new RangeError('no description of the codec')
  const object = esds.readUInt8(at)
  const name = OBJECTS[object] ?? (object >= 0x60 && object <= 0x65 ? 'mpeg2video' : undefined)
  if (name === undefined) throw new RangeError(`the codec ${object} is not known`)
  at += 13
  const own = at + 2 < esds.length ? head() : undefined
  return { name, extradata: Buffer.from(own?.tag === 5 ? esds.subarray(at, at + own.size) : []) }
}
