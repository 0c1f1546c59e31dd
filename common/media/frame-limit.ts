// How large frames may be where they are decoded: 40 megapixels, and less where the memory limit is small.
import { PIXELS_MAX } from '../../proto/frame.ts'
import { memoryLimit, memoryText } from '../memory.ts'

/** What an ffmpeg holds of H.264 with 16 reference frames, for each pixel of a frame, and of its output: measured, with room. */
const BYTES_PER_PIXEL = 64
/** The process beside it, and its frames. */
const OWN_BYTES = 256 * 2 ** 20
/** 1080p, as a camera codes it, is decoded whatever the limit. */
const PIXELS_ALWAYS = 1920 * 1088

/** Pixels of the largest frame that is decoded within so many bytes of memory. */
export const pixelsMaxOf = (memory: number): number =>
  Math.floor(Math.min(PIXELS_MAX, Math.max(PIXELS_ALWAYS, (memory - OWN_BYTES) / BYTES_PER_PIXEL)))

const MEMORY = memoryLimit()
export const DECODED_PIXELS_MAX = pixelsMaxOf(MEMORY)

const megapixels = (pixels: number) => `${Number((pixels / 1e6).toFixed(1))} megapixels`

/** Why frames of this size are not decoded; undefined: they are. */
export function tooLarge(width: number, height: number, memory = MEMORY): string | undefined {
  const [pixels, max] = [width * height, pixelsMaxOf(memory)]
  if (pixels <= max) return undefined
  const bound = max === PIXELS_MAX ? megapixels(max) : `${megapixels(max)}, which is what the memory limit of ${memoryText(memory)} allows`
  return `frames of ${width}×${height} (${megapixels(pixels)}) are larger than ${bound}`
}
