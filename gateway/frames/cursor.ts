// A client's place among a camera's frames: it starts at the newest, goes on in order, and gets none twice.
import type { Frame } from '../../proto/messages.ts'
import { STALE_MS, type Entry, type Ring } from './ring.ts'

/** A client that just came gets no frame that arrived longer ago (a keyframe, where it wants only those: STALE_MS). */
const FRESH_MS = 3_000

/** Before which frame of a ring a client stands. A value: moving on makes a new one. */
export type Position = {
  readonly ring: Ring
  readonly next: number
  /** Keyframes before `next`. */
  readonly keyframes: number
}

export type Reading = {
  position: Position
  frame?: Frame
  /** Frames (keyframes, where only those are wanted) that this client was too slow for. */
  missed: number
}

/**
 * The frame for a client at `position`, which is undefined, or another ring's, for one that just came. Newcomers get the newest frame, the
 * others the one after their last; who has fallen behind the ring goes on at the newest.
 */
export function read(ring: Ring, position: Position | undefined, keyframesOnly: boolean, nowMs: number): Reading {
  ring.expire(nowMs)
  if (position === undefined || position.ring !== ring) return begin(ring, keyframesOnly, nowMs)
  const first = ring.following(position.next, keyframesOnly)
  if (first === undefined) return { position, missed: 0 }
  const wanted = (entry: Entry) => (keyframesOnly ? entry.keyframes - 1 - position.keyframes : entry.index - position.next)
  const isBehind = wanted(first) > 0
  const entry = isBehind ? (ring.newest(keyframesOnly) ?? first) : first
  return { position: after(ring, entry), frame: entry.frame, missed: wanted(entry) }
}

function begin(ring: Ring, keyframesOnly: boolean, nowMs: number): Reading {
  const entry = ring.newest(keyframesOnly)
  const isFresh = entry !== undefined && nowMs - entry.receivedMs <= (keyframesOnly ? STALE_MS : FRESH_MS)
  return isFresh
    ? { position: after(ring, entry), frame: entry.frame, missed: 0 }
    : { position: { ring, next: ring.head, keyframes: ring.keyframes }, missed: 0 }
}

const after = (ring: Ring, { index, keyframes }: Entry): Position => ({ ring, next: index + 1, keyframes })

/** Where a position is kept between a client's requests. */
export type Cursor = {
  position: Position | undefined
}

/**
 * The cursors of clients that make a call for each request: known by their connection, or by an id they give. The longest unused is
 * forgotten first when there are too many, and any after a minute.
 */
export class ClientCursors {
  readonly #max: number
  readonly #idleMs: number
  readonly #cursors = new Map<string, Cursor & { usedMs: number }>()

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
    const cursor = known !== undefined && nowMs - known.usedMs <= this.#idleMs ? known : { position: undefined, usedMs: nowMs }
    cursor.usedMs = nowMs
    this.#cursors.set(key, cursor) // last in the map: the most recently used
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
