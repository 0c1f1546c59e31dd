// A camera's packets as ffmpeg's demuxer sees them, without decoding: a description of each from the `framecrc` muxer, then its bytes
// from the `data` muxer, one behind the other in one pipe by way of `tee`.
import { readFileSync } from 'node:fs'
import type { Reach } from './confine.ts'
import { openPipe, runFfmpeg, type End } from './ffmpeg.ts'
import type { CameraTime } from '../../proto/messages.ts'
import { isVp9Key, keyframeParameters } from './parameters.ts'
import { WALL_CLOCK_TIME_BASE, WallClock } from './wall-clock.ts'

/** Times in `timeBase` ticks; undefined where the stream has none. */
export type DemuxedPacket = {
  pts: number | undefined
  dts: number | undefined
  key: boolean
  corrupt: boolean
  /** The packet came with new parameter sets beside it: what was known of the stream ends here. */
  newExtradata: boolean
  data: Buffer
  /** When the description arrived, ms since the epoch. */
  arrivedAt: number
  camera?: CameraTime | undefined
}

export type DemuxInfo = {
  codec: string
  timeBase: [number, number]
  /** 0×0 when ffmpeg could not tell. */
  width: number
  height: number
  pixFmt: string
  extradata: Buffer
}

export type DemuxRun = AsyncDisposable & {
  pid: number
  ended: Promise<End>
  stop(): Promise<End>
}

/** No picture of any camera is larger. */
const PACKET_MAX = 64 * 1024 * 1024
/** Of an ffmpeg that copies packets: several times the largest packet. */
const MEMORY_MAX = 512 * 1024 * 1024
const MEMORY_CHECK_MS = 500
const LINE_MAX = 8_192
const READ_BYTES = 64 * 1024

/** What follows the input in the command line. */
const OUTPUT = [
  ...['-copytb', '1'],
  // What comes before the first keyframe tells that the camera is alive.
  ...['-copyinkf:v'],
  // In front of every keyframe that doesn't begin with it already: this is how extradata reaches us. It is cut off again.
  ...['-bsf:v', 'dump_extra=freq=keyframe'],
  ...['-f', 'tee', '[f=framecrc:flush_packets=1:onfail=abort]pipe\\:3|[f=data:flush_packets=1:onfail=abort]pipe\\:3'],
]

export type DemuxHandlers = {
  /** Called for each packet, in decoding order. `info` stays the same object while the stream's description does. */
  onPacket: (packet: DemuxedPacket, info: DemuxInfo) => void
  onLine: (line: string) => void
  /** Nothing good comes of this input any more: its end is for the caller to bring about. */
  onDesync: (problem: string) => void
}

export type DemuxOptions = {
  /** The source's own clock is continuous. */
  copyTimestamps: boolean
  /** Timestamps, copied, are the wall clock's, which is read to the millisecond here: ffmpeg's ticks may last 40 ms, and no two packets share one. */
  isWallClock?: boolean
  /** What is left to the ffmpeg; `inbound` unless given. */
  reach?: Reach
}

/** Runs ffmpeg on `inputArgs` (up to `-i URL`). */
export async function demux(inputArgs: readonly string[], options: DemuxOptions, handlers: DemuxHandlers): Promise<DemuxRun> {
  const parser = new PacketParser(handlers, options.isWallClock === true)
  const timestamps = options.copyTimestamps ? ['-copyts'] : []
  const args = [...inputArgs, ...timestamps, '-map', '0:v:0', '-c', 'copy', ...OUTPUT]
  const chunk = Buffer.allocUnsafeSlow(READ_BYTES)
  const { reader, writeFd } = await openPipe(
    () => chunk,
    count => {
      parser.bytes(chunk.subarray(0, count))
      return true
    },
  )
  const drained = new Promise<void>(resolve => reader.once('close', () => resolve()))
  reader.on('error', () => {})
  // ffmpeg says on stderr what the input is before it writes the first packet, but the two pipes may be read in any order.
  reader.pause()
  try {
    const onLine = (line: string) => {
      if (parser.banner(line)) reader.resume()
      handlers.onLine(line)
    }
    const run = await runFfmpeg(args, { reach: options.reach ?? 'inbound', outputFds: [writeFd], onLine })
    const memory = setInterval(() => {
      if (residentBytes(run.pid) > MEMORY_MAX) handlers.onDesync('the stream has no end of a frame: ffmpeg took more than 512 MiB for it')
    }, MEMORY_CHECK_MS)
    void run.ended.then(() => {
      clearInterval(memory)
      reader.resume()
    })
    // What ffmpeg wrote before it went is still delivered.
    const ended = Promise.all([run.ended, drained]).then(([end]) => end)
    const stop = async () => {
      reader.destroy()
      return run.stop()
    }
    return { pid: run.pid, ended, stop, [Symbol.asyncDispose]: async () => void (await stop()) }
  } catch (error) {
    reader.destroy()
    throw error
  }
}

