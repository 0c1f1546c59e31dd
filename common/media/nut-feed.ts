// Packets → the stdin of an ffmpeg that reads NUT.
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import type { Run } from './ffmpeg.ts'
import { NutWriter } from './nut-writer.ts'
import { stepsBetween } from './steps.ts'
import { secondsToTicks, ticksToSeconds } from './timebase.ts'

/** NUT's times must be ≥ 0, and frames shown before the first keyframe may follow it. */
const MARGIN_S = 2
const marginTicks = ({ timeBase }: Codec): number => secondsToTicks(MARGIN_S, timeBase)

/** What ffmpeg is told of the input: to take the first packet as it is, without looking at more of them, as the one at 0 s. */
export function nutCopy(codec: Codec): string[] {
  const offset = ticksToSeconds(-marginTicks(codec), codec.timeBase).toFixed(6)
  return [
    ...['-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0', '-copyts', '-itsoffset', offset],
    ...['-protocol_whitelist', 'pipe', '-f', 'nut', '-i', 'pipe:0', '-map', '0:v:0', '-c', 'copy'],
  ]
}

/**
 * NUT has no dts. ffmpeg makes them of the pts it has seen, which leaves it without for the first packets of a stream with B-frames: this
 * puts those before the first frame, where they belong. For a muxer that keeps the stream's time base (in ffmpeg 5 the filter mistakes any
 * other). `first`: the packets that will be fed first.
 */
export function exactDts({ reorder, timeBase }: Codec, first: readonly Packet[]): string[] {
  if (reorder === 0) return []
  const steps = stepsBetween(first.map(({ pts }) => pts))
  const stepSeconds = Math.min(ticksToSeconds(Math.min(...steps), timeBase), 1)
  return ['-bsf:v', `setts=pts=PTS:dts=if(lt(N\\,${reorder})\\,(N-${reorder})*${stepSeconds.toFixed(9)}/TB\\,DTS)`]
}

type NutOptions = {
  /** How much earlier than the first packet fed a frame may be shown. */
  marginS?: number
  /** NUT's ticks are finer than the codec's by so much. */
  subticks?: number
}

/** Writes packets to ffmpeg's stdin, and knows how many bytes wait there. */
export class NutFeed {
  readonly #run: Run
  readonly #nut: NutWriter
  readonly #margin: number
  #ptsOffset: number | undefined

  /** `codec.reorder` must be what the stream needs: ffmpeg makes dts of it. */
  constructor(run: Run, codec: Codec, { marginS = MARGIN_S, subticks = 1 }: NutOptions = {}) {
    const [num, den] = codec.timeBase
    this.#run = run
    this.#nut = new NutWriter({ ...codec, timeBase: [num, den * subticks] })
    this.#margin = secondsToTicks(marginS, codec.timeBase)
    run.stdin?.write(this.#nut.header())
  }

  /** Bytes that wait for room in ffmpeg's stdin. */
  get backlog(): number {
    return this.#run.stdin?.writableLength ?? 0
  }

  /** Feeds one packet, in decoding order, keyframe first. False: stdin is full; await `hasRoom` before the next. */
  feed(packet: Packet): boolean {
    return this.write(packet, Math.max(0, this.shifted(packet)))
  }

  /** The packet's pts, in the codec's ticks, with the first packet at the margin: NUT has no times before 0. */
  shifted({ pts }: Packet): number {
    this.#ptsOffset ??= this.#margin - pts
    return pts + this.#ptsOffset
  }

  /** `pts` ≥ 0, in NUT's ticks. */
  write({ key, data }: Packet, pts: number): boolean {
    const { stdin } = this.#run
    if (stdin === undefined || stdin.destroyed) return true // the run's end tells
    stdin.cork()
    stdin.write(this.#nut.frameHeader(pts, key, data.length))
    const hasRoom = stdin.write(data)
    stdin.uncork()
    return hasRoom
  }

  /** Resolves once stdin has room; an ffmpeg that has ended has room for all. False: it has none after `ms`. */
  async hasRoom(ms?: number): Promise<boolean> {
    const { stdin } = this.#run
    if (stdin?.writableNeedDrain !== true) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const free = () => resolve(true)
    stdin.once('drain', free).once('close', free)
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms, false)
    const isFree = await promise
    clearTimeout(timer)
    stdin.off('drain', free).off('close', free)
    return isFree
  }

  /** No more packets. */
  end(): void {
    this.#run.stdin?.end()
  }
}
