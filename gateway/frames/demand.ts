// What this gateway's consumers want of a camera, and telling the camera's sidecar.
import type { Nats } from '../../common/nats/connect.ts'
import { encodeState, type Demand } from '../../proto/state.ts'
import { demandSubject, type CameraRef } from '../../proto/subjects.ts'

/** A request keeps its wish up for this long. */
const WANTED_MS = 10_000
/** Until then every wish is repeated this often. */
export const DEMAND_INTERVAL_MS = 1_000
/** Limits that are told apart; more of them count as none. */
const LIMITS_MAX = 64

export type Wants = Demand['wants']

/** The wishes of all consumers of one rendition together: all frames, if one of them asked for all; the highest of their rates. */
export class Wishes {
  #allAskedMs = -Infinity
  #keyframesAskedMs = -Infinity
  /** When each limit in frames a second was asked for last; Infinity stands for none. */
  readonly #limits = new Map<number, number>()

  /** True: together they want something else than before. */
  ask(keyframesOnly: boolean, maxFps: number | undefined, nowMs: number): boolean {
    const before = [this.wants(nowMs), this.maxFps(nowMs)]
    if (keyframesOnly) this.#keyframesAskedMs = nowMs
    else this.#allAskedMs = nowMs
    const limit = maxFps ?? Infinity
    this.#limits.set(this.#limits.has(limit) || this.#limits.size < LIMITS_MAX ? limit : Infinity, nowMs)
    return before[0] !== this.wants(nowMs) || before[1] !== this.maxFps(nowMs)
  }

  wants(nowMs: number): Wants {
    if (nowMs - this.#allAskedMs <= WANTED_MS) return 'all'
    return nowMs - this.#keyframesAskedMs <= WANTED_MS ? 'keyframes' : 'none'
  }

  /** Frames a second that are enough for all of them; undefined: every frame. */
  maxFps(nowMs: number): number | undefined {
    for (const [limit, askedMs] of this.#limits) if (nowMs - askedMs > WANTED_MS) this.#limits.delete(limit)
    const most = Math.max(0, ...this.#limits.keys())
    return most === 0 || most === Infinity ? undefined : most
  }
}

/** Tells the camera's sidecar. Nothing is said while NATS is unreachable; the next repetition makes up for it. */
export function sayDemand(nats: Nats, ref: CameraRef, demand: Demand): void {
  if (nats.connected()) nats.nc.publish(demandSubject(ref), encodeState(demand))
}
