// Which packets are in a file of the archive, and where: MP4 as ffmpeg writes it, with its index at the front, or in fragments. ISO/IEC 14496-12.
import type { FileHandle } from 'node:fs/promises'
import { readCaptureTimes, type CaptureTimes } from './capture-times.ts'

/** Of what is read at once. */
const INDEX_BYTES_MAX = 64 * 2 ** 20
const SAMPLES_MAX = 4_000_000

export type Mp4Index = {
  /** The type of the sample entry (avc1 …), its picture's size, and what describes the codec (avcC …). */
  readonly entry: { readonly type: string; readonly width: number; readonly height: number; readonly boxes: Buffer }
  /** Ticks a second. */
  readonly timescale: number
  /** As our writer noted them; undefined for other files. */
  readonly capture: CaptureTimes | undefined
  /** In decoding order. */
  readonly samples: Samples
}

/** Numbers of each sample, one behind the other: an hour is a hundred thousand of them. */
export class Samples {
  readonly #values: number[] = []

  get count(): number {
    return this.#values.length / STRIDE
  }

  add(position: number, size: number, dts: number, pts: number, key: boolean): void {
    if (this.count >= SAMPLES_MAX) throw new RangeError('too many samples')
    this.#values.push(position, size, dts, pts, key ? 1 : 0)
  }

  at(i: number): { position: number; size: number; dts: number; pts: number; key: boolean } {
    const [position = 0, size = 0, dts = 0, pts = 0, key = 0] = this.#values.slice(i * STRIDE, (i + 1) * STRIDE)
    return { position, size, dts, pts, key: key === 1 }
  }
}
const STRIDE = 5

type Box = { type: string; body: Buffer }

/** Throws RangeError for what is no such file. */
export async function readIndex(file: FileHandle): Promise<Mp4Index> {
  const samples = new Samples()
  let head: Head | undefined
  let capture: CaptureTimes | undefined
  const { size } = await file.stat()
  const start = Buffer.alloc(16)
  for (let at = 0; at + 8 <= size;) {
    const { bytesRead } = await file.read(start, 0, 16, at)
    const short = start.readUInt32BE(0)
    const type = start.toString('latin1', 4, 8)
    const headBytes = short === 1 ? 16 : 8
    const length = short === 1 && bytesRead === 16 ? Number(start.readBigUInt64BE(8)) : short
    if (length < headBytes || at + length > size) break
    if (type === 'moov' || type === 'moof' || type === 'uuid') {
      if (length > INDEX_BYTES_MAX) throw new RangeError('the index is too large')
      const body = Buffer.alloc(length - headBytes)
      await file.read(body, 0, body.length, at + headBytes)
      if (type === 'uuid') capture ??= readCaptureTimes(body)
      else if (type === 'moov') head = readHead(body, samples)
      else if (head !== undefined) readFragment(body, at, head, samples)
    }
    at += length
  }
  if (head === undefined) throw new RangeError('the file has no index')
  const { entry, timescale } = head
  return { entry, timescale, capture, samples }
}

function* boxesIn(bytes: Buffer): Generator<Box> {
  for (let at = 0; at + 8 <= bytes.length;) {
    const size = bytes.readUInt32BE(at)
    if (size < 8 || at + size > bytes.length) return
    yield { type: bytes.toString('latin1', at + 4, at + 8), body: bytes.subarray(at + 8, at + size) }
    at += size
  }
}

function find(bytes: Buffer, ...path: readonly string[]): Buffer | undefined {
  let found: Buffer | undefined = bytes
  for (const type of path) {
    if (found === undefined) return undefined
    found = [...boxesIn(found)].find(box => box.type === type)?.body
  }
  return found
}

function need(bytes: Buffer, ...path: readonly string[]): Buffer {
  const found = find(bytes, ...path)
  if (found === undefined) throw new RangeError(`the file has no ${path.join('.')}`)
  return found
}

type Head = Pick<Mp4Index, 'entry' | 'timescale'> & { readonly defaults: Defaults; dts: number }
type Defaults = { readonly duration: number; readonly size: number; readonly flags: number }

function readHead(moov: Buffer, samples: Samples): Head {
  const mdia = need(moov, 'trak', 'mdia')
  const mdhd = need(mdia, 'mdhd')
  const timescale = mdhd.readUInt32BE(mdhd[0] === 1 ? 20 : 12)
  if (timescale === 0) throw new RangeError('the file has no time base')
  const table = need(mdia, 'minf', 'stbl')
  const [entry] = boxesIn(need(table, 'stsd').subarray(8))
  if (entry === undefined || entry.body.length < 78) throw new RangeError('the file describes no video')
  const { type, body } = entry
  readTables(table, samples)
  const trex = find(moov, 'mvex', 'trex')
  const defaults = { duration: trex?.readUInt32BE(12) ?? 0, size: trex?.readUInt32BE(16) ?? 0, flags: trex?.readUInt32BE(20) ?? 0 }
  const picture = { type, width: body.readUInt16BE(24), height: body.readUInt16BE(26), boxes: body.subarray(78) }
  return { entry: picture, timescale, defaults, dts: 0 }
}

