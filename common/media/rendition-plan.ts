// How ffmpeg makes a rendition of a camera's frames, and how these then lie in the source. Pure.
import type { Geometry, PixelFormat, Region, Rendition, Size } from '../../proto/rendition.ts'
import { scaledSize } from './scale.ts'

export type RenditionPlan = {
  readonly filters: readonly string[]
  readonly encoderArgs: readonly string[]
  readonly geometry: Geometry
}

/** The formats whose chroma planes have half the width and height. */
const isSubsampled = (format: PixelFormat): boolean => format === 'I420' || format === 'NV12' || format === 'JPEG'

/** As the camera has it: neither expanded nor compressed. */
const SAME_RANGE = 'in_range=pc:out_range=pc'
const PLANAR = ['yuv420p', 'yuvj420p', 'yuv422p', 'yuvj422p', 'yuv444p', 'yuvj444p', 'gray'].join('|')

/** What the scale filter is told, and the filters behind it. Range and matrix: as the stream says, BT.601 limited where it says nothing. */
const FORMATS: Readonly<Record<PixelFormat, { scale: string; after: readonly string[] }>> = {
  BGR24: { scale: '', after: ['format=bgr24'] },
  RGB24: { scale: '', after: ['format=rgb24'] },
  GRAY8: { scale: SAME_RANGE, after: [`format=${PLANAR}`, 'extractplanes=y', 'format=gray'] },
  I420: { scale: SAME_RANGE, after: ['format=yuv420p'] },
  NV12: { scale: SAME_RANGE, after: ['format=nv12'] },
  // A JPEG file is full range and BT.601, whatever the camera has.
  JPEG: { scale: 'out_color_matrix=bt601:out_range=pc', after: ['format=yuvj420p'] },
}

/** Of frames of the size `source`; undefined where nothing of the region lies within. */
export function planOf(rendition: Rendition, source: Size): RenditionPlan | undefined {
  const region = within(rendition.region, source)
  if (region === undefined) return undefined
  const { format, quality, scale, thinnedTo } = rendition
  const thin = thinnedTo === undefined ? [] : [thinnedOut(thinnedTo)]
  const encoderArgs = format === 'JPEG' ? ['-c:v', 'mjpeg', '-q:v', String(jpegScale(quality))] : []
  if (scale !== undefined) {
    // The size is ffmpeg's to work out; what is said of it here is the same, where its words are understood.
    const size = scaledSize(scale, source) ?? source
    return {
      filters: [...thin, `scale=${scale}`, ...FORMATS[format].after],
      encoderArgs,
      geometry: geometryOf(source, region, size, [0, 0]),
    }
  }
  const { shown, inner, padLeft, padTop, outer } = layout(rendition, region)
  const isWhole = shown.width === source.width && shown.height === source.height
  const isPadded = inner.width !== outer.width || inner.height !== outer.height
  const colour = `0x${rendition.padColor.toString(16).padStart(6, '0')}`
  return {
    filters: [
      ...thin,
      ...(isWhole ? [] : [`crop=${shown.width}:${shown.height}:${shown.x}:${shown.y}:exact=1`]),
      ...scaling(shown, inner, format),
      ...FORMATS[format].after,
      ...(isPadded ? [`pad=${outer.width}:${outer.height}:${padLeft}:${padTop}:color=${colour}`] : []),
    ],
    encoderArgs,
    geometry: geometryOf(source, shown, inner, [padLeft, padTop]),
  }
}

function scaling(from: Size, to: Size, format: PixelFormat): string[] {
  const isSame = from.width === to.width && from.height === to.height
  const words = [...(isSame ? [] : [`${to.width}:${to.height}`]), ...(FORMATS[format].scale === '' ? [] : [FORMATS[format].scale])]
  return words.length === 0 ? [] : [`scale=${words.join(':')}`]
}

/** `shown` of the source is scaled to `inner`, which lies in `outer`. */
type Layout = { shown: Region; inner: Size; outer: Size; padLeft: number; padTop: number }

function layout({ width, height, fit, format }: Rendition, region: Region): Layout {
  const step = isSubsampled(format) && format !== 'JPEG' ? 2 : 1
  const whole = (pixels: number, max = Infinity) => Math.min(max, Math.max(step, Math.round(pixels / step) * step))
  if (width === 0 && height === 0) return plain(region, { width: region.width, height: region.height })
  if (height === 0) return plain(region, { width, height: whole((width * region.height) / region.width) })
  if (width === 0) return plain(region, { width: whole((height * region.width) / region.height), height })
  const outer = { width, height }
  if (fit === 'letterbox') {
    const scale = Math.min(width / region.width, height / region.height)
    // Chroma planes are padded by whole samples.
    const even = isSubsampled(format) ? 2 : 1
    const side = (pixels: number, max: number) => Math.min(max, Math.max(even, Math.round((pixels * scale) / even) * even))
    const inner = { width: side(region.width, width), height: side(region.height, height) }
    const pad = (rest: number) => Math.floor(rest / 2 / even) * even
    return { shown: region, inner, outer, padLeft: pad(width - inner.width), padTop: pad(height - inner.height) }
  }
  return plain(fit === 'crop' ? centred(region, outer) : region, outer)
}

const plain = (shown: Region, size: Size): Layout => ({ shown, inner: size, outer: size, padLeft: 0, padTop: 0 })

/** The largest part in the middle of the region that has the shape of `size`. */
function centred({ x, y, width, height }: Region, size: Size): Region {
  const scale = Math.max(size.width / width, size.height / height)
  const across = Math.min(width, Math.max(1, Math.round(size.width / scale)))
  const down = Math.min(height, Math.max(1, Math.round(size.height / scale)))
  return { x: x + Math.floor((width - across) / 2), y: y + Math.floor((height - down) / 2), width: across, height: down }
}

/** What of the region lies in the source. */
function within(region: Region | undefined, source: Size): Region | undefined {
  if (region === undefined) return { x: 0, y: 0, width: source.width, height: source.height }
  const width = Math.min(region.width, source.width - region.x)
  const height = Math.min(region.height, source.height - region.y)
  return width > 0 && height > 0 ? { x: region.x, y: region.y, width, height } : undefined
}

const geometryOf = (source: Size, region: Region, inner: Size, [padLeft, padTop]: [number, number]): Geometry => ({
  ...{ source: { width: source.width, height: source.height }, region, padLeft, padTop },
  ...{ scaleX: inner.width / Math.max(1, region.width), scaleY: inner.height / Math.max(1, region.height) },
})

/**
 * The very first picture passes, and then the first of each period: so many on average whatever the source's rate. Where the very first comes late in
 * its period it stands for the next one too. The quarter keeps a camera's jitter away from the periods' borders when its rate is a multiple.
 */
function thinnedOut(maxFps: number): string {
  const isNext = `gt(floor(t*${maxFps}+0.25)\\,floor(prev_selected_t*${maxFps}+0.25+0.5*eq(selected_n\\,1)))`
  return `select=isnan(prev_selected_t)+${isNext}`
}

/** ffmpeg's scale of a JPEG's quality goes from 2 (best) to 31. */
const jpegScale = (quality: number): number => Math.round(31 - (29 * (quality - 1)) / 99)
