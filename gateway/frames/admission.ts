// What all cameras together may take of this gateway. What does not fit is given fewer frames, or none: nothing is moved to where it harms others.
import type { CameraRecord, Codec } from '../../proto/state.ts'
import { RAW_FRAME_BYTES_MAX, SEND_WINDOW } from '../../proto/frame.ts'
import { memoryText } from '../../common/memory.ts'
import type { MemoryBudget } from '../memory-budget.ts'
import { decoderBytes, receivingBytes } from '../memory-budget.ts'
import { Holdings, type Holding } from '../holdings.ts'
import { LINKS } from './frame-links.ts'
import type { Wants } from './demand.ts'
import { decoderLoad, hasRoom, KEYFRAMES_FPS, rawFrameBytes, type Decision, type Room } from './placement.ts'

/** So much beside what whole cameras may take is left for those that are given keyframes alone. */
const KEYFRAMES_PART = 0.25
/** Bytes a second of all frames that are moved: what four cameras may move at the highest rate, at least as by default. */
const rawTotal = (rawRateMax: number): number => 4 * Math.max(rawRateMax, 48e6)

/** Bytes of frames that may be on their way to this gateway at once. */
const WINDOWS_MAX = LINKS * 48 * 2 ** 20

/** What a camera may have on its way, with frames of so many bytes. */
export const windowOf = (bytes = SEND_WINDOW.bytes): number => Math.max(bytes, Math.min(SEND_WINDOW.frames * bytes, SEND_WINDOW.bytes))

/** What is known of a camera's frames. */
export type Cost = {
  codec: Pick<Codec, 'name' | 'width' | 'height'> | undefined
  fps: number | undefined
  decoding: CameraRecord['decoding']
  /** All that is wanted of it. */
  wants: Wants
  /** Of the Image service's frames. */
  imageWants: Wants
}

export class Admission {
  /** In cameras of 1080p at 30 frames a second. */
  readonly #decodersMax: number
  readonly #rawRateMax: number
  /** Decoders of this gateway. */
  readonly decoders = new Holdings()
  /** Bytes a second of frames that sidecars send. */
  readonly raw = new Holdings()
  /** Bytes a second of renditions that camera pods make. */
  readonly renditions = new Holdings()
  /** Bytes of frames that may be on their way. */
  readonly windows = new Holdings()
  readonly memory: MemoryBudget

  constructor({ decodersMax, rawRateMax }: { decodersMax: number; rawRateMax: number }, memory: MemoryBudget) {
    this.memory = memory
    this.#decodersMax = decodersMax
    this.#rawRateMax = rawRateMax
  }

