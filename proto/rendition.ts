// What a consumer wants a camera's frames to look like, and what such a frame is.
import type { CameraTime, MemoryLease } from './messages.ts'

export const PIXEL_FORMATS = ['BGR24', 'RGB24', 'GRAY8', 'I420', 'NV12', 'JPEG'] as const
export type PixelFormat = (typeof PIXEL_FORMATS)[number]

export const FITS = ['stretch', 'letterbox', 'crop'] as const
export type Fit = (typeof FITS)[number]

/** Of a frame, in pixels. */
export const SIDE_MAX = 8192
/** Of a camera, made at one place at once, besides the one of the Image service. */
export const RENDITIONS_MAX = 8

export type Size = { readonly width: number; readonly height: number }
/** A rectangle in pixels; 0, 0 is the top left corner. */
export type Region = Size & { readonly x: number; readonly y: number }

export type Rendition = {
  /** Of the frame, in pixels. Both 0: the size of the region, or of the source. One 0: it follows from the aspect ratio. */
  readonly width: number
  readonly height: number
  /** How the region fits into width x height, where both are set. */
  readonly fit: Fit
  /** 0xRRGGBB, around a letterbox. */
  readonly padColor: number
  /** The part of the source frame to show; undefined: all of it. */
  readonly region: Region | undefined
  readonly format: PixelFormat
  /** 1 (smallest) to 100 (best), of a JPEG. */
  readonly quality: number
  /** Instead of width and height: an ffmpeg scale expression of two parts, as spec.decoding has it. */
  readonly scale?: string | undefined
  /** Evenly thinned out to so many frames a second, as spec.decoding has it. */
  readonly thinnedTo?: number | undefined
}

/** The whole source frame, as decoders give it to most models. */
export const FULL_BGR24: Rendition = {
  ...{ width: 0, height: 0, fit: 'stretch', padColor: 0, region: undefined, format: 'BGR24', quality: 85 },
}

/** Equal for renditions that give the same frames: what has no effect does not count. */
export function renditionKey({ width, height, fit, padColor, region, format, quality, scale, thinnedTo }: Rendition): string {
  const fits = width > 0 && height > 0 ? fit : 'stretch'
  const { x = 0, y = 0, width: across = 0, height: down = 0 } = region ?? {}
  const size = scale ?? [width, height, fits, fits === 'letterbox' ? padColor : 0]
  return JSON.stringify([format, size, [x, y, across, down], format === 'JPEG' ? quality : 0, thinnedTo ?? 0])
}

/** How a frame lies in the source frame: source_x = region.x + (x - padLeft) / scaleX, and the same for y. */
export type Geometry = {
  readonly source: Size
  /** The part of the source that the frame shows, after a crop. */
  readonly region: Region
  /** Frame pixels per source pixel. */
  readonly scaleX: number
  readonly scaleY: number
  /** Padding, in frame pixels. */
  readonly padLeft: number
  readonly padTop: number
}

/** A decoded frame in one rendition. `epoch`, `keyframe` and `index` are its place, which its id stands for (frame-id.ts): the same in every rendition. */
export type LiveFrame = {
  readonly epoch: number
  readonly keyframe: number
  readonly index: number
  /** It is of the camera's substream. */
  readonly sub?: true | undefined
  /** Capture time, ms since the epoch. */
  readonly timestamp: number
  /** When the camera captured it by its own clock, where the camera tells. */
  readonly camera?: CameraTime | undefined
  /** Decoded from a keyframe. */
  readonly key: boolean
  readonly corrupt: boolean
  /** Packets of the camera were lost before it. */
  readonly gap: boolean
  readonly width: number
  readonly height: number
  readonly format: PixelFormat
  /** The pixels, planes one behind the other without padding; or the JPEG file. */
  readonly data: Buffer
  readonly geometry: Geometry
  /** `data` within a serialized VideoFrame, for the Image service; undefined unless the frame is of the Camera's spec.decoding. */
  readonly message: Buffer | undefined
  /** Where the memory of `data` is used again: a consumer that reads it later than now holds it until then. */
  readonly lease: MemoryLease | undefined
}

/** Bytes from one row to the next, for each plane; none for a JPEG. */
export function strides(format: PixelFormat, width: number): number[] {
  const half = Math.ceil(width / 2)
  const all = { BGR24: [3 * width], RGB24: [3 * width], GRAY8: [width], I420: [width, half, half], NV12: [width, 2 * half], JPEG: [] }
  return all[format]
}

/** Bytes of a frame; undefined for a JPEG, whose size is its own. */
export function frameBytes(format: PixelFormat, width: number, height: number): number | undefined {
  if (format === 'JPEG') return undefined
  const rows = [height, Math.ceil(height / 2), Math.ceil(height / 2)]
  return strides(format, width).reduce((sum, stride, plane) => sum + stride * (rows[plane] ?? 0), 0)
}

/** The key of the rendition that the Image service gives: as the Camera's spec.decoding says. */
export const IMAGE_KEY = 'image'

/** What is wanted of one rendition of a camera. */
export type RenditionDemand = {
  readonly key: string
  readonly rendition: Rendition
  readonly wants: 'all' | 'keyframes'
  /** So many frames a second are enough; undefined: every frame. */
  readonly maxFps: number | undefined
}

/** Pixels of a frame in this rendition, of a source of that size; undefined where ffmpeg alone knows. */
export function frameSize({ width, height, region, scale }: Rendition, source: Size): Size | undefined {
  if (scale !== undefined) return undefined
  const shown = region ?? source
  if (width > 0 && height > 0) return { width, height }
  if (width > 0) return { width, height: Math.round((width * shown.height) / shown.width) }
  if (height > 0) return { width: Math.round((height * shown.width) / shown.height), height }
  return { width: shown.width, height: shown.height }
}

/** What the Image service gives of a camera, as its spec.decoding says. */
export function imageDemand(
  decoding: { scale?: string | undefined; maxFps?: number | undefined; keyFramesOnly: boolean },
  wants: 'all' | 'keyframes',
): RenditionDemand {
  const { scale, maxFps: thinnedTo, keyFramesOnly } = decoding
  return { key: IMAGE_KEY, rendition: { ...FULL_BGR24, scale, thinnedTo }, wants: keyFramesOnly ? 'keyframes' : wants, maxFps: undefined }
}
