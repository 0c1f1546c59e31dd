// From what the demuxer delivers to what everyone else works with: packets with their place in GOP, epoch and time. An epoch
// ends where the codec, the size or the continuity of time does.
import { codecLongName } from '../common/media/codecs.ts'
import type { DemuxedPacket, DemuxInfo } from '../common/media/demux.ts'
import { keyframeParameters } from '../common/media/parameters.ts'
import type { Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { CaptureClock } from './clock.ts'

export type Step =
  | { kind: 'packet'; packet: Packet; codec: Codec; newEpoch: boolean }
  /** Nothing can be decoded from this packet on its own: no keyframe has come yet. */
  | { kind: 'skip' }
  /** ffmpeg must start anew: what it knows of the stream no longer holds. */
  | { kind: 'restart'; why: 'NewExtradata' | 'NoTimestamps' | 'TimestampsStuck' }

/** pts further apart than this are not one stretch of time. */
const JUMP_MS = 10_000
/** After this many steps of dts by at most one tick ffmpeg is flattening a jump backwards. */
const STUCK_MAX = 3
const REORDER_WINDOW = 16

/** Follows one run of ffmpeg. */
export class EpochTracker {
  readonly #now: () => number
  #lastEpoch: number
  #epoch: { id: number; codec: Codec; clock: CaptureClock; parameters: Buffer } | undefined
  #index = 0
  #keyframes = 0
  #lastPts = 0
  #lastDts: number | undefined
  #stuck = 0
  #recentPts: number[] = []

  /** `lastEpoch`: epochs of earlier runs; ids rise. */
  constructor(lastEpoch: number, now: () => number = Date.now) {
    this.#lastEpoch = lastEpoch
    this.#now = now
  }

  next(demuxed: DemuxedPacket, info: DemuxInfo): Step {
    const pts = demuxed.pts ?? demuxed.dts
    if (pts === undefined) return { kind: 'restart', why: 'NoTimestamps' }
    const dts = demuxed.dts ?? pts
    if (demuxed.newExtradata && this.#epoch !== undefined) return { kind: 'restart', why: 'NewExtradata' }
    this.#stuck = this.#lastDts !== undefined && dts - this.#lastDts <= 1 ? this.#stuck + 1 : 0
    this.#lastDts = dts
    if (this.#stuck >= STUCK_MAX) return { kind: 'restart', why: 'TimestampsStuck' }

    const toMs = (ticks: number) => (ticks * 1000 * info.timeBase[0]) / info.timeBase[1]
    const jumped = this.#epoch !== undefined && Math.abs(toMs(pts - this.#lastPts)) > JUMP_MS
    if (jumped) this.#epoch = undefined
    if (this.#epoch === undefined && !demuxed.key) return { kind: 'skip' }
    const newEpoch = demuxed.key ? this.#openEpoch(demuxed, info) : false
    const epoch = this.#epoch
    if (epoch === undefined) return { kind: 'skip' }
    this.#lastPts = pts
    this.#index = demuxed.key ? 0 : this.#index + 1
    if (demuxed.key) this.#keyframes++
    this.#learnReorder(pts, epoch)
    const { key, corrupt, data } = demuxed
    const timestamp = epoch.clock.timestamp(toMs(pts), demuxed.arrivedAt)
    const packet = { epoch: epoch.id, index: this.#index, keyframe: this.#keyframes, pts, dts, timestamp, key, corrupt, data }
    return { kind: 'packet', packet, codec: epoch.codec, newEpoch }
  }

  /** Begins an epoch when this keyframe is not of the current one; true when it does. */
  #openEpoch(demuxed: DemuxedPacket, info: DemuxInfo): boolean {
    const inBand = keyframeParameters(info.codec, demuxed.data)
    const current = this.#epoch
    const changed =
      current === undefined ||
      (inBand !== undefined &&
        // New parameter sets with an old size still are another coded sequence; for JPEG the size is all there is.
        (inBand.width !== current.codec.width || inBand.height !== current.codec.height || differs(inBand.extradata, current.parameters)))
    if (!changed) return false
    const first = current === undefined && this.#keyframes === 0
    const known = first && info.extradata.length > 0 ? info.extradata : (inBand?.extradata ?? info.extradata)
    this.#lastEpoch = Math.max(this.#lastEpoch + 1, this.#now())
    this.#keyframes = 0
    this.#recentPts = []
    this.#epoch = {
      id: this.#lastEpoch,
      clock: new CaptureClock(),
      parameters: inBand?.extradata ?? Buffer.alloc(0),
      codec: {
        name: info.codec,
        longName: codecLongName(info.codec),
        width: inBand?.width ?? info.width,
        height: inBand?.height ?? info.height,
        pixFmt: (first && info.pixFmt !== '' ? info.pixFmt : inBand?.pixFmt) ?? info.pixFmt,
        extradata: known.toString('base64'),
        timeBase: info.timeBase,
        reorder: 0,
      },
    }
    return true
  }

  /** How many frames come before their turn: what a decoder must hold back. Learnt from the stream, as cameras do not say. */
  #learnReorder(pts: number, epoch: { codec: Codec }): void {
    const ahead = this.#recentPts.filter(other => other > pts).length
    this.#recentPts = [...this.#recentPts.slice(1 - REORDER_WINDOW), pts]
    if (ahead > epoch.codec.reorder) epoch.codec = { ...epoch.codec, reorder: Math.min(ahead, REORDER_WINDOW) }
  }
}

/** Parameter sets may be absent from some keyframes (they stand beside the stream then). */
const differs = (now: Buffer, before: Buffer) => now.length > 0 && before.length > 0 && !now.equals(before)
