// A client's place among the frames of a rendition: it starts at the newest, goes on, and gets none twice.
import { RateLimit } from '../../common/media/rate-limit.ts'
import { frameId, type FramePlace } from '../../proto/frame-id.ts'
import type { LiveFrame } from '../../proto/rendition.ts'
import { ClientPace, type Found } from './client-pace.ts'
import { STALE_MS, type Entry, type Ring } from './ring.ts'

/** A client that just came gets no frame that arrived longer ago (a keyframe, where it wants only those: STALE_MS). */
const FRESH_MS = 3_000

/** Before which frame of a ring a client stands. A value: moving on makes a new one. */
export type Position = {
  readonly ring: Ring
  readonly next: number
  /** Keyframes before `next`. */
  readonly keyframes: number
  /** Losses before `next`. */
  readonly gaps: number
}

/** Which frames a client wants of those that it has not read. */
export type Choice = {
  /** The newest each time, instead of every frame in order. */
  readonly newest: boolean
  readonly keyframesOnly: boolean
  /** No frame captured longer ago. */
  readonly maxAgeMs?: number | undefined
  /** At most so many frames a second. */
  readonly maxFps?: number | undefined
}

export type Reading = {
  position: Position
  frame?: LiveFrame
  /** Frames (keyframes, where only those are wanted) since the one before that this client did not get. */
  missed: number
  /** Packets of the camera were lost since the frame before. */
  gap: boolean
}

/** Both clocks at once: performance.now() and Date.now(). */
export type Now = { readonly ms: number; readonly unixMs: number }

export const now = (): Now => ({ ms: performance.now(), unixMs: Date.now() })

/** The place of a client that moves on, between its requests. */
export type Cursor = {
  position: Position | undefined
  pace: ClientPace
  readonly limit: RateLimit
}

export const newCursor = (position?: Position): Cursor => ({ position, pace: new ClientPace(), limit: new RateLimit() })

/**
 * The frame for a client at `position`, which is undefined, or another ring's, for one that just came. Newcomers get the newest frame, the
 * others the one after their last, or the newest; a client that has fallen behind the ring goes on at the newest.
 */
export function read(ring: Ring, position: Position | undefined, choice: Choice, time: Now, limit = new RateLimit()): Reading {
  ring.expire(time.ms)
  const { keyframesOnly, maxFps } = choice
  const isNew = position === undefined || position.ring !== ring
  const from = isNew ? startOf(ring, keyframesOnly, time.ms) : position
  for (let entry = next(ring, from, choice, time, isNew); entry !== undefined;) {
    if (maxFps === undefined || limit.takes(entry.frame.timestamp, maxFps)) {
      const missed = isNew ? 0 : keyframesOnly ? entry.keyframes - 1 - from.keyframes : entry.index - from.next
      return { position: after(ring, entry), frame: entry.frame, missed, gap: entry.gaps > from.gaps }
    }
    entry = choice.newest ? undefined : ring.following(entry.index + 1, keyframesOnly)
  }
  return { position: from, missed: 0, gap: false }
}

function next(
  ring: Ring,
  from: Position,
  { newest, keyframesOnly, maxAgeMs = Infinity }: Choice,
  time: Now,
  isNew: boolean,
): Entry | undefined {
  const isYoung = ({ frame }: Entry) => time.unixMs - frame.timestamp <= maxAgeMs
  const first = ring.following(from.next, keyframesOnly)
  if (first === undefined) return undefined
  const isBehind = !isNew && (keyframesOnly ? first.keyframes - 1 > from.keyframes : first.index > from.next)
  let entry: Entry | undefined = newest || isBehind ? (ring.newest(keyframesOnly) ?? first) : first
  while (entry !== undefined && !isYoung(entry)) entry = ring.following(entry.index + 1, keyframesOnly)
  return entry
}

/** Before the newest frame, unless that is too old for a client that just came. */
function startOf(ring: Ring, keyframesOnly: boolean, nowMs: number): Position {
  const entry = ring.newest(keyframesOnly)
  const isFresh = entry !== undefined && nowMs - entry.receivedMs <= (keyframesOnly ? STALE_MS : FRESH_MS)
  // What was lost before its first frame is no matter of the client.
  return isFresh ? before(ring, entry) : end(ring)
}

const before = (ring: Ring, { index, keyframes, gaps, frame }: Entry): Position => ({
  ring,
  next: index,
  keyframes: keyframes - (frame.key ? 1 : 0),
  gaps,
})
const end = (ring: Ring): Position => ({ ring, next: ring.head, keyframes: ring.keyframes, gaps: ring.gaps })

/** Behind the frame of that place. Where it is not among those that are held: at the oldest, and what lies between is not known. */
export function resumedAt(ring: Ring, place: FramePlace): { position: Position; isHeld: boolean } {
  const oldest = ring.following(0, false)
  for (let entry = oldest; entry !== undefined; entry = ring.following(entry.index + 1, false)) {
    if (frameId(entry.frame) === frameId(place)) return { position: after(ring, entry), isHeld: true }
  }
  return { position: oldest === undefined ? end(ring) : before(ring, oldest), isHeld: false }
}

const after = (ring: Ring, { index, keyframes, gaps }: Entry): Position => ({ ring, next: index + 1, keyframes, gaps })

/** What a request finds that a client at `position` makes. */
export function found(ring: Ring, position: Position | undefined, keyframesOnly: boolean, nowMs: number): Found {
  const first = position?.ring === ring ? ring.following(position.next, keyframesOnly) : ring.newest(keyframesOnly)
  const last = ring.newest(keyframesOnly)
  if (first === undefined || last === undefined) return { unread: 0, oldestMs: 0, intervalMs: ring.intervalMs }
  const unread = 1 + (keyframesOnly ? last.keyframes - first.keyframes : last.index - first.index)
  return { unread, oldestMs: nowMs - first.receivedMs, intervalMs: ring.intervalMs }
}

/**
 * The cursors of clients that make a call for each request: known by their connection, or by an id they give. The longest unused is
 * forgotten first when there are too many, and any after a minute.
 */
export class ClientCursors {
  readonly #max: number
  readonly #idleMs: number
  readonly #cursors = new Map<string, { cursor: Cursor; usedMs: number }>()

  constructor({ max = 10_000, idleMs = 60_000 }: { max?: number; idleMs?: number } = {}) {
    this.#max = max
    this.#idleMs = idleMs
  }

  get size(): number {
    return this.#cursors.size
  }

  of(client: string, cameraUid: string, nowMs: number): Cursor {
    const key = `${cameraUid} ${client}`
    const known = this.#cursors.get(key)
    this.#cursors.delete(key)
    const cursor = known !== undefined && nowMs - known.usedMs <= this.#idleMs ? known.cursor : newCursor()
    this.#cursors.set(key, { cursor, usedMs: nowMs }) // last in the map: the most recently used
    if (this.#cursors.size > this.#max) this.#cursors.delete(this.#oldest() ?? key)
    return cursor
  }

  expire(nowMs: number): void {
    for (const [key, { usedMs }] of this.#cursors) {
      if (nowMs - usedMs <= this.#idleMs) return
      this.#cursors.delete(key)
    }
  }

  #oldest(): string | undefined {
    return this.#cursors.keys().next().value
  }
}
