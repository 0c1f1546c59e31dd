// What this gateway's clients want of a camera, and saying so to its sidecar.
import type { Wants } from '../../common/media/live-decoder.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { encodeState, type Demand } from '../../proto/state.ts'
import { demandSubject, type CameraRef } from '../../proto/subjects.ts'

/** A request keeps its wish up for this long. */
const WANTED_MS = 10_000
/** Until then every wish is repeated this often. */
export const DEMAND_INTERVAL_MS = 1_000

/** The clients' wishes for one camera together: all frames, if anyone asked for all. */
export class Wish {
  #allAskedMs = -Infinity
  #keyframesAskedMs = -Infinity

  ask(keyframesOnly: boolean, nowMs: number): void {
    if (keyframesOnly) this.#keyframesAskedMs = nowMs
    else this.#allAskedMs = nowMs
  }

  /** Nobody asks for keyframes, which are no even choice of frames. */
  isForAllOnly(nowMs: number): boolean {
    return this.wants(nowMs) === 'all' && nowMs - this.#keyframesAskedMs > WANTED_MS
  }

  wants(nowMs: number): Wants {
    if (nowMs - this.#allAskedMs <= WANTED_MS) return 'all'
    return nowMs - this.#keyframesAskedMs <= WANTED_MS ? 'keyframes' : 'none'
  }
}

/** Tells the camera's sidecar. Nothing is said while NATS is away; the next repetition makes up for it. */
export function sayDemand(nats: Nats, ref: CameraRef, demand: Demand): void {
  if (nats.connected()) nats.nc.publish(demandSubject(ref), encodeState(demand))
}
