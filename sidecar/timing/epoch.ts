// From what the demuxer delivers to what everyone else works with: packets with their place in GOP, epoch and time. An epoch
// ends where the codec, the size or the continuity of time does.
import { codecLongName } from '../../common/media/codecs.ts'
import type { DemuxedPacket, DemuxInfo } from '../../common/media/demux.ts'
import { ticksToMs } from '../../common/media/timebase.ts'
import { Reorder } from '../../common/media/reorder.ts'
import { keyframeParameters, streamExtradata, type Parameters } from '../../common/media/parameters.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import { CaptureClock } from './capture-clock.ts'
import { UsableTimes } from './usable-times.ts'

export type Step =
  | { kind: 'packet'; packet: Packet; codec: Codec; newEpoch: boolean }
  /** Nothing can be decoded from this packet on its own: no keyframe has come yet. */
  | { kind: 'skip' }
  /** ffmpeg must start again: what it knows of the stream no longer holds. */
  | { kind: 'restart'; why: 'NewExtradata' | 'NoTimestamps' | 'TimestampsStuck' }

/** pts further apart than this are not one stretch of time. */
const JUMP_MS = 10_000
/**
 * Up to so many packets from the first keyframe on it is no jump, and would be the same each time: where B-frames are, ffmpeg places packets wrongly
 * until it has seen their parameter sets, which may come with that keyframe, and so it does where a camera's clock begins at 0.
 */
const BEGIN_MAX = 16
/** Times that were good for this long are likely to be so again: the camera's clock was set back once. */
const GOOD_MS = 5_000

/** What a session has found out about the times of a camera, which holds for the next. */
export type LearntTimes = {
  /** The camera's own can't be used: packets get the times at which they came. */
  isArrival: boolean
  /** How fast the camera's clock runs (CaptureClock). */
  rate: number
}

type Epoch = { id: number; codec: Codec; clock: CaptureClock; inBand: Parameters | undefined }

/** Follows one run of ffmpeg. */
export class EpochTracker {
  readonly #now: () => number
  #lastEpoch: number
  #epoch: Epoch | undefined
  #startOffsetMs: number | undefined
  readonly #times: UsableTimes
  #learnt: LearntTimes
  /** From the first keyframe on. */
  #packets = 0
  #index = 0
  #keyframes = 0
  #lastPts = 0
  #reorder = new Reorder()

  /** `lastEpoch`: epochs of earlier runs; ids rise. */
  constructor(lastEpoch: number, now: () => number = Date.now, learnt: LearntTimes = { isArrival: false, rate: 1 }) {
    this.#lastEpoch = lastEpoch
    this.#now = now
    this.#learnt = learnt
    this.#times = new UsableTimes(learnt.isArrival)
  }

  get learnt(): LearntTimes {
    return this.#learnt
  }

