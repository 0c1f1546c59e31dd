// One budget for what takes memory in a gateway: decoders and reads of the past, which are admitted only as far as there is room; frames on their
// way to clients; and rings, which have the rest, and hold fewer frames when it is less. Pure.
import type { CameraRecord } from '../proto/state.ts'
import { rawFrameBytes } from './frames/placement.ts'
import { Holdings, type Holding } from './holdings.ts'

export const MEMORY_USES = ['decoders', 'reads', 'unsent', 'rings'] as const
export type MemoryUse = (typeof MEMORY_USES)[number]

/** Decoders, frames that are being received and reads leave so much of it to others. */
const ADMITTED_PART = 0.75
/** Of an ffmpeg for each pixel: as common/media/frame-limit.ts has it. */
const BYTES_PER_PIXEL = 64
/** One that is being received or decoded, and one that waits. */
const FRAMES = 2

type Pixels = { readonly width: number; readonly height: number }

export class MemoryBudget {
  readonly max: number
  /** What watched cameras take. */
  readonly cameras = new Holdings()
  readonly reads = new Holdings()
  /** Bytes of frames on their way to clients, and in rings. */
  unsent = 0
  rings = 0

  constructor(max: number) {
    this.max = max
  }

  /** For a camera or a read of so many bytes, which may take all when it is the only one; `own`: what the camera has already. */
  hasRoom(bytes: number, own?: Holding): boolean {
    const taken = this.cameras.besides(own) + this.reads.besides(undefined)
    return taken + bytes <= this.max * (taken === 0 ? 1 : ADMITTED_PART)
  }

  /** Bytes of frames that may be on their way to clients. */
  get unsentMax(): number {
    return (this.max - this.#admitted) / 2
  }

  /** Bytes that rings may hold, but for the newest frame of each. */
  get ringsMax(): number {
    return Math.max(0, this.max - this.#admitted - this.unsent)
  }

  get uses(): Record<MemoryUse, number> {
    const { unsent, rings } = this
    return { decoders: this.cameras.besides(undefined), reads: this.reads.besides(undefined), unsent, rings }
  }

  get #admitted(): number {
    return this.cameras.besides(undefined) + this.reads.besides(undefined)
  }
}

/** What decoding takes. */
export const decoderBytes = (codec: Pixels | undefined): number => {
  const { width, height } = codec ?? { width: 1920, height: 1080 }
  return width * height * (BYTES_PER_PIXEL + 3 * FRAMES)
}

/** What receiving frames takes that the camera's pod decodes. */
export const receivingBytes = (codec: Pixels | undefined, { scale }: CameraRecord['decoding']): number =>
  FRAMES * (rawFrameBytes(codec, scale) ?? 0)

/** How much of what they want rings may have: all of it, or a part that is the same for all. */
export const ringsPart = (wanted: number, max: number): number => (wanted <= max ? 1 : max / wanted)
