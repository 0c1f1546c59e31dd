// What all cameras together may take of this gateway. What does not fit is given fewer frames, or none: nothing is moved to where it harms others.
import type { CameraRecord, Codec } from '../../proto/state.ts'
import { RAW_FRAME_BYTES_MAX } from '../../proto/frame.ts'
import { decoderLoad, hasRoom, KEYFRAMES_FPS, rawFrameBytes, type Room } from './placement.ts'

/** So much beside what whole cameras may take is left for those that are given keyframes alone. */
const KEYFRAMES_PART = 0.25
/** Bytes a second of all frames that are moved: what four cameras may move at the highest rate, at least as by default. */
const rawTotal = (rawRateMax: number): number => 4 * Math.max(rawRateMax, 48e6)

/** What one camera takes, which may change; of decoders, whether it is given keyframes alone. */
export type Holding = Disposable & { amount: number; isThinned: boolean }

/** An amount that is shared. */
class Shared {
  readonly #held = new Set<Holding>()

  enter(amount: number, isThinned = false): Holding {
    const holding: Holding = { amount, isThinned, [Symbol.dispose]: () => void this.#held.delete(holding) }
    this.#held.add(holding)
    return holding
  }

  /** What others than `own` take. */
  besides(own: Holding | undefined, isThinned = false): number {
    let sum = 0
    for (const holding of this.#held) if (holding !== own && holding.isThinned === isThinned) sum += holding.amount
    return sum
  }
}

/** What is known of a camera's frames. */
export type Cost = {
  codec: Pick<Codec, 'name' | 'width' | 'height'> | undefined
  fps: number | undefined
  decoding: CameraRecord['decoding']
  /** All that is wanted of it. */
  wants: 'all' | 'keyframes' | 'none'
}

export class Admission {
  /** In cameras of 1080p at 30 frames a second. */
  readonly #decodersMax: number
  readonly #rawRateMax: number
  /** Decoders of this gateway. */
  readonly decoders = new Shared()
  /** Bytes a second of frames that sidecars send. */
  readonly raw = new Shared()

  constructor({ decodersMax, rawRateMax }: { decodersMax: number; rawRateMax: number }) {
    this.#decodersMax = decodersMax
    this.#rawRateMax = rawRateMax
  }

  /** For decoding here; `own`: what the camera has already. */
  here(cost: Cost, own: Holding | undefined): Room {
    if (hasRoom(this.decoders.besides(own), this.load(cost, 'all'), this.#decodersMax)) return 'all'
    const thinned = this.decoders.besides(own, true)
    return hasRoom(thinned, this.load(cost, 'keyframes'), this.#decodersMax * KEYFRAMES_PART) ? 'keyframes' : 'none'
  }

  /** Of the decoders. */
  load({ codec, fps, decoding, wants }: Cost, room: Room): number {
    // Each frame of MJPEG is a keyframe.
    const areKeyframes = codec?.name !== 'mjpeg' && (room === 'keyframes' || wants === 'keyframes' || decoding.keyFramesOnly)
    return decoderLoad(codec, areKeyframes ? Math.min(KEYFRAMES_FPS, fps ?? KEYFRAMES_FPS) : fps)
  }

  /** For frames that the camera's pod sends; `own`: what the camera has already. */
  sent({ codec, fps, decoding, wants }: Cost, own: Holding | undefined): Room {
    const bytes = rawFrameBytes(codec, decoding.scale)
    if (bytes === undefined) return 'all'
    if (bytes > RAW_FRAME_BYTES_MAX) return 'none'
    const free = rawTotal(this.#rawRateMax) - this.raw.besides(own)
    // Beyond its rate only where the spec wants it so.
    const maxFps = Math.floor((decoding.placement === 'Sidecar' ? free : Math.min(this.#rawRateMax, free)) / bytes)
    const most = wants === 'keyframes' || decoding.keyFramesOnly ? KEYFRAMES_FPS : Math.min(fps ?? 0, decoding.maxFps ?? Infinity)
    if (maxFps >= most) return 'all'
    return maxFps >= 1 ? { maxFps } : 'none'
  }

  /** Bytes a second. */
  rate({ codec, fps, decoding, wants }: Cost, room: Room): number {
    const most = wants === 'keyframes' || decoding.keyFramesOnly ? KEYFRAMES_FPS : (decoding.maxFps ?? Infinity)
    return (rawFrameBytes(codec, decoding.scale) ?? 0) * Math.min(fps ?? 0, most, typeof room === 'object' ? room.maxFps : Infinity)
  }

  get busy(): string {
    return `all ${this.#decodersMax} decoders of the gateway are in use`
  }
}
