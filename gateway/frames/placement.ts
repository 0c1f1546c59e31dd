// Where a camera's live frames are decoded: in its own pod, or here. Pure.
import { scaledSize } from '../../common/media/scale.ts'
import type { Placement } from '../../proto/camera.ts'
import { frameBytes, frameSize, type RenditionDemand } from '../../proto/rendition.ts'
import type { CameraState } from '../../proto/state.ts'

export type Where = 'Sidecar' | 'Gateway'

/** What there is room for: every frame, so many a second, keyframes alone, or nothing. */
export type Room = 'all' | 'none' | 'keyframes' | { readonly maxFps: number }

export type PlacementFacts = {
  placement: Placement
  /** Bytes of the frames that this gateway's consumers want, in a second: what would have to be moved. Undefined while that is not known. */
  rawRate: number | undefined
  /** The highest such rate at which frames are decoded in the camera's pod. */
  rawRateMax: number
  /** Where they are decoded now. */
  before: Where | undefined
  /** Gateways that want small frames of it, besides this one. */
  others: number
  /** Renditions are wanted beside the Image service's frames, and the sidecar does not make them. */
  hasRenditions: boolean
  /** Those are wanted. */
  hasImage: boolean
  /** The camera's packets are published. */
  hasPackets: boolean
  /** For decoding here. */
  here: Room
  /** For frames that the camera's pod decodes, on their way here. */
  raw: Room
  /** It was tried here a while ago, in vain. */
  failedHere: boolean
}

/** `refused`: there is room for it nowhere. */
export type Decision = { readonly where: Where; readonly room: Exclude<Room, 'none'> } | 'refused'

/** A camera near the limit doesn't go to and fro. */
const STAY = 0.8

/** A camera is given fewer frames where there is no room for all, and none where it would harm others. */
export function decide(facts: PlacementFacts): Decision {
  const rooms = { Gateway: facts.hasPackets ? facts.here : 'none', Sidecar: facts.raw }
  const [best] = preferred(facts).sort((a, b) => rank(rooms[b]) - rank(rooms[a]))
  const room = best && rooms[best]
  return best === undefined || room === undefined || room === 'none' ? 'refused' : { where: best, room }
}

const rank = (room: Room): number => (typeof room === 'object' ? 2 : { all: 3, keyframes: 1, none: 0 }[room])

/** Where the camera may be decoded, the better place first. */
function preferred(facts: PlacementFacts): Where[] {
  const { placement, rawRate, rawRateMax, others, before, hasPackets, here, raw, failedHere } = facts
  if (!hasPackets) return ['Sidecar']
  if (rendersHere(facts)) return ['Gateway']
  if (placement === 'Gateway') return ['Gateway']
  // Frames that must not be moved are decoded here, whatever the spec says.
  if (placement === 'Sidecar' || failedHere) return raw === 'none' ? ['Gateway'] : ['Sidecar']
  if (rawRate === undefined) return here === 'none' || raw !== 'none' ? ['Sidecar'] : ['Gateway']
  // Moving frames costs more than decoding them, and a pod decodes once for all gateways.
  const isSmall = rawRate <= rawRateMax * (before === 'Gateway' ? STAY : 1)
  return others > 0 && isSmall ? ['Sidecar', 'Gateway'] : ['Gateway', 'Sidecar']
}

/** Renditions are made here, unless that takes frames from the Image service's clients. */
const rendersHere = ({ hasRenditions, hasImage, failedHere, here, raw }: PlacementFacts): boolean =>
  hasRenditions && !failedHere && here !== 'none' && (here === 'all' || !hasImage || raw !== 'all')

type Pixels = { readonly width: number; readonly height: number }

const HD_PIXELS = 1920 * 1080
const HD_FPS = 30
/** A decoder costs that much however small its frames are. */
const WEIGHT_MIN = 1 / 8

/** How many reads of 1080p this one counts for, at least one: what decoding takes of memory grows with the frames. */
export const decoderWeight = (codec: Pixels | undefined): number =>
  codec === undefined ? 1 : Math.max(1, Math.round((codec.width * codec.height) / HD_PIXELS))

/** How many cameras of 1080p at 30 frames a second this one counts for: what decoding takes of processor grows with pixels a second. */
export const decoderLoad = (codec: Pixels | undefined, fps: number | undefined): number =>
  codec === undefined ? 1 : Math.max(WEIGHT_MIN, (codec.width * codec.height * Math.min(fps ?? HD_FPS, FPS_MAX)) / (HD_PIXELS * HD_FPS))

/** More frames a second are not believed. */
const FPS_MAX = 240

/** Whether one more of this weight may be decoded beside what is: a single one whatever its size, unless none may be. */
export const hasRoom = (load: number, weight: number, max: number): boolean => (load === 0 ? max > 0 : load + weight <= max)

/** So long after a stream's begin its rate is known. */
const RATE_KNOWN_MS = 5_000

/** A camera's frames a second, remembered while it reconnects and what it reports is no rate yet. */
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
export const KEYFRAMES_FPS = 1

/** Bytes of a raw frame, as it would cross the network; undefined before the camera's size is known. */
export function rawFrameBytes(codec: Pixels | undefined, scale: string | undefined): number | undefined {
  if (codec === undefined || codec.width === 0) return undefined
  const size = scale === undefined ? codec : scaledSize(scale, codec)
  return size && size.width * size.height * 3
}

/** JPEG files have about so many bytes a pixel, at the usual quality. */
const JPEG_BYTES = 0.25

/** Bytes of frames in a second, as they would cross the network; undefined before the camera's size is known. */
export function rawRate(codec: Pixels | undefined, fps: number | undefined, demand: readonly RenditionDemand[]): number | undefined {
  if (codec === undefined || codec.width === 0 || fps === undefined) return undefined
  let rate = 0
  for (const { rendition, wants, maxFps = Infinity } of demand) {
    const { scale, thinnedTo = Infinity, format } = rendition
    const size = scale === undefined ? frameSize(rendition, codec) : scaledSize(scale, codec)
    if (size === undefined) return undefined
    const bytes = frameBytes(format, size.width, size.height) ?? size.width * size.height * JPEG_BYTES
    rate += bytes * Math.min(fps, maxFps, thinnedTo, wants === 'keyframes' ? KEYFRAMES_FPS : Infinity)
  }
  return rate
}
