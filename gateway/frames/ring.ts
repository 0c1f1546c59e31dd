// The newest frames of one rendition of a camera. One writer, any number of readers (cursor.ts); nothing here waits or acts.
import type { LiveFrame } from '../../proto/rendition.ts'

const RING_FRAMES_MAX = 10
/** No frame is given out that arrived longer ago. */
export const STALE_MS = 15_000

export type Entry = {
  readonly frame: LiveFrame
  /** Counts the frames of this ring from 0. */
  readonly index: number
  /** Keyframes among the frames up to this one, itself included. */
  readonly keyframes: number
  /** Frames up to this one, itself included, before which packets were lost. */
  readonly gaps: number
  readonly receivedMs: number
}

export class Ring {
  #bytesMax: number
  readonly #entries: Entry[] = []
  /** The newest keyframe outlives its place among the newest frames, for those who want only keyframes and ask rarely. */
  #keyframe: Entry | undefined
  #bytes = 0
  #head = 0
  #keyframes = 0
  #gaps = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get depth(): number {
    return this.#entries.length
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Bytes that may be held. The newest frame is held in any case. */
  set bytesMax(bytes: number) {
    this.#bytesMax = bytes
    this.#shrink()
  }

  /** Bytes of as many frames as the newest as a ring holds, and of the newest keyframe. */
  get bytesWanted(): number {
    const newest = this.#entries.at(-1)
    return newest === undefined ? 0 : size(newest) * (RING_FRAMES_MAX + 1)
  }

  /** The index of the frame to come. */
  get head(): number {
    return this.#head
  }

  /** How many keyframes there have been. */
  get keyframes(): number {
    return this.#keyframes
  }

  get gaps(): number {
    return this.#gaps
  }

  /** Milliseconds from frame to frame, on average over those held; 0 while that is not known. */
  get intervalMs(): number {
    const [oldest, newest] = [this.#entries[0], this.#entries.at(-1)]
    if (oldest === undefined || newest === undefined || oldest === newest) return 0
    return (newest.receivedMs - oldest.receivedMs) / (this.#entries.length - 1)
  }

  /** The ring releases the frame's lease when it lets go of it. `nowMs` never falls from one call to the next, here and below. */
  push(frame: LiveFrame, nowMs: number): void {
    if (frame.key) this.#keyframes++
    if (frame.gap) this.#gaps++
    const entry = { frame, index: this.#head++, keyframes: this.#keyframes, gaps: this.#gaps, receivedMs: nowMs }
    if (frame.key) {
      if (this.#keyframe !== undefined && !this.#holds(this.#keyframe)) this.#letGo(this.#keyframe)
      this.#keyframe = entry
    }
    this.#entries.push(entry)
    this.#bytes += size(entry)
    this.#shrink()
  }

  #shrink(): void {
    while (this.#entries.length > 1 && (this.#entries.length > RING_FRAMES_MAX || this.#bytes > this.#bytesMax)) this.#dropOldest()
    if (this.#bytes > this.#bytesMax && this.#entries.at(-1)?.frame.key === false) this.#dropKeyframe()
  }

  /** Lets go of what is too old to be given out. */
  expire(nowMs: number): void {
    while (this.#entries[0] !== undefined && nowMs - this.#entries[0].receivedMs > STALE_MS) this.#dropOldest()
    if (this.#keyframe !== undefined && nowMs - this.#keyframe.receivedMs > STALE_MS) this.#dropKeyframe()
  }

  /** Lets go of every frame; indices go on. */
  clear(): void {
    while (this.#entries.length > 0) this.#dropOldest()
    this.#dropKeyframe()
  }

  newest(keyframesOnly: boolean): Entry | undefined {
    return keyframesOnly ? this.#keyframe : this.#entries.at(-1)
  }

  /** The first frame from index `next` on that is still there. */
  following(next: number, keyframesOnly: boolean): Entry | undefined {
    if (!keyframesOnly) return this.#entries[Math.max(0, next - (this.#entries[0]?.index ?? 0))]
    const apart = this.#keyframe
    if (apart !== undefined && apart.index >= next && !this.#holds(apart)) return apart
    return this.#entries.find(entry => entry.frame.key && entry.index >= next)
  }

  #holds(entry: Entry): boolean {
    const [oldest] = this.#entries
    return oldest !== undefined && entry.index >= oldest.index
  }

  #dropOldest(): void {
    const dropped = this.#entries.shift()
    if (dropped !== undefined && dropped !== this.#keyframe) this.#letGo(dropped)
  }

  #dropKeyframe(): void {
    if (this.#keyframe !== undefined && !this.#holds(this.#keyframe)) this.#letGo(this.#keyframe)
    this.#keyframe = undefined
  }

  #letGo(entry: Entry): void {
    this.#bytes -= size(entry)
    entry.frame.lease?.release()
  }
}

const size = ({ frame }: Entry): number => (frame.message ?? frame.data).length
