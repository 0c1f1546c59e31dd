// A camera's packets as ffmpeg's demuxer sees them, without decoding: the bytes come through the `data` muxer, their
// description through `framecrc`, both behind one `tee`, so that sizes cut the bytes exactly.
import type { Readable } from 'node:stream'
import { readLines, runFfmpeg, type End } from './ffmpeg.ts'
import { keyframeParameters } from './parameters.ts'

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

/** More bytes than this without a packet boundary is not video. */
const PENDING_MAX = 64 * 1024 * 1024

/** What follows the input in the command line. */
const OUTPUT = [
  ...['-copytb', '1'],
  // What comes before the first keyframe tells that the camera is alive.
  ...['-copyinkf:v'],
  // In front of every keyframe that doesn't begin with it already: this is how extradata reaches us. It is cut off again.
  ...['-bsf:v', 'dump_extra=freq=keyframe'],
  ...['-f', 'tee', '[f=data:onfail=abort]pipe\\:3|[f=framecrc:onfail=abort]pipe\\:4'],
]

export type DemuxHandlers = {
  /** Called for each packet, in decoding order. `info` stays the same object while the stream's description does. */
  onPacket: (packet: DemuxedPacket, info: DemuxInfo) => void
  onLine: (line: string) => void
  /** The bytes and their description no longer fit together. */
  onDesync: (problem: string) => void
}

/** `codecArgs`: `-c copy`, or an encoder for a source that is not compressed. `copyTimestamps`: the source's own clock is continuous. */
export type DemuxOptions = { codecArgs: readonly string[]; copyTimestamps: boolean }

/** Runs ffmpeg on `inputArgs` (up to `-i URL`). */
export async function demux(inputArgs: readonly string[], options: DemuxOptions, handlers: DemuxHandlers): Promise<DemuxRun> {
  const parser = new PacketParser(handlers)
  const timestamps = options.copyTimestamps ? ['-copyts'] : []
  const run = await runFfmpeg([...inputArgs, ...timestamps, '-map', '0:v:0', ...options.codecArgs, ...OUTPUT], {
    pipes: 2,
    onLine: line => {
      parser.banner(line)
      handlers.onLine(line)
    },
  })
  const [bytes, lines] = run.pipes as [Readable, Readable]
  bytes.on('data', (chunk: Buffer) => parser.bytes(chunk))
  readLines(lines, line => parser.line(line))
  return run
}

type Description = Omit<DemuxedPacket, 'data'> & { size: number }

class PacketParser {
  readonly #handlers: DemuxHandlers
  readonly #chunks: Buffer[] = []
  #pending = 0
  readonly #described: Description[] = []
  readonly #head = { codec: '', timeBase: [1, 1] as [number, number], width: 0, height: 0, extradataSize: 0, extradataCrc: '', pixFmt: '' }
  #info: DemuxInfo | undefined
  #newExtradata = false
  #broken = false

  constructor(handlers: DemuxHandlers) {
    this.#handlers = handlers
  }

  /** The input's `Stream #0:0: Video: h264 (High) (…), yuv420p(progressive), …`; the output's comes later and is ignored. */
  banner(line: string): void {
    const match = / Stream #\d+:\d+.*?: Video: \w+(?: \([^)]*\))*, (\w+)/.exec(line)
    if (match?.[1] !== undefined && this.#head.pixFmt === '' && match[1] !== 'none') this.#head.pixFmt = match[1]
  }

  bytes(chunk: Buffer): void {
    if (this.#broken) return
    this.#chunks.push(chunk)
    this.#pending += chunk.length
    this.#deliver()
    if (this.#pending > PENDING_MAX) this.#desync(`${this.#pending} bytes without a packet`)
  }

  line(line: string): void {
    if (this.#broken) return
    if (line.startsWith('#')) return this.#headerLine(line)
    const fields = line.split(',').map(field => field.trim())
    const [, dts, pts, , size, , ...flags] = fields
    const flag = flags.find(field => field.startsWith('F='))
    const bits = flag === undefined ? 1 : Number.parseInt(flag.slice(2), 16)
    const bytes = Number(size)
    if (!Number.isSafeInteger(bytes) || bytes < 0) return this.#desync(`unexpected packet description ${JSON.stringify(line.slice(0, 80))}`)
    this.#newExtradata ||= announcesExtradata(flags, this.#head)
    if (bytes === 0) return // nothing but what stands beside it
    this.#described.push({
      pts: ticks(pts),
      dts: ticks(dts),
      size: bytes,
      key: (bits & 1) !== 0,
      corrupt: (bits & 2) !== 0,
      newExtradata: this.#newExtradata,
      arrivedAt: Date.now(),
    })
    this.#newExtradata = false
    this.#deliver()
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

  #deliver(): void {
    for (let next = this.#described[0]; next !== undefined && next.size <= this.#pending; next = this.#described[0]) {
      this.#described.shift()
      const { size, ...packet } = next
      const bytes = this.#take(size)
      const { extradataSize, extradataCrc: _, ...head } = this.#head
      const told = next.key && size >= extradataSize ? extradataSize : 0
      // The first packet may be no keyframe, and tells no extradata then.
      if (this.#info === undefined || this.#info.extradata.length < told)
        this.#info = { ...head, extradata: Buffer.from(bytes.subarray(0, told)) }
      this.#handlers.onPacket({ ...packet, data: told === 0 ? bytes : withoutExtradata(head.codec, bytes, told) }, this.#info)
    }
  }

  #take(size: number): Buffer {
    this.#pending -= size
    const whole = Buffer.allocUnsafeSlow(size) // held for a GOP: must not pin a larger chunk or a pool's slab
    for (let filled = 0; filled < size;) {
      const chunk = this.#chunks[0] as Buffer
      const copied = chunk.copy(whole, filled)
      filled += copied
      if (copied === chunk.length) this.#chunks.shift()
      else this.#chunks[0] = chunk.subarray(copied)
    }
    return whole
  }

  #desync(problem: string): void {
    this.#broken = true
    this.#chunks.length = 0
    this.#described.length = 0
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