  /** Where the first epoch's clock begins (CaptureClock). */
  startClock(offsetMs: number | undefined): void {
    if (!this.#times.isArrival) this.#startOffsetMs = offsetMs
  }

  /** What becomes of a packet, and of those before it that it sheds light on. */
  next(demuxed: DemuxedPacket, info: DemuxInfo): Step[] {
    const dts = demuxed.dts ?? demuxed.pts
    if (dts === undefined) return [{ kind: 'restart', why: 'NoTimestamps' }]
    if (demuxed.newExtradata && this.#epoch !== undefined) return [{ kind: 'restart', why: 'NewExtradata' }]
    if (demuxed.key || this.#packets > 0) this.#packets++
    const tickMs = ticksToMs(1, info.timeBase)
    const { packets, stuck } = this.#times.push(demuxed, tickMs)
    if (!stuck) {
      const steps = packets.map(packet => this.#take(packet, info))
      if (this.#epoch?.clock.isErratic === true && !this.#times.isArrival) this.#useArrival(tickMs, true)
      return steps
    }
    if (this.#packets <= BEGIN_MAX) {
      this.#epoch = undefined // the next keyframe has a time of its own
      return Array.from({ length: this.#times.drop() }, () => ({ kind: 'skip' }))
    }
    // Times of arrival do not tell the order of B-frames. ffmpeg finds the camera's new times when it starts again.
    if ((this.#epoch?.codec.reorder ?? 0) > 0) return [{ kind: 'restart', why: 'TimestampsStuck' }]
    return this.#useArrival(tickMs, this.#times.goodMs < GOOD_MS).map(packet => this.#take(packet, info))
  }

  #useArrival(tickMs: number, isLasting: boolean): DemuxedPacket[] {
    if (isLasting) this.#learnt = { isArrival: true, rate: 1 }
    this.#epoch?.clock.expectRight()
    this.#startOffsetMs = undefined // it was of the camera's own times
    return this.#times.useArrival(tickMs)
  }

  #take(demuxed: DemuxedPacket, info: DemuxInfo): Step {
    const dts = demuxed.dts ?? demuxed.pts ?? 0
    const pts = demuxed.pts ?? dts
    const ptsMs = ticksToMs(pts, info.timeBase)
    const jumped = this.#epoch !== undefined && Math.abs(ptsMs - ticksToMs(this.#lastPts, info.timeBase)) > JUMP_MS
    if (jumped) this.#epoch = undefined
    if (this.#epoch === undefined && !demuxed.key) return { kind: 'skip' }
    const newEpoch = demuxed.key ? this.#keyframe(demuxed, info, ptsMs) : false
    const epoch = this.#epoch
    if (epoch === undefined) return { kind: 'skip' }
    this.#lastPts = pts
    this.#index = demuxed.key ? 0 : this.#index + 1
    if (demuxed.key) this.#keyframes++
    this.#learnReorder(pts, epoch)
    const { key, corrupt, data, camera } = demuxed
    const timestamp = epoch.clock.timestamp(ptsMs, demuxed.arrivedAt)
    if (!this.#times.isArrival && this.#learnt.rate !== epoch.clock.rate) this.#learnt = { ...this.#learnt, rate: epoch.clock.rate }
    const times = { pts: corrected(pts, epoch.clock, info), dts: corrected(dts, epoch.clock, info), timestamp }
    const packet = {
      epoch: epoch.id,
      index: this.#index,
      keyframe: this.#keyframes,
      ...times,
      ...(camera === undefined ? {} : { camera }),
      key,
      corrupt,
      data,
    }
    return { kind: 'packet', packet, codec: epoch.codec, newEpoch }
  }

  /** Begins an epoch when this keyframe is not of the current one; true when it does. */
  #keyframe(demuxed: DemuxedPacket, info: DemuxInfo, ptsMs: number): boolean {
    const inBand = keyframeParameters(info.codec, demuxed.data, info.extradata)
    const current = this.#epoch
    const clockIsOff = current?.clock.isOff(ptsMs, demuxed.arrivedAt) === true
    if (current !== undefined && !clockIsOff && !isAnother(inBand, current)) {
      refresh(current, info, inBand)
      return false
    }
    const clock = current === undefined || clockIsOff ? new CaptureClock(this.#startOffsetMs, this.#learnt.rate) : current.clock
    this.#startOffsetMs = undefined
    const codec = describe(info, inBand, current === undefined && this.#keyframes === 0)
    this.#lastEpoch = Math.max(this.#lastEpoch + 1, this.#now())
    this.#keyframes = 0
    this.#reorder = new Reorder()
    this.#epoch = { id: this.#lastEpoch, clock, inBand, codec }
    return true
  }

  #learnReorder(pts: number, epoch: { codec: Codec }): void {
    this.#reorder.push(pts)
    const reorder = this.#reorder.frames
    if (reorder > epoch.codec.reorder) epoch.codec = { ...epoch.codec, reorder }
  }
}

const corrected = (ticks: number, clock: CaptureClock, info: DemuxInfo): number => {
  const ms = ticksToMs(ticks, info.timeBase)
  return ticks + Math.round((clock.corrected(ms) - ms) / ticksToMs(1, info.timeBase))
}

/** `first`: what ffmpeg found out when it opened the stream still holds, unless the keyframe's own parameter sets say otherwise. */
function describe(info: DemuxInfo, inBand: Parameters | undefined, first: boolean): Codec {
  const known = keyframeParameters(info.codec, info.extradata, info.extradata)
  const holds = first && (inBand === undefined || known === undefined || known.sequence.equals(inBand.sequence))
  // Parameter sets tell the range of values late, where they are not read: ffmpeg's `j` stands for the full one.
  const pixFmt = holds || inBand === undefined || inBand.pixFmt === info.pixFmt.replace('yuvj', 'yuv') ? info.pixFmt : inBand.pixFmt
  return {
    name: info.codec,
    longName: codecLongName(info.codec),
    width: inBand?.width ?? info.width,
    height: inBand?.height ?? info.height,
    pixFmt: pixFmt === '' ? (inBand?.pixFmt ?? '') : pixFmt,
    extradata: extradataOf(info, inBand),
    timeBase: info.timeBase,
    reorder: 0,
  }
}

/** Another size, format or sequence: frames before and after have nothing to do with each other. Some keyframes say nothing. */
function isAnother(inBand: Parameters | undefined, { codec, inBand: before }: Epoch): boolean {
  if (inBand === undefined) return false
  if (inBand.width !== codec.width || inBand.height !== codec.height) return true
  return before !== undefined && (inBand.pixFmt !== before.pixFmt || !inBand.sequence.equals(before.sequence))
}

/** Parameters of single frames may change at any keyframe: a decoder that starts here needs them as they are now. */
function refresh(epoch: Epoch, info: DemuxInfo, inBand: Parameters | undefined): void {
  if (inBand === undefined || epoch.inBand?.extradata.equals(inBand.extradata) === true) return
  const extradata = extradataOf(info, inBand)
  if (extradata !== epoch.codec.extradata) epoch.codec = { ...epoch.codec, extradata }
  epoch.inBand = inBand
}

const extradataOf = (info: DemuxInfo, inBand: Parameters | undefined): string =>
  streamExtradata(info.codec, inBand?.extradata ?? Buffer.alloc(0), info.extradata).toString('base64')
