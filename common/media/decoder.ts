// Packets in, BGR24 frames out, each with exactly the metadata of the packet it came from. One ffmpeg per decoder: NUT on
// its stdin, raw frames on a pipe, their description (showinfo) and their damage (-debug_ts) on stderr.
import { PIXELS_MAX } from '../../proto/frame.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import { runFfmpeg, type End, type Run } from './ffmpeg.ts'
import { FrameReader, type Description } from './frame-reader.ts'
import type { PictureMemory } from './frame-memory.ts'
import { NutFeed } from './nut-feed.ts'

/** A decoded picture. Its BGR24 bytes are `buffer.subarray(offset, offset + width * height * 3)`; the room around them is the caller's. */
export type DecodedFrame = {
  packet: Packet
  width: number
  height: number
  type: string
  key: boolean
  corrupt: boolean
  buffer: Buffer
  offset: number
}

export type DecoderOptions = {
  codec: Codec
  /** An ffmpeg scale expression of two parts. */
  scale?: string | undefined
  maxFps?: number | undefined
  /** More than 1 is faster, and holds back as many pictures less one, so that it is not for live ones. */
  threads: number
  /** Bytes left free in front of and behind each picture. */
  room: { head: number; tail: number }
  /** Where pictures' buffers come from; whoever gets a picture gives its buffer back. New ones unless given. */
  memory?: PictureMemory
  /** False: take no further frame until `resume`; ffmpeg then waits in its pipe. */
  onFrame: (frame: DecodedFrame) => boolean
  /** ffmpeg's own words, for logs and for finding the cause of a failure. */
  onLine?: (line: string) => void
}

/**
 * ffmpeg is told which pictures are wanted by their times, which are all that stays with a picture on its way through the decoder: ticks are
 * doubled, and those of unwanted pictures are odd.
 */
const TICK = 2
const UNWANTED = 1
/** Packets whose frames have not come out: beyond this the decoder is not keeping up or not decoding. */
const AWAITED_MAX = 1024
/** Of a decoded picture, which has at most two bytes for each of three colours; one that is scaled beyond ends the decoder before it is made. */
const PICTURE_BYTES_MAX = 2 ** 28
/** NUT's times must be ≥ 0; B-frames of the first GOP may lie before the first packet. */
const PTS_MARGIN_S = 30

export class Decoder implements AsyncDisposable {
  readonly #run: Run
  readonly #options: DecoderOptions
  readonly #nut: NutFeed
  readonly #awaited = new Map<number, Packet>()
  readonly #damaged = new Set<number>()
  readonly #frames: FrameReader
  #damage = false
  /** Settles when ffmpeg has gone and its last frame has been delivered. */
  readonly ended: Promise<End>

  private constructor(options: DecoderOptions, run: Run, frames: FrameReader, lines: Lines) {
    this.#options = options
    this.#run = run
    this.#frames = frames
    this.#nut = new NutFeed(run, options.codec, { marginS: PTS_MARGIN_S, subticks: TICK })
    lines.handler = line => this.#line(line)
    frames.onPicture = (description, buffer) => this.#deliver(description, buffer)
    this.ended = Promise.all([run.ended, frames.ended]).then(([end]) => end)
  }

