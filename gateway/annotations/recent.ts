// The newest annotations of each camera, in memory, in the order of what they are about. Bounded in number and age.
import type { Annotation } from './annotation.ts'

/** As it is shown: times in ms since the epoch, the box in pixels of `frameSize`, or else of the camera's frames. */
export type Seen = {
  readonly id: string
  /** Of the frame that it is about, where the client says it. */
  readonly frameId?: string
  readonly captureTime: number
  readonly endTime?: number
  readonly type: string
  readonly label?: string
  readonly confidence?: number
  readonly trackingId?: string
  readonly model?: string
  readonly box?: { readonly left: number; readonly top: number; readonly width: number; readonly height: number }
  readonly frameSize?: { readonly width: number; readonly height: number }
}
export type SeenRange = { readonly fromMs: number; readonly toMs: number; readonly limit: number }

const TEXT_LENGTH_MAX = 120
export const RECENT_LIMITS = { each: 10_000, all: 50_000, ageMs: 24 * 3_600_000 } as const

const short = (text: string): string => text.slice(0, TEXT_LENGTH_MAX)

/** What is shown of an annotation; its mask and signature are not. */
export function seenOf(annotation: Annotation, id: string, frameId: string | undefined): Seen {
  const { object_bouding_box: box, width, height, confidence, ml_model: model } = annotation
  const end = Number(annotation.end_timestamp)
  return {
    id: short(id),
    ...(frameId === undefined ? {} : { frameId }),
    captureTime: Number(annotation.start_timestamp),
    ...(end > 0 ? { endTime: end } : {}),
    type: short(annotation.type),
    ...(annotation.object_type === '' ? {} : { label: short(annotation.object_type) }),
    ...(confidence === 0 ? {} : { confidence }),
    ...(annotation.object_tracking_id === '' ? {} : { trackingId: short(annotation.object_tracking_id) }),
    ...(model === '' ? {} : { model: short([model, annotation.ml_model_version].filter(Boolean).join(' ')) }),
    ...(box === null || box === undefined ? {} : { box: { left: box.left, top: box.top, width: box.width, height: box.height } }),
    ...(width > 0 && height > 0 ? { frameSize: { width, height } } : {}),
  }
}

type Kept = { readonly uid: string; readonly seen: Seen; readonly storedMs: number }

export class RecentAnnotations {
  readonly #limits: { each: number; all: number; ageMs: number }
  /** By id, in the order of arrival. */
  readonly #kept = new Map<string, Kept>()
  /** By the camera's uid, so that a camera which is made again shows nothing of its namesake; in the order of capture. */
  readonly #cameras = new Map<string, Seen[]>()
  readonly #listeners = new Map<string, Set<(seen: Seen) => void>>()

  constructor(limits: { each: number; all: number; ageMs: number } = RECENT_LIMITS) {
    this.#limits = limits
  }

  get size(): number {
    return this.#kept.size
  }

  /** One that is known already is left as it is. `storedMs`: when NATS stored it. */
  add(uid: string, seen: Seen, storedMs: number): void {
    if (this.#kept.has(seen.id)) return
    const list = this.#cameras.get(uid) ?? []
    this.#cameras.set(uid, list)
    list.splice(placeIn(list, seen.captureTime), 0, seen)
    this.#kept.set(seen.id, { uid, seen, storedMs })
    const [first] = list
    if (list.length > this.#limits.each && first !== undefined) this.#remove(first.id)
    this.expire(storedMs)
    for (const listener of this.#listeners.get(uid) ?? []) listener(seen)
  }

  expire(nowMs: number): void {
    for (const [id, { storedMs }] of this.#kept) {
      if (this.#kept.size <= this.#limits.all && nowMs - storedMs <= this.#limits.ageMs) return
      this.#remove(id)
    }
  }

  /** The newest ones of a time, in the order of capture. */
  of(uid: string, { fromMs, toMs, limit }: SeenRange): { annotations: Seen[]; isComplete: boolean } {
    const list = this.#cameras.get(uid) ?? []
    const found = list.slice(placeIn(list, fromMs - 1), placeIn(list, toMs))
    return { annotations: found.slice(-limit), isComplete: found.length <= limit }
  }

  /** Each new one, until it is disposed of. */
  listen(uid: string, listener: (seen: Seen) => void): Disposable {
    const listeners = this.#listeners.get(uid) ?? new Set()
    this.#listeners.set(uid, listeners.add(listener))
    return {
      [Symbol.dispose]: () => {
        listeners.delete(listener)
        if (listeners.size === 0 && this.#listeners.get(uid) === listeners) this.#listeners.delete(uid)
      },
    }
  }

  #remove(id: string): void {
    const kept = this.#kept.get(id)
    if (kept === undefined) return
    this.#kept.delete(id)
    const list = this.#cameras.get(kept.uid) ?? []
    list.splice(list.indexOf(kept.seen), 1)
    if (list.length === 0) this.#cameras.delete(kept.uid)
  }
}

/** Behind all that were captured at `ms` or before. */
function placeIn(list: readonly Seen[], ms: number): number {
  let [low, high] = [0, list.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((list[middle]?.captureTime ?? Infinity) <= ms) low = middle + 1
    else high = middle
  }
  return low
}