/** ISO/IEC 14496-12 8.6, 8.7: runs of samples of equal duration, offset, and place. */
function readTables(table: Buffer, samples: Samples): void {
  const sizes = need(table, 'stsz')
  const count = sizes.readUInt32BE(8)
  if (count === 0) return
  if (count > SAMPLES_MAX) throw new RangeError('too many samples')
  const chunks64 = find(table, 'co64')
  const chunks = chunks64 ?? need(table, 'stco')
  const positionOf = (chunk: number) => (chunks64 ? Number(chunks64.readBigUInt64BE(8 + 8 * chunk)) : chunks.readUInt32BE(8 + 4 * chunk))
  const perChunk = runs(need(table, 'stsc'), 3)
  const durations = expand(runs(need(table, 'stts'), 2))
  const offsets = expand(runs(find(table, 'ctts') ?? Buffer.alloc(8), 2))
  const sync = find(table, 'stss')
  const keys = sync && new Set(runs(sync, 1).map(([sample = 0]) => sample))
  let [chunk, inChunk, position, dts, run] = [0, 0, positionOf(0), 0, 0]
  for (let i = 0; i < count; i++) {
    while (run + 1 < perChunk.length && chunk + 1 >= (perChunk[run + 1]?.[0] ?? Infinity)) run++
    const size = sizes.readUInt32BE(4) || sizes.readUInt32BE(12 + 4 * i)
    samples.add(position, size, dts, dts + ((offsets.next().value ?? 0) | 0), keys === undefined || keys.has(i + 1))
    dts += durations.next().value ?? 0
    position += size
    if (++inChunk < (perChunk[run]?.[1] ?? 1) || i + 1 === count) continue
    inChunk = 0
    position = positionOf(++chunk)
  }
}

/** The rows of a table, each of so many numbers. */
function runs(table: Buffer, columns: number): number[][] {
  const count = Math.min(table.readUInt32BE(4), Math.floor((table.length - 8) / (4 * columns)))
  return Array.from({ length: count }, (_, row) =>
    Array.from({ length: columns }, (_column, column) => table.readUInt32BE(8 + 4 * (row * columns + column))),
  )
}

function* expand(rows: readonly number[][]): Generator<number> {
  for (const [count = 0, value = 0] of rows) for (let i = 0; i < count; i++) yield value
}

/** ISO/IEC 14496-12 8.8, as far as ffmpeg uses it: offsets count from the moof or are absolute. */
function readFragment(moof: Buffer, moofAt: number, head: Head, samples: Samples): void {
  const traf = need(moof, 'traf')
  const tfhd = need(traf, 'tfhd')
  const reader = new Fields(tfhd)
  const flags = reader.u32() & 0xff_ffff
  reader.u32() // track
  const base = flags & 1 ? reader.u64() : moofAt
  if (flags & 2) reader.u32()
  const duration = flags & 8 ? reader.u32() : head.defaults.duration
  const size = flags & 0x10 ? reader.u32() : head.defaults.size
  const sampleFlags = flags & 0x20 ? reader.u32() : head.defaults.flags
  const tfdt = find(traf, 'tfdt')
  if (tfdt !== undefined) head.dts = tfdt[0] === 1 ? Number(tfdt.readBigUInt64BE(4)) : tfdt.readUInt32BE(4)
  let position = base
  for (const { type, body } of boxesIn(traf)) {
    if (type === 'trun') position = readRun(new Fields(body), { base, position, duration, size, sampleFlags }, head, samples)
  }
}

type Run = { base: number; position: number; duration: number; size: number; sampleFlags: number }

function readRun(run: Fields, { base, position: at, duration, size, sampleFlags }: Run, head: Head, samples: Samples): number {
  const flags = run.u32() & 0xff_ffff
  const count = run.u32()
  let position = flags & 1 ? base + (run.u32() | 0) : at
  const first = flags & 4 ? run.u32() : undefined
  for (let i = 0; i < count; i++) {
    const lasts = flags & 0x100 ? run.u32() : duration
    const bytes = flags & 0x200 ? run.u32() : size
    const own = flags & 0x400 ? run.u32() : i === 0 && first !== undefined ? first : sampleFlags
    const offset = flags & 0x800 ? run.u32() | 0 : 0
    samples.add(position, bytes, head.dts, head.dts + offset, (own & 0x1_0000) === 0)
    head.dts += lasts
    position += bytes
  }
  return position
}

class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  u32(): number {
    this.#at += 4
    return this.#bytes.readUInt32BE(this.#at - 4)
  }

  u64(): number {
    this.#at += 8
    return Number(this.#bytes.readBigUInt64BE(this.#at - 8))
  }
}
