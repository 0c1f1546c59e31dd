// What this gateway's consumers want of a camera, and telling the camera's sidecar.
import type { Nats } from '../../common/nats/connect.ts'
import { IMAGE_KEY, type RenditionDemand } from '../../proto/rendition.ts'
import { encodeState, type Demand, type WantedRendition } from '../../proto/state.ts'
import { demandSubject, type CameraRef } from '../../proto/subjects.ts'

/** A request keeps its wish up for this long. */
const WANTED_MS = 10_000
/** Until then every wish is repeated this often. */
export const DEMAND_INTERVAL_MS = 1_000

export type Wants = Demand['wants']

type Asked = { keyframesOnly: boolean; maxFps: number | undefined; askedMs: number }

/** The wishes of all consumers of one rendition together: all frames, if one of them asked for all; the highest of their rates. */
export class Wishes {
  readonly #asked = new Map<unknown, Asked>()

  /** `consumer`: what it asked before counts no more. True: together they want something else than before. */
  ask(consumer: object | undefined, { keyframesOnly, maxFps }: Omit<Asked, 'askedMs'>, nowMs: number): boolean {
    const before = [this.wants(nowMs), this.maxFps(nowMs)]
    // Those that are not told apart are as one for each thing that they ask.
    this.#asked.set(consumer ?? `${keyframesOnly} ${maxFps}`, { keyframesOnly, maxFps, askedMs: nowMs })
    return before[0] !== this.wants(nowMs) || before[1] !== this.maxFps(nowMs)
  }

  /** The consumer wants this rendition no more. */
  drop(consumer: object): void {
    this.#asked.delete(consumer)
  }

  wants(nowMs: number): Wants {
    const asked = this.#current(nowMs)
    if (asked.length === 0) return 'none'
    return asked.some(({ keyframesOnly }) => !keyframesOnly) ? 'all' : 'keyframes'
  }

  /** Frames a second that are enough for all of them; undefined: every frame. */
  maxFps(nowMs: number): number | undefined {
    const most = Math.max(0, ...this.#current(nowMs).map(({ maxFps = Infinity }) => maxFps))
    return most === 0 || most === Infinity ? undefined : most
  }

  count(nowMs: number): number {
    return this.#current(nowMs).length
  }

  #current(nowMs: number): Asked[] {
    for (const [consumer, { askedMs }] of this.#asked) if (nowMs - askedMs > WANTED_MS) this.#asked.delete(consumer)
    return [...this.#asked.values()]
  }
}

/** What a sidecar is told of renditions. */
export const wantedRenditions = (demand: readonly RenditionDemand[]): WantedRendition[] =>
  demand
    .filter(({ key }) => key !== IMAGE_KEY)
    .map(({ rendition: { width, height, fit, padColor, region, format, quality }, wants, maxFps }) => ({
      rendition: { width, height, fit, padColor, format, quality, ...(region === undefined ? {} : { region }) },
      wants,
      ...(maxFps === undefined ? {} : { maxFps }),
    }))

/** Tells the camera's sidecar. Nothing is said while NATS is unreachable; the next repetition makes up for it. */
export function sayDemand(nats: Nats, ref: CameraRef, demand: Demand): void {
  if (nats.connected()) nats.nc.publish(demandSubject(ref), encodeState(demand))
}
