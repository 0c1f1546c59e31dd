// What a Watch asks for, checked.
import type { Rendition__Output } from '../../../proto/generated/chrys/cloud/frames/v1/Rendition.ts'
import type { Wish__Output } from '../../../proto/generated/chrys/cloud/frames/v1/Wish.ts'
import type { StreamName } from '../../../proto/camera.ts'
import { placeOfFrame, type FramePlace } from '../../../proto/frame-id.ts'
import { PIXEL_FORMATS, type Fit, type PixelFormat, type Rendition } from '../../../proto/rendition.ts'
import { isNamespace } from '../../../proto/subjects.ts'
import { checkedMaxFps, checkedRendition } from '../../frames/rendition.ts'
import { Refusal } from '../../refusal.ts'
import { selectionOf, type Selection } from './selection.ts'

export type CheckedWish = {
  readonly selection: Selection
  readonly rendition: Rendition
  readonly mode: 'newest' | 'every'
  readonly maxFps: number | undefined
  readonly maxAgeMs: number | undefined
  readonly keyframesOnly: boolean
  /** undefined: whichever fits. */
  readonly stream: StreamName | undefined
  /** With whom its cameras are shared out. */
  readonly group: string | undefined
  /** The last frame that the client has of each camera, by its name. */
  readonly after: ReadonlyMap<string, FramePlace>
}

const FITS: Record<string, Fit> = {
  FIT_UNSPECIFIED: 'stretch',
  FIT_STRETCH: 'stretch',
  FIT_LETTERBOX: 'letterbox',
  FIT_CROP: 'crop',
}
const MODES: Record<string, CheckedWish['mode']> = { MODE_UNSPECIFIED: 'newest', MODE_NEWEST: 'newest', MODE_EVERY: 'every' }
const STREAMS: Record<string, StreamName | undefined> = { STREAM_UNSPECIFIED: undefined, STREAM_MAIN: 'main', STREAM_SUB: 'sub' }
const FORMATS: Record<string, PixelFormat> = {
  PIXEL_FORMAT_UNSPECIFIED: 'BGR24',
  ...Object.fromEntries(PIXEL_FORMATS.map(format => [`PIXEL_FORMAT_${format}`, format])),
}

/** Throws a Refusal. */
export function checkedWish(wish: Wish__Output): CheckedWish {
  const selection = selectionOf(wish, 'wish.')
  if (selection === undefined) throw new Refusal('invalid', 'one of wish.cameras and wish.selector must be set')
  const mode = MODES[wish.mode]
  if (mode === undefined) throw new Refusal('invalid', 'wish.mode must be MODE_NEWEST or MODE_EVERY')
  if (wish.group !== '' && !isNamespace(wish.group)) throw new Refusal('invalid', 'wish.group must be a DNS label of at most 63 characters')
  const after = new Map(Object.entries(wish.after).map(([camera, id]) => [camera, placeIn(id)]))
  return {
    selection,
    mode,
    after,
    group: wish.group === '' ? undefined : wish.group,
    rendition: renditionOf(wish.rendition),
    keyframesOnly: wish.keyframes_only,
    stream: streamIn(wish.stream),
    maxFps: checkedMaxFps(wish.max_fps),
    maxAgeMs: wish.max_age_ms === 0 ? undefined : wish.max_age_ms,
  }
}

/** Throws a Refusal. */
export function streamIn(stream: string): StreamName | undefined {
  if (!Object.hasOwn(STREAMS, stream)) throw new Refusal('invalid', 'stream must be STREAM_MAIN or STREAM_SUB')
  return STREAMS[stream]
}

function placeIn(id: string): FramePlace {
  const place = placeOfFrame(id)
  if (place === undefined) throw new Refusal('invalid', 'wish.after must have the id of a frame for each camera')
  return place
}

/** Of an enum's unknown number that number is said, and refused as no fit or format. Throws a Refusal. */
export function renditionOf(rendition: Rendition__Output | null): Rendition {
  if (rendition === null) return checkedRendition({})
  const { width, height, fit, pad_color: padColor, region, format, jpeg_quality: quality } = rendition
  return checkedRendition({
    ...{ width, height, padColor, quality, region: region ?? undefined },
    fit: FITS[fit] ?? (fit as string as Fit),
    format: FORMATS[format] ?? (format as string as PixelFormat),
  })
}
