// Packets in, frames out, in one or more renditions, each with exactly the metadata of the packet it came from. One ffmpeg per decoder: NUT on
// its stdin; for each rendition an output of its own on a pipe; their description (showinfo) and their damage (-debug_ts) on stderr.
import { closeSync } from 'node:fs'
import type { Packet } from '../../proto/messages.ts'
import { frameBytes, type PixelFormat } from '../../proto/rendition.ts'
import type { Codec } from '../../proto/state.ts'
import { runFfmpeg, type End, type Run } from './ffmpeg.ts'
import { DECODED_PIXELS_MAX, tooLarge } from './frame-limit.ts'
import { FrameReader, type Description, type Reader } from './frame-reader.ts'
import type { PictureMemory } from './frame-memory.ts'
import { JpegReader } from './jpeg-reader.ts'
import { NutFeed } from './nut-feed.ts'

/** A decoded frame. Its bytes are `buffer.subarray(offset, offset + size)`; the room around them is the caller's. */
export type DecodedFrame = {
  /** Of the decoder's outputs. */
  output: number
  packet: Packet
  width: number
  height: number
  format: PixelFormat
  type: string
  key: boolean
  corrupt: boolean
  buffer: Buffer
  offset: number
  size: number
}

/** One rendition. */
export type DecoderOutput = {
  /** ffmpeg filters from the decoded frame to the format. */
  filters: readonly string[]
  format: PixelFormat
  /** How an encoder is told what to do, in ffmpeg's words. */
  encoderArgs?: readonly string[]
  /** Where frames' buffers come from; who gets a frame gives its buffer back. New ones unless given. */
  memory?: PictureMemory
}

export type DecoderOptions = {
  codec: Codec
  outputs: readonly DecoderOutput[]
  /** More than 1 is faster, and holds back as many frames less one, so that it is not for live ones. */
  threads: number
  /** Bytes left free in front of and behind each frame. */
  room: { head: number; tail: number }
  /** False: take no further frame of this output until `resume`; ffmpeg then waits in its pipe. */
  onFrame: (frame: DecodedFrame) => boolean
  /** ffmpeg's own words, for logs and for finding the cause of a failure. */
  onLine?: (line: string) => void
}

/** By this and those that follow the outputs' descriptions are told apart: 1/1 might be the camera's own. */
const FIRST_SAR = 2
/** Packets whose frames have not come out: beyond this the decoder is not keeping up or not decoding. */
const AWAITED_MAX = 1024
/** Of a frame, which has at most two bytes for each of three colours; one that is scaled beyond ends the decoder before it is made. */
const FRAME_BYTES_MAX = 2 ** 28
/** NUT's times must be ≥ 0; B-frames of the first GOP may lie before the first packet. */
const PTS_MARGIN_S = 30

/** A packet whose frame some outputs are still to give: those of the bits in `outputs`. */
type Awaited = { packet: Packet; outputs: number; isDamaged: boolean }

export class Decoder implements AsyncDisposable {
  readonly #run: Run
  readonly #options: DecoderOptions
  readonly #nut: NutFeed
  /** By pts as ffmpeg has them. */
  readonly #awaited = new Map<number, Awaited>()
  readonly #readers: readonly Reader[]
  /**
   * ffmpeg is told which frames each output is to give by their times, which are all that stays with a frame on its way through the decoder: ticks are
   * multiplied by this, a power of two, and what is added to the product has a bit for each output that is not to give the frame.
   */
  readonly #tick: number
  #damage = false
  /** Settles when ffmpeg has gone and its last frame has been delivered. */
  readonly ended: Promise<End>

  private constructor(options: DecoderOptions, run: Run, readers: readonly Reader[], lines: Lines) {
    this.#options = options
    this.#run = run
    this.#readers = readers
    this.#tick = 2 ** readers.length
    this.#nut = new NutFeed(run, options.codec, { marginS: PTS_MARGIN_S, subticks: this.#tick })
    lines.handler = line => this.#line(line)
    for (const [output, reader] of readers.entries()) {
      reader.onPicture = (description, buffer, size) => this.#deliver(output, description, buffer, size)
    }
    this.ended = Promise.all([run.ended, ...readers.map(reader => reader.ended)]).then(([end]) => end)
  }