  /** For decoding here; `own`: what the camera has already. */
  here(cost: Cost, own: Takes): Room {
    if (!this.memory.hasRoom(decoderBytes(cost.codec), own.memory)) return 'none'
    if (hasRoom(this.decoders.besides(own.decoder), this.load(cost, 'all'), this.#decodersMax)) return 'all'
    const thinned = this.decoders.besides(own.decoder, true)
    return hasRoom(thinned, this.load(cost, 'keyframes'), this.#decodersMax * KEYFRAMES_PART) ? 'keyframes' : 'none'
  }

  /** Of the decoders. */
  load({ codec, fps, decoding, wants }: Cost, room: Room): number {
    // Each frame of MJPEG is a keyframe.
    const areKeyframes = codec?.name !== 'mjpeg' && (room === 'keyframes' || wants === 'keyframes' || decoding.keyFramesOnly)
    return decoderLoad(codec, areKeyframes ? Math.min(KEYFRAMES_FPS, fps ?? KEYFRAMES_FPS) : fps)
  }

  /**
   * For so many bytes a second of renditions that the camera's pod makes. All of them together are as many as one camera may move, and its part of a
   * link: a gateway that stands still for five seconds has no more than 64 MiB on its way, beyond which NATS cuts it off.
   */
  madeThere(rate: number, own: Takes): boolean {
    return rate <= this.#rawRateMax / LINKS && this.renditions.besides(own.renditions) + rate <= this.#rawRateMax
  }

  /** For the Image service's frames that the camera's pod sends; `own`: what the camera has already. */
  sent({ codec, fps, decoding, imageWants: wants }: Cost, own: Takes): Room {
    if (wants === 'none') return 'all'
    const bytes = rawFrameBytes(codec, decoding.scale)
    if (bytes === undefined) return 'all'
    if (bytes > RAW_FRAME_BYTES_MAX || this.windows.besides(own.window) + windowOf(bytes) > WINDOWS_MAX) return 'none'
    if (!this.memory.hasRoom(receivingBytes(codec, decoding), own.memory)) return 'none'
    const free = rawTotal(this.#rawRateMax) - this.raw.besides(own.raw)
    // Beyond its rate only where the spec wants it so.
    const maxFps = Math.floor((decoding.placement === 'Sidecar' ? free : Math.min(this.#rawRateMax, free)) / bytes)
    const most = wants === 'keyframes' || decoding.keyFramesOnly ? KEYFRAMES_FPS : Math.min(fps ?? 0, decoding.maxFps ?? Infinity)
    if (maxFps >= most) return 'all'
    return maxFps >= 1 ? { maxFps } : 'none'
  }

  /** Bytes a second of the Image service's frames. */
  rate({ codec, fps, decoding, imageWants: wants }: Cost, room: Room): number {
    if (wants === 'none') return 0
    const most = wants === 'keyframes' || decoding.keyFramesOnly ? KEYFRAMES_FPS : (decoding.maxFps ?? Infinity)
    return (rawFrameBytes(codec, decoding.scale) ?? 0) * Math.min(fps ?? 0, most, typeof room === 'object' ? room.maxFps : Infinity)
  }

  /** Takes for a camera what it is given, in place of what it took; of decoders it takes what it has until the last of them has ended. */
  take(takes: Takes, cost: Cost, decision: Decision, renditionsRate = 0): void {
    if (decision === 'refused') return release(takes)
    const { where, room } = decision
    if (takes.decoder !== undefined) {
      takes.decoder.amount = this.load(cost, room)
      takes.decoder.isThinned = room === 'keyframes'
    }
    takes.memory ??= this.memory.cameras.enter(0)
    takes.memory.amount = where === 'Gateway' ? decoderBytes(cost.codec) : receivingBytes(cost.codec, cost.decoding)
    takes.raw ??= this.raw.enter(0)
    takes.raw.amount = where === 'Gateway' ? 0 : this.rate(cost, room)
    takes.window ??= this.windows.enter(0)
    takes.renditions ??= this.renditions.enter(0)
    takes.renditions.amount = where === 'Gateway' ? 0 : renditionsRate
    takes.window.amount = where === 'Gateway' || cost.imageWants === 'none' ? 0 : windowOf(rawFrameBytes(cost.codec, cost.decoding.scale))
  }

  /** Why a camera is given fewer frames, or none. */
  why({ codec }: Cost, own: Takes): string {
    const { memory } = this
    if (memory.hasRoom(decoderBytes(codec), own.memory)) return this.busy
    return `the gateway has no memory left for it: ${memoryText(memory.max)} are shared by rings, decoders and reads`
  }

  get busy(): string {
    return `all ${this.#decodersMax} decoders of the gateway are in use`
  }
}

/** What one camera takes. */
export type Takes = {
  decoder?: Holding | undefined
  raw?: Holding | undefined
  renditions?: Holding | undefined
  window?: Holding | undefined
  memory?: Holding | undefined
}

/** All but its decoder, which ends by itself. */
export function release(takes: Takes): void {
  for (const holding of [takes.raw, takes.renditions, takes.window, takes.memory]) holding?.[Symbol.dispose]()
  takes.raw = takes.renditions = takes.window = takes.memory = undefined
}