  /** Starts ffmpeg. Rejects with Failure SpawnFailed, and with an Error for a codec that can't be decoded. */
  static async start(options: DecoderOptions): Promise<Decoder> {
    const lines: Lines = { handler: () => {} }
    const frames = new FrameReader(options.room, options.memory)
    const { writeFd } = await frames.open()
    let run: Run | undefined
    try {
      run = await runFfmpeg(decodeArgs(options), { stdin: true, outputFd: writeFd, onLine: line => lines.handler(line) })
      return new Decoder(options, run, frames, lines)
    } catch (error) {
      frames.close()
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
   * Feeds one packet, in decoding order, keyframe first. A picture that is not wanted is decoded, as others need it, but neither converted
   * nor delivered. False: stdin is full; await `writable` before the next.
   */
  feed(packet: Packet, isWanted = true): boolean {
    const pts = this.#nut.shifted(packet) * TICK + (isWanted ? 0 : UNWANTED)
    if (pts < 0) return true
    if (isWanted && !this.#awaited.has(pts)) this.#awaited.set(pts, packet)
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
    this.#frames.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#frames.close()
    await this.#run.stop()
  }

  #line(line: string): void {
    // Fifteen lines come for each picture, of which one is this: whoever searches them all searches fast.
    const shown = line.includes(' iskey:') ? / n: *\d+ pts: *(-?\d+) .*? s:(\d+)x(\d+) .*? iskey:(\d) type:(\S)/.exec(line) : null
    if (shown !== null) {
      const [, pts, width, height, key, type] = shown
      const size = { width: Number(width), height: Number(height) }
      if (size.width * size.height > PIXELS_MAX) return this.#refuse(`pictures of ${width}×${height}, more than 40 megapixels`)
      return this.#frames.describe({ pts: Number(pts), ...size, key: key === '1', type: type ?? '?' })
    }
    // The warning and the next frame come from the decoder's own thread, in this order, in every version of ffmpeg.
    if (line.includes('corrupt decoded frame')) this.#damage = true
    const decoded = this.#damage ? /decoder -> (?:.*?frame_)?pts:(-?\d+)/.exec(line) : null
    if (decoded !== null) {
      this.#damage = false
      this.#damaged.add(Number(decoded[1]))
    }
    if (!isTrace(line)) this.#options.onLine?.(line)
  }

  /** Ends the decoder, and says why: no memory is made for such pictures. */
  #refuse(why: string): void {
    this.#options.onLine?.(`[error] ${why}`)
    this.#frames.close()
    void this.#run.stop()
  }

  #deliver({ pts, width, height, key, type }: Description, buffer: Buffer): boolean {
    const packet = this.#awaited.get(pts)
    const corrupt = this.#damaged.delete(pts) || packet?.corrupt === true
    // Frames come in presentation order: what lies before this one was dropped by a filter or not decodable.
    for (const earlier of this.#awaited.keys()) if (earlier <= pts) this.#awaited.delete(earlier)
    for (const earlier of this.#damaged) if (earlier <= pts) this.#damaged.delete(earlier)
    if (packet === undefined) return true // ffmpeg made it up
    return this.#options.onFrame({ packet, width, height, type, key, corrupt, buffer, offset: this.#options.room.head })
  }
}

type Lines = { handler: (line: string) => void }

/** `-debug_ts` says ten lines a frame; none but the decoder's is of use. */
const isTrace = (line: string): boolean => [' -> ', 'muxer <-', 'encoder <-', 'showinfo'].some(trace => line.includes(trace))

/**
 * The very first picture passes, and then the first of each period: maxFps on average whatever the source's rate. Where the very first comes late in its
 * period it stands for the next one too. The quarter keeps a camera's jitter away from the periods' borders when its rate is a multiple.
 */
function thinnedOut(maxFps: number): string {
  const isNext = `gt(floor(t*${maxFps}+0.25)\\,floor(prev_selected_t*${maxFps}+0.25+0.5*eq(selected_n\\,1)))`
  return `select=isnan(prev_selected_t)+${isNext}`
}

function decodeArgs(options: DecoderOptions): string[] {
  const { scale, maxFps, threads } = options
  const filters = [
    `select=not(mod(pts\\,${TICK}))`,
    ...(maxFps === undefined ? [] : [thinnedOut(maxFps)]),
    ...(scale === undefined ? [] : [`scale=${scale}`]),
    'format=bgr24',
    'showinfo=checksum=0',
  ]
  return [
    // NUT says what the stream is: ffmpeg would decode its first picture once more, to see for itself.
    ...['-debug_ts', '-nofind_stream_info', '-threads', String(threads)],
    // A camera that says how it is mounted (display orientation) would have its frames turned, by some versions only the first.
    '-noautorotate',
    ...['-max_pixels', String(PIXELS_MAX), '-max_alloc', String(PICTURE_BYTES_MAX)],
    // ffmpeg would call it a failure when two packets of three make no picture.
    ...['-max_error_rate', '0.999'],
    ...['-protocol_whitelist', 'pipe', '-copyts', '-f', 'nut', '-i', 'pipe:0', '-map', '0:v:0'],
    // Without -noautoscale a change of size in the stream would be scaled to the first size.
    ...['-vf', filters.join(','), '-noautoscale', '-fps_mode', 'passthrough'],
    // The rawvideo encoder is frame-threaded: with more than one thread it holds back one or two frames.
    ...['-threads', '1', '-f', 'rawvideo', 'pipe:3'],
  ]
}
