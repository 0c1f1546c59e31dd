// Where a camera's live frames are decoded: in its own pod, or here. Pure.
import { scaledSize } from '../../common/media/scale.ts'
import type { Placement } from '../../proto/camera.ts'
import type { CameraRecord, CameraState } from '../../proto/state.ts'

export type Where = 'Sidecar' | 'Gateway'

export type PlacementFacts = {
  placement: Placement
  /** Bytes of raw frames that would have to be moved in a second; undefined while that is not known. */
  rawRate: number | undefined
  /** The highest such rate at which frames are decoded in the camera's pod. */
  rawRateMax: number
  /** Where they are decoded now. */
  before: Where | undefined
  /** Renditions are wanted beside the Image service's frames: sidecars make none. */
  hasRenditions: boolean
  /** The camera's packets are published. */
  hasPackets: boolean
  /** There is a decoder to be had here. */
  hasDecoder: boolean
  /** It was tried here a while ago, in vain. */
  failedHere: boolean
}

/** `refused`: it belongs here, and there is no decoder for it. */
export type Decision = Where | 'refused'

/** A camera near the limit doesn't go to and fro. */
const STAY = 0.8

export function decide(facts: PlacementFacts): Decision {
  const { placement, rawRate, rawRateMax, before, hasRenditions, hasPackets, hasDecoder, failedHere } = facts
  // Without packets there are pictures all the same.
  if (!hasPackets) return 'Sidecar'
  if (hasRenditions && hasDecoder && !failedHere) return 'Gateway'
  if (placement === 'Sidecar') return 'Sidecar'
  if (placement === 'Gateway') return hasDecoder ? 'Gateway' : 'refused'
  if (failedHere || !hasDecoder || rawRate === undefined) return 'Sidecar'
  return rawRate > rawRateMax * (before === 'Gateway' ? STAY : 1) ? 'Gateway' : 'Sidecar'
}

/** How many cameras of 1080p this one counts for, at least one: what decoding takes of processor and memory grows with the pictures. */
export const decoderWeight = (codec: { width: number; height: number } | undefined): number =>
  codec === undefined ? 1 : Math.max(1, Math.round((codec.width * codec.height) / (1920 * 1080)))

/** Whether one more of this weight may be decoded beside what is: a single one whatever its size, unless none is to be. */
export const hasRoom = (load: number, weight: number, max: number): boolean => (load === 0 ? max > 0 : load + weight <= max)

/** So long after a stream's begin its rate is known. */
const RATE_KNOWN_MS = 5_000

/** A camera's frames a second, remembered while it connects anew and what it reports is no rate yet. */
export class KnownRate {
  #fps: number | undefined

  learn({ connection, fps, at, epoch }: CameraState): void {
    if (connection !== 'streaming') return
    if (at - epoch >= RATE_KNOWN_MS || this.#fps === undefined) this.#fps = fps
  }

  get fps(): number | undefined {
    return this.#fps
  }
}

/** Keyframes a second, at most, of a camera that is to give no other frames. */
const KEYFRAMES_FPS = 1

/** Bytes of raw frames in a second, as they would cross the network; undefined before the camera's size is known. */
export function rawRate(
  codec: { width: number; height: number } | undefined,
  fps: number | undefined,
  { scale, maxFps, keyFramesOnly }: CameraRecord['decoding'],
): number | undefined {
  if (codec === undefined || fps === undefined) return undefined
  const size = scale === undefined ? codec : scaledSize(scale, codec)
  if (size === undefined) return undefined
  return size.width * size.height * 3 * Math.min(fps, maxFps ?? Infinity, keyFramesOnly ? KEYFRAMES_FPS : Infinity)
}
