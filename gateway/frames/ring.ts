// The newest frames of one camera. One writer, any number of readers (cursor.ts); nothing here waits or acts.
import type { Frame } from '../../proto/messages.ts'

const RING_FRAMES_MAX = 10
/** No frame is given out that arrived longer ago. */
export const STALE_MS = 15_000

export type Entry = {
  readonly frame: Frame
  /** Counts the frames of this ring from 0. */
  readonly index: number
  /** Keyframes among the frames up to this one, itself included. */
  readonly keyframes: number
  readonly receivedMs: number
}

export class Ring {
  readonly #bytesMax: number
  readonly #entries: Entry[] = []
  /** The newest keyframe outlives its place among the newest frames, for those who want only keyframes and ask rarely. */
  #keyframe: Entry | undefined
  #framesMax = RING_FRAMES_MAX
  #bytes = 0
  #head = 0
  #keyframes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get depth(): number {
    return this.#entries.length
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Where frames are fewer, by this share, the ring goes back no longer than it would with all. */
  set share(share: number) {
    this.#framesMax = Math.max(2, Math.ceil(RING_FRAMES_MAX * share))
  }

  /** The index of the frame to come. */
  get head(): number {
    return this.#head
  }

  /** How many keyframes there have been. */
  get keyframes(): number {
    return this.#keyframes
  }

  /** The ring releases the frame's lease when it lets go of it. `nowMs` never falls from one call to the next, here and below. */
  push(frame: Frame, nowMs: number): void {
    if (frame.key) this.#keyframes++
    const entry = { frame, index: this.#head++, keyframes: this.#keyframes, receivedMs: nowMs }
    if (frame.key) {
      if (this.#keyframe !== undefined && !this.#holds(this.#keyframe)) this.#letGo(this.#keyframe)
      this.#keyframe = entry
    }
    this.#entries.push(entry)
    this.#bytes += size(entry)
    while (this.#entries.length > 1 && (this.#entries.length > this.#framesMax || this.#bytes > this.#bytesMax)) this.#dropOldest()
    if (this.#bytes > this.#bytesMax && !frame.key) this.#dropKeyframe()
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

const size = (entry: Entry): number => entry.frame.message.length
