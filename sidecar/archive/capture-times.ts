// At the end of each file of the archive stands a box that players pass by: what MP4 does not say of its packets, their places and exact capture times.
import type { FramePlace } from '../../proto/frame-id.ts'
import { ticksToSeconds, type TimeBase } from '../../common/media/timebase.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'

/** ISO/IEC 14496-12 11.1: of this project. */
const UUID = Buffer.from('8f3c7a52d6e04b1f9a275c1e60b4d793', 'hex')
const HEAD_BYTES = 8 + UUID.length
/** epoch, keyframe, startMs, pts, time base, count */
const ABOUT_BYTES = 4 * 8 + 3 * 4

export type CaptureTimes = Pick<FramePlace, 'epoch' | 'keyframe'> & {
  /** ms since the epoch, of each packet in decoding order. */
  readonly times: readonly number[]
  /** Of the first packet, in seconds. */
  readonly ptsSeconds: number
}

/** Collects the times of a file's packets. */
export class CaptureNotes {
  readonly #epoch: number
  readonly #keyframe: number
  readonly #startMs: number
  readonly #pts: number
  readonly #timeBase: TimeBase
  readonly #times: number[] = []

  constructor({ epoch, keyframe, timestamp, pts }: Packet, { timeBase }: Pick<Codec, 'timeBase'>) {
    this.#epoch = epoch
    this.#keyframe = keyframe
    this.#startMs = timestamp
    this.#pts = pts
    this.#timeBase = timeBase
  }

  add({ timestamp }: Packet): void {
    this.#times.push(timestamp)
  }

  /** So far. */
  get captured(): CaptureTimes {
    return { epoch: this.#epoch, keyframe: this.#keyframe, times: this.#times, ptsSeconds: ticksToSeconds(this.#pts, this.#timeBase) }
  }

  box(): Buffer {
    const box = Buffer.alloc(HEAD_BYTES + ABOUT_BYTES + 4 * this.#times.length)
    box.writeUInt32BE(box.length)
    box.write('uuid', 4, 'latin1')
    UUID.copy(box, 8)
    const about = [this.#epoch, this.#keyframe, this.#startMs, this.#pts]
    for (const [i, value] of about.entries()) box.writeBigInt64BE(BigInt(value), HEAD_BYTES + 8 * i)
    for (const [i, value] of [...this.#timeBase, this.#times.length].entries()) box.writeUInt32BE(value, HEAD_BYTES + 32 + 4 * i)
    for (const [i, time] of this.#times.entries()) {
      const offset = Math.max(-(2 ** 31), Math.min(time - this.#startMs, 2 ** 31 - 1))
      box.writeInt32BE(offset, HEAD_BYTES + ABOUT_BYTES + 4 * i)
    }
    return box
  }
}

/** What a uuid box says; undefined for one of others. `body`: without its length and type. Throws RangeError. */
export function readCaptureTimes(body: Buffer): CaptureTimes | undefined {
  if (!body.subarray(0, UUID.length).equals(UUID)) return undefined
  const said = body.subarray(UUID.length)
  const [epoch = 0, keyframe = 0, startMs = 0, pts = 0] = [0, 8, 16, 24].map(at => Number(said.readBigInt64BE(at)))
  const [num = 1, den = 1, noted = 0] = [32, 36, 40].map(at => said.readUInt32BE(at))
  const count = Math.min(noted, (said.length - ABOUT_BYTES) / 4)
  const times = Array.from({ length: count }, (_, i) => startMs + said.readInt32BE(ABOUT_BYTES + 4 * i))
  return { epoch, keyframe, times, ptsSeconds: ticksToSeconds(pts, [num, den]) }
}
