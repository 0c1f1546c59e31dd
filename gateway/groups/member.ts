// One consumer of a group, in this gateway: which cameras are its own now, and whether it keeps up with them.
import { randomBytes } from 'node:crypto'
import type { GroupBeat } from '../../proto/groups.ts'
import type { PlannedCamera } from './plan.ts'

/** A member that got less than this part of what its cameras have, and had no room for more, is behind. */
const BEHIND_PART = 0.8
/** After so many seconds of that, it is given less. */
const BEHIND_S = 3
/** How much more it is tried with each second that it keeps up. */
const RECOVERY = 1.05
/** Weight of the last second in what is measured. */
const NEWEST = 0.4

export class GroupMember {
  readonly id = randomBytes(6).toString('hex')
  readonly joinedMs = Date.now()
  /** Cameras that it may see, as it said last. */
  cameras: readonly PlannedCamera[] = []
  /** Frames a second: of its cameras, and taken of them. */
  wantedFps = 0
  takenFps = 0
  /** Seconds, of the frames that it took in the last second. */
  ageSeconds = 0
  readonly #onChange: () => void
  readonly #onHold: () => void
  #mine: ReadonlySet<string> = new Set()
  #holds: ReadonlySet<string> = new Set()
  #capacityFps: number | undefined
  #taken = { frames: 0, ages: 0 }
  #isFull = false
  #behindSeconds = 0

  /** `onChange` is called when other cameras are its own; `onHold` when it has taken or let go of cameras. */
  constructor(onChange: () => void, onHold: () => void) {
    this.#onChange = onChange
    this.#onHold = onHold
  }

  /** Of the cameras that the consumer may see, those that are its own now. It lets go of all others, and says so by `hold`. */
  share<Camera extends PlannedCamera>(cameras: readonly Camera[]): Camera[] {
    this.cameras = cameras
    return cameras.filter(({ uid }) => this.#mine.has(uid))
  }

  /** The consumer has these cameras now and no others. */
  hold(uids: ReadonlySet<string>): void {
    if (uids.size === this.#holds.size && [...uids].every(uid => this.#holds.has(uid))) return
    this.#holds = new Set(uids)
    this.#onHold()
  }

  took(ageSeconds: number): void {
    this.#taken.frames++
    this.#taken.ages += ageSeconds
  }

  /** There is a frame, and no room for it. */
  full(): void {
    this.#isFull = true
  }

  assign(mine: ReadonlySet<string>): void {
    if (mine.size === this.#mine.size && [...mine].every(uid => this.#mine.has(uid))) return
    this.#mine = mine
    this.#onChange()
  }

  get beat(): GroupBeat {
    const { id: member, joinedMs } = this
    return {
      v: 1,
      member,
      joinedMs,
      holds: [...this.#holds],
      ...(this.#capacityFps === undefined ? {} : { capacityFps: this.#capacityFps }),
    }
  }

  /** Once a second. */
  measure(): void {
    const { frames, ages } = this.#taken
    this.wantedFps = this.cameras.reduce((total, { uid, fps }) => (this.#holds.has(uid) ? total + fps : total), 0)
    this.takenFps += NEWEST * (frames - this.takenFps)
    this.ageSeconds = frames === 0 ? 0 : ages / frames
    const isBehind = this.#isFull && this.takenFps < BEHIND_PART * this.wantedFps
    this.#behindSeconds = isBehind ? this.#behindSeconds + 1 : 0
    if (this.#behindSeconds >= BEHIND_S) this.#capacityFps = this.takenFps
    else if (this.#capacityFps !== undefined && !isBehind) this.#capacityFps = recovered(this.#capacityFps, this.wantedFps)
    this.#taken = { frames: 0, ages: 0 }
    this.#isFull = false
  }
}

/** Unbounded again once it has twice what it is given. */
const recovered = (fps: number, wantedFps: number): number | undefined => (fps > 2 * wantedFps ? undefined : fps * RECOVERY)