/** 0 where the kernel does not say it. */
function residentBytes(pid: number): number {
  try {
    return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

type Arriving = Omit<DemuxedPacket, 'data'> & { size: number; filled: number; bytes: Buffer }

/** ffmpeg's output, in whatever pieces it comes. */
export class PacketParser {
  readonly #handlers: DemuxHandlers
  readonly #clock: WallClock | undefined
  /** The beginning of a line whose end has not come. */
  #line = ''
  /** The packet whose bytes are coming. */
  #open: Arriving | undefined
  readonly #head = { codec: '', timeBase: [1, 1] as [number, number], width: 0, height: 0, extradataSize: 0, extradataCrc: '', pixFmt: '' }
  #info: DemuxInfo | undefined
  #newExtradata = false
  #broken = false

  constructor(handlers: DemuxHandlers, isWallClock: boolean) {
    this.#handlers = handlers
    this.#clock = isWallClock ? new WallClock() : undefined
  }

  /**
   * The input's `Stream #0:0: Video: h264 (High) (…), yuv420p(progressive), …`; the output's comes later and is ignored.
   * True once ffmpeg has said all that it says of the input.
   */
  banner(line: string): boolean {
    const match = / Stream #\d+:\d+.*?: Video: \w+(?: \([^)]*\))*, (\w+)/.exec(line)
    if (match?.[1] !== undefined && this.#head.pixFmt === '' && match[1] !== 'none') this.#head.pixFmt = match[1]
    return match !== null || line.includes('Output #0')
  }

  /** What came through the pipe. The memory is the caller's again afterwards. */
  bytes(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && !this.#broken;) {
      const open = this.#open
      if (open !== undefined) {
        const copied = chunk.copy(open.bytes, open.filled, at)
        open.filled += copied
        at += copied
        if (open.filled === open.size) this.#deliver(open)
        continue
      }
      const end = chunk.indexOf(0x0a, at)
      this.#line += chunk.toString('latin1', at, end < 0 ? chunk.length : end)
      if (this.#line.length > LINE_MAX) return this.#desync('a packet’s description has no end')
      if (end < 0) return
      at = end + 1
      const line = this.#line
      this.#line = ''
      if (line.startsWith('#')) this.#headerLine(line)
      else this.#describe(line)
    }
  }

  #describe(line: string): void {
    // Numbers are padded, which Number() does not mind.
    const [, dts, pts, , sizeText, , ...rest] = line.split(',')
    const flags = rest.map(field => field.trim())
    const flag = flags.find(field => field.startsWith('F='))
    const bits = flag === undefined ? 1 : Number.parseInt(flag.slice(2), 16)
    const size = Number(sizeText)
    if (!Number.isSafeInteger(size) || size < 0 || size > PACKET_MAX) {
      return this.#desync(`unexpected packet description ${JSON.stringify(line.slice(0, 80))}`)
    }
    this.#newExtradata ||= announcesExtradata(flags, this.#head)
    if (size === 0) return // nothing but what stands beside it
    const arrivedAt = Date.now()
    const times = this.#clock?.read(ticks(pts), this.#head.timeBase, arrivedAt) ?? { pts: ticks(pts), dts: ticks(dts) }
    this.#open = {
      ...{ ...times, key: (bits & 1) !== 0, corrupt: (bits & 2) !== 0 },
      ...{ newExtradata: this.#newExtradata, arrivedAt },
      // Held for a GOP: must not be a part of something larger.
      ...{ size, filled: 0, bytes: Buffer.allocUnsafeSlow(size) },
    }
    this.#newExtradata = false
  }

  #headerLine(line: string): void {
    const [, name, value] = /^#(\w+) 0: (.*)$/.exec(line) ?? []
    if (name === undefined || value === undefined) return
    const [a, b] = value.split(/[/x,]/).map(Number)
    if (name === 'codec_id') this.#head.codec = value
    else if (name === 'tb') this.#head.timeBase = [a ?? 1, b ?? 1]
    else if (name === 'dimensions') Object.assign(this.#head, { width: a ?? 0, height: b ?? 0 })
    else if (name === 'extradata') Object.assign(this.#head, { extradataSize: a ?? 0, extradataCrc: value.split(',')[1]?.trim() ?? '' })
  }

  #deliver({ size, bytes, pts, dts, key: marked, corrupt, newExtradata, arrivedAt }: Arriving): void {
    this.#open = undefined
    const { codec, width, height, pixFmt, extradataSize } = this.#head
    const timeBase = this.#clock === undefined ? this.#head.timeBase : WALL_CLOCK_TIME_BASE
    const key = marked || (codec === 'vp9' && isVp9Key(bytes))
    const told = marked && size >= extradataSize ? extradataSize : 0
    // The first packet may be no keyframe, and tells no extradata then.
    if (this.#info === undefined || this.#info.extradata.length < told) {
      this.#info = { codec, timeBase, width, height, pixFmt, extradata: Buffer.from(bytes.subarray(0, told)) }
    }
    const data = told === 0 ? bytes : withoutExtradata(codec, bytes, told)
    this.#handlers.onPacket({ pts, dts, key, corrupt, newExtradata, arrivedAt, data }, this.#info)
  }

  #desync(problem: string): void {
    this.#broken = true
    this.#handlers.onDesync(problem)
  }
}

const ticks = (text: string | undefined): number | undefined => {
  const value = Number(text)
  return text === undefined || text === 'NOPTS' || !Number.isSafeInteger(value) ? undefined : value
}

/**
 * What was put in front is taken away again. Where parameter sets may stand in the stream itself, a packet without any behind them is
 * left as it is: they are its own or might as well be.
 */
function withoutExtradata(codec: string, bytes: Buffer, size: number): Buffer {
  const extradata = bytes.subarray(0, size)
  const rest = bytes.subarray(size)
  const inBand = extradata[0] === 0 && extradata[1] === 0
  return inBand && keyframeParameters(codec, rest, extradata) === undefined ? bytes : rest
}

/**
 * Side data is listed behind `S=`: by name, size and checksum, or before ffmpeg 6 by size and checksum alone. Extradata that says what
 * is known already (an RTMP server that repeats itself) is not new.
 */
function announcesExtradata(fields: readonly string[], known: { extradataSize: number; extradataCrc: string }): boolean {
  const from = fields.findIndex(field => field.startsWith('S='))
  if (from < 0) return false
  const sideData = fields.slice(from + 1)
  const at = sideData.findIndex(field => /new extradata/i.test(field))
  const named = sideData.some(field => !/^[0-9]/.test(field))
  if (named && at < 0) return false
  // Unnamed: parameter sets are longer than an id (1), skip samples (10) or a reference time (16).
  const sizeAt = named ? at + 1 : sideData.findIndex((field, i) => i % 2 === 0 && Number(field) >= 20)
  if (sizeAt < 0) return false
  return Number(sideData[sizeAt]) !== known.extradataSize || sideData[sizeAt + 1] !== known.extradataCrc
}
