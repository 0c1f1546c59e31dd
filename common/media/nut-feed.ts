// Packets → the stdin of an ffmpeg that reads NUT.
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import { sleep } from '../abort.ts'
import type { Run } from './ffmpeg.ts'
import { NutWriter } from './nut-writer.ts'
import { stepsBetween } from './steps.ts'

/** NUT's times must be ≥ 0, and pictures shown before the first keyframe may follow it. */
const PTS_MARGIN_S = 2
const marginTicks = ({ timeBase: [num, den] }: Codec): number => Math.ceil((PTS_MARGIN_S * den) / num)

/** What ffmpeg is told of the input: to take the first packet as it is, without looking at more of them, as the one at 0 s. */
export function nutCopy(codec: Codec): string[] {
  const [num, den] = codec.timeBase
  const offset = ((-marginTicks(codec) * num) / den).toFixed(6)
  return [
    ...['-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0', '-copyts', '-itsoffset', offset],
    ...['-protocol_whitelist', 'pipe', '-f', 'nut', '-i', 'pipe:0', '-map', '0:v:0', '-c', 'copy'],
  ]
}

/**
 * NUT has no dts. ffmpeg makes them of the pts it has seen, which leaves it without for the first packets of a stream with B-frames: this
 * puts those before the first picture, where they belong. For a muxer that keeps the stream's time base (in ffmpeg 5 the filter mistakes any
 * other). `first`: the packets that will be fed first.
 */
export function exactDts({ reorder, timeBase: [num, den] }: Codec, first: readonly Packet[]): string[] {
  if (reorder === 0) return []
  const steps = stepsBetween(first.map(({ pts }) => pts))
  const stepSeconds = (Math.min(...steps, den / num) * num) / den
  return ['-bsf:v', `setts=pts=PTS:dts=if(lt(N\\,${reorder})\\,(N-${reorder})*${stepSeconds.toFixed(9)}/TB\\,DTS)`]
}

export class NutFeed {
  readonly #run: Run
  readonly #nut: NutWriter
  readonly #margin: number
  #ptsOffset: number | undefined

  /** `codec.reorder` must be what the stream needs: ffmpeg makes dts of it. */
  constructor(run: Run, codec: Codec) {
    this.#run = run
    this.#nut = new NutWriter(codec)
    this.#margin = marginTicks(codec)
    run.stdin?.write(this.#nut.header())
  }

  /** Bytes that wait for room in ffmpeg's stdin. */
  get backlog(): number {
    return this.#run.stdin?.writableLength ?? 0
  }

  /** Feeds one packet, in decoding order, keyframe first. */
  feed(packet: Packet): void {
    const { stdin } = this.#run
    if (stdin === undefined || stdin.destroyed) return // the run's end tells
    this.#ptsOffset ??= this.#margin - packet.pts
    const pts = Math.max(0, packet.pts + this.#ptsOffset)
    stdin.cork()
    stdin.write(this.#nut.frameHeader(pts, packet.key, packet.data.length))
    stdin.write(packet.data)
    stdin.uncork()
  }

  /** Waits until stdin has room; false when it has none after `ms`. An ffmpeg that has ended takes whatever comes. */
  async hasRoom(ms: number): Promise<boolean> {
    const { stdin } = this.#run
    if (stdin?.writableNeedDrain !== true) return true
    const over = new AbortController()
    const free = () => over.abort()
    stdin.once('drain', free).once('close', free)
    await sleep(ms, over.signal)
    stdin.off('drain', free).off('close', free)
    return over.signal.aborted
  }

  /** No more packets. */
  end(): void {
    this.#run.stdin?.end()
  }
}