  /** Starts ffmpeg. Rejects with Failure SpawnFailed, and with an Error for a codec that can't be decoded. */
  static async start(options: DecoderOptions): Promise<Decoder> {
    const lines: Lines = { handler: () => {} }
    const readers = options.outputs.map(output => readerOf(output, options.room))
    let run: Run | undefined
    try {
      const outputFds = await open(readers)
      run = await runFfmpeg(decodeArgs(options), { reach: 'sealed', stdin: true, outputFds, onLine: line => lines.handler(line) })
      return new Decoder(options, run, readers, lines)
    } catch (error) {
      for (const reader of readers) reader.close()
      await run?.stop()
      throw error
    }
  }

  get pid(): number {
    return this.#run.pid
  }

  /** Bytes of packets that wait for room in ffmpeg's stdin. */
  get backlog(): number {
    return this.#nut.backlog
  }

  /**
   * Feeds one packet, in decoding order, keyframe first. `outputs` has a bit for each output that is to give its frame. A frame that none is to
   * give is decoded, as others need it, but neither converted nor delivered. False: stdin is full; await `writable` before the next.
   */
  feed(packet: Packet, outputs = this.#tick - 1): boolean {
    const pts = this.#nut.shifted(packet) * this.#tick + (this.#tick - 1 - outputs)
    if (pts < 0) return true
    if (outputs !== 0 && !this.#awaited.has(pts)) this.#awaited.set(pts, { packet, outputs, isDamaged: false })
    if (this.#awaited.size > AWAITED_MAX) this.#awaited.delete(this.#awaited.keys().next().value as number)
    return this.#nut.write(packet, pts)
  }

  /** Resolves when stdin has room again or the decoder has ended. */
  async writable(): Promise<void> {
    await this.#nut.hasRoom()
  }

  /** No more packets: ffmpeg delivers what it holds back and ends. */
  end(): void {
    this.#nut.end()
  }

  /** Frames are wanted again after onFrame returned false. */
  resume(): void {
    for (const reader of this.#readers) reader.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
    await this.#run.stop()
  }

  #close(): void {
    for (const reader of this.#readers) reader.close()
  }

  #line(line: string): void {
    // Fifteen lines come for each frame, of which one is this: the search must be fast.
    if (line.includes(' iskey:')) return this.#describe(line)
    // The warning and the next frame come from the decoder's own thread, in this order, in every version of ffmpeg.
    if (line.includes('corrupt decoded frame')) this.#damage = true
    const decoded = this.#damage ? /decoder -> (?:.*?frame_)?pts:(-?\d+)/.exec(line) : null
    if (decoded !== null) {
      this.#damage = false
      const awaited = this.#awaited.get(Number(decoded[1]))
      if (awaited !== undefined) awaited.isDamaged = true
    }
    if (!isTrace(line)) this.#options.onLine?.(line)
  }

  /** Outputs run in threads of their own, which may write their descriptions into one line: each says by its aspect ratio whose it is. */
  #describe(line: string): void {
    for (const { output, description } of shownIn(line)) {
      const refusal = tooLarge(description.width, description.height)
      if (refusal !== undefined) return this.#refuse(refusal)
      this.#readers[output]?.describe(description)
    }
  }

  /** Ends the decoder, and says why: no memory is made for such frames. */
  #refuse(why: string): void {
    this.#options.onLine?.(`[error] ${why}`)
    this.#close()
    void this.#run.stop()
  }

