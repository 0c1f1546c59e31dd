// The first packets of a connection, held for a moment. ffmpeg looks at a stream before it delivers any of it, so they come in one
// burst, later than they came from the camera, and the very first has no time of its own yet.
import type { DemuxedPacket } from '../../common/media/demux.ts'
import { stepsBetween } from '../../common/media/steps.ts'
import { ticksToMs, type TimeBase } from '../../common/media/timebase.ts'

const HOLD_MS = 100
const PACKETS_MAX = 1_000
const BYTES_MAX = 8 * 2 ** 20
/** A first time this far from the second is not of the stream. */
const STRANGE_MS = 10_000
/** Between two frames, where nothing tells. */
const STEP_MS = 40

export class Opening {
  #held: DemuxedPacket[] | undefined = []
  #bytes = 0
  #startOffsetMs: number | undefined

  /** Arrival − pts of the packet that waited least, in ms: where the camera's clock stands. Undefined until packets were let go. */
  get startOffsetMs(): number | undefined {
    return this.#startOffsetMs
  }

  /** Takes a packet; returns those that may go on, in order. */
  push(packet: DemuxedPacket, timeBase: TimeBase): DemuxedPacket[] {
    const held = this.#held
    if (held === undefined) return [packet]
    held.push(packet)
    this.#bytes += packet.data.length
    const [first] = held
    const heldMs = packet.arrivedAt - (first?.arrivedAt ?? 0)
    // A clock that is set meanwhile ends the wait too.
    const enough = held.length > 1 && (heldMs < 0 || (heldMs >= HOLD_MS && isEarliestThere(held)))
    if (!enough && held.length < PACKETS_MAX && this.#bytes < BYTES_MAX) return []
    return this.end(timeBase)
  }

  /** What is still held: nothing more comes. */
  end(timeBase: TimeBase): DemuxedPacket[] {
    const held = this.#held ?? []
    this.#held = undefined
    const tickMs = ticksToMs(1, timeBase)
    const timed = withFirstTime(held, tickMs)
    const offsets = timed.flatMap(({ pts, arrivedAt }) => (pts === undefined ? [] : arrivedAt - pts * tickMs))
    if (offsets.length > 0) this.#startOffsetMs = Math.min(...offsets)
    return timed
  }
}

/** Of the frames behind the first the earliest is there: B-frames come later than others, but are shown no earlier than they are due. */
function isEarliestThere([, ...rest]: readonly DemuxedPacket[]): boolean {
  const due = rest.at(-1)?.dts
  return due === undefined || rest.some(({ pts = due }) => pts <= due)
}

/** The first packet's time follows from those behind it: one step before the earliest of its group. */
function withFirstTime(packets: DemuxedPacket[], tickMs: number): DemuxedPacket[] {
  const [first, ...rest] = packets
  if (first === undefined) return packets
  const nextKey = rest.findIndex(({ key }) => key)
  const group = nextKey < 1 ? rest : rest.slice(0, nextKey)
  const times = group.flatMap(({ pts }) => pts ?? [])
  const next = times.length > 0 ? Math.min(...times) : undefined
  if (next === undefined || (first.pts !== undefined && Math.abs(next - first.pts) * tickMs <= STRANGE_MS)) return packets
  const steps = stepsBetween(times)
  const step = steps.length > 0 ? Math.min(...steps) : Math.ceil(STEP_MS / tickMs)
  const pts = next - step
  const nextDts = rest[0]?.dts ?? next
  const dts = first.dts !== undefined && first.dts < nextDts && (nextDts - first.dts) * tickMs <= STRANGE_MS ? first.dts : nextDts - step
  return [{ ...first, pts, dts: Math.min(pts, dts) }, ...rest]
}
