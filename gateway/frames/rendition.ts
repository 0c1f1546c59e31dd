// Checks what a consumer says of a rendition. Every transport fills in the fields and gets the same answers.
import { FITS, PIXEL_FORMATS, SIDE_MAX, type Fit, type PixelFormat, type Region, type Rendition, type Size } from '../../proto/rendition.ts'
import { planOf } from '../../common/media/rendition-plan.ts'
import { Refusal } from '../refusal.ts'

const FPS_MAX = 1_000

export type RenditionFields = {
  width?: number
  height?: number
  fit?: Fit
  /** 0xRRGGBB. */
  padColor?: number
  region?: Region | undefined
  format?: PixelFormat
  /** Of a JPEG; 0 or nothing: 85. */
  quality?: number
}

/** A rendition that can be made of frames of the size `source`, where that is known. Throws a Refusal that names the field. */
export function checkedRendition(fields: RenditionFields, source?: Size): Rendition {
  const { width = 0, height = 0, fit = 'stretch', padColor = 0, region, format = 'BGR24', quality = 0 } = fields
  for (const [name, side] of [['width', width] as const, ['height', height] as const]) {
    if (!Number.isInteger(side) || side < 0 || side > SIDE_MAX) throw invalid(name, `must be a whole number from 0 to ${SIDE_MAX}`)
    const isEven = format === 'I420' || format === 'NV12'
    if (isEven && side % 2 !== 0) throw invalid(name, `must be even for ${format}`)
  }
  if (!FITS.includes(fit)) throw invalid('fit', 'must be stretch, letterbox or crop')
  if (!Number.isInteger(padColor) || padColor < 0 || padColor > 0xff_ff_ff) throw invalid('pad_color', 'must be 0xRRGGBB')
  if (!PIXEL_FORMATS.includes(format)) throw invalid('format', `must be one of ${PIXEL_FORMATS.join(', ')}`)
  if (!Number.isInteger(quality) || quality < 0 || quality > 100) throw invalid('jpeg_quality', 'must be a whole number from 1 to 100')
  if (region !== undefined) checkRegion(region, source)
  const rendition: Rendition = { width, height, fit, padColor, region, format, quality: quality === 0 ? 85 : quality }
  if (source !== undefined) checkSize(rendition, source)
  return rendition
}

/** At most so many frames a second; 0 or nothing: no limit. Throws a Refusal. */
export function checkedMaxFps(maxFps = 0): number | undefined {
  if (!Number.isFinite(maxFps) || maxFps < 0 || maxFps > FPS_MAX)
    throw new Refusal('invalid', `max_fps must be a number from 0 to ${FPS_MAX}`)
  return maxFps === 0 ? undefined : maxFps
}

function checkRegion({ x, y, width, height }: Region, source: Size | undefined): void {
  for (const [name, value] of Object.entries({ x, y, width, height })) {
    if (!Number.isInteger(value) || value < 0) throw invalid(`region.${name}`, 'must be a whole number of pixels')
  }
  if (width === 0 || height === 0) throw invalid('region', 'width and height must be at least 1')
  if (source !== undefined && (x + width > source.width || y + height > source.height)) {
    throw invalid('region', `must lie within the source frame of ${source.width}x${source.height}`)
  }
}

/** A size that follows from the source's shape is bounded too, and no format has half of a chroma sample. */
function checkSize(rendition: Rendition, source: Size): void {
  const { region = { x: 0, y: 0, ...source }, width, height, format } = rendition
  if (width === 0 && height === 0 && (format === 'I420' || format === 'NV12') && (region.width % 2 !== 0 || region.height % 2 !== 0)) {
    throw invalid('width', `must be set for ${format}, as the source is ${region.width}x${region.height}, which is not even`)
  }
  const geometry = planOf(rendition, source)?.geometry
  if (geometry === undefined) return
  const across = Math.round(geometry.scaleX * geometry.region.width)
  const down = Math.round(geometry.scaleY * geometry.region.height)
  if (across > SIDE_MAX) throw invalid('height', `gives a width of ${across}, at most ${SIDE_MAX} are allowed`)
  if (down > SIDE_MAX) throw invalid('width', `gives a height of ${down}, at most ${SIDE_MAX} are allowed`)
}

const invalid = (field: string, what: string) => new Refusal('invalid', `rendition.${field} ${what}`)