  #deliver(output: number, { pts, width, height, key, type }: Description, buffer: Buffer, size: number): boolean {
    const awaited = this.#awaited.get(pts)
    // Frames come in presentation order: what lies before this one was dropped by a filter or not decodable.
    for (const [earlier, entry] of this.#awaited) {
      if (earlier > pts) continue
      entry.outputs &= ~(1 << output)
      if (entry.outputs === 0) this.#awaited.delete(earlier)
    }
    if (awaited === undefined) return true // ffmpeg made it up
    const { packet, isDamaged } = awaited
    const { format } = this.#options.outputs[output] as DecoderOutput
    const corrupt = isDamaged || packet.corrupt
    return this.#options.onFrame({
      ...{ output, packet, width, height, format, type, key, corrupt },
      ...{ buffer, offset: this.#options.room.head, size },
    })
  }
}

/** What showinfo says of frames, and of which outputs. */
export const shownIn = (line: string): { output: number; description: Description }[] =>
  [...line.matchAll(/ pts: *(-?\d+) [^[]*? sar:1\/(\d+) s:(\d+)x(\d+) [^[]*? iskey:(\d) type:(\S)/g)].map(
    ([, pts, sar, width, height, key, type = '?']) => ({
      output: Number(sar) - FIRST_SAR,
      description: { pts: Number(pts), width: Number(width), height: Number(height), key: key === '1', type },
    }),
  )

type Lines = { handler: (line: string) => void }

/** `-debug_ts` says ten lines a frame; none but the decoder's is of use. */
const isTrace = (line: string): boolean => [' -> ', 'muxer <-', 'encoder <-', 'showinfo'].some(trace => line.includes(trace))

const readerOf = ({ format, memory }: DecoderOutput, room: DecoderOptions['room']): Reader =>
  format === 'JPEG' ? new JpegReader(room) : new FrameReader(room, ({ width, height }) => frameBytes(format, width, height) ?? 0, memory)

/** The ends that ffmpeg is to write to. */
async function open(readers: readonly Reader[]): Promise<number[]> {
  const opened = await Promise.allSettled(readers.map(reader => reader.open()))
  const outputFds = opened.flatMap(end => (end.status === 'fulfilled' ? [end.value.writeFd] : []))
  const failed = opened.find(end => end.status === 'rejected')
  if (failed === undefined) return outputFds
  for (const fd of outputFds) closeSync(fd)
  throw failed.reason as Error
}

function decodeArgs({ codec, outputs, threads }: DecoderOptions): string[] {
  const [num, den] = codec.timeBase
  const timeBase = `${num}/${den * 2 ** outputs.length}`
  return [
    // NUT says what the stream is: ffmpeg would decode its first picture once more, to see for itself.
    ...['-debug_ts', '-nofind_stream_info', '-threads', String(threads)],
    // A camera that says how it is mounted (display orientation) would have its frames turned, by some versions only the first.
    '-noautorotate',
    ...['-max_pixels', String(DECODED_PIXELS_MAX), '-max_alloc', String(FRAME_BYTES_MAX)],
    // ffmpeg would call it a failure when two packets of three make no picture.
    ...['-max_error_rate', '0.999'],
    ...['-protocol_whitelist', 'pipe', '-copyts', '-f', 'nut', '-i', 'pipe:0'],
    ...outputs.flatMap((output, i) => outputArgs(output, i, timeBase)),
  ]
}

function outputArgs({ filters, encoderArgs = [] }: DecoderOutput, output: number, timeBase: string): string[] {
  const described = [`setsar=1/${FIRST_SAR + output}`, 'showinfo=checksum=0', 'setsar=1']
  const chain = [`select=not(mod(floor(pts/${2 ** output})\\,2))`, ...filters, ...described]
  return [
    // Without -noautoscale a change of size in the stream would be scaled to the first size.
    ...['-map', '0:v:0', '-vf', chain.join(','), '-noautoscale', '-fps_mode', 'passthrough'],
    // In ticks of the input: by the rate that ffmpeg guesses two frames might have the same time, which ends it.
    ...['-enc_time_base', timeBase],
    // Encoders are frame-threaded: with more than one thread they hold back one or two frames.
    ...['-threads', '1', ...encoderArgs, '-f', 'rawvideo', `pipe:${output + 3}`],
  ]
}
