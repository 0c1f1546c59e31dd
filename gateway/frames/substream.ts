// A camera's substream, seen as a camera of its own; and which frames come from it.
import { planOf } from '../../common/media/rendition-plan.ts'
import type { StreamName } from '../../proto/camera.ts'
import type { Rendition, Size } from '../../proto/rendition.ts'
import { refText } from '../../proto/subjects.ts'
import type { KnownCamera } from '../cameras.ts'
import { Refusal } from '../refusal.ts'

/** Streams whose shapes differ by no more show the same. */
const SHAPE_TOLERANCE = 0.02

/** One of a camera's streams, among all of all cameras. */
export const streamKey = ({ uid, stream }: Pick<KnownCamera, 'uid' | 'stream'>): string => (stream === 'sub' ? `${uid}#sub` : uid)

/** As metrics and logs name it. */
export const streamLabel = ({ ref, stream }: Pick<KnownCamera, 'ref' | 'stream'>): string =>
  stream === 'sub' ? `${refText(ref)}#sub` : refText(ref)

/** What is known of its substream, in the place of what is known of its main stream. Throws a Refusal where it has none. */
export function substreamOf(known: KnownCamera): KnownCamera {
  const { record, report } = known
  if (record.substream !== true) throw new Refusal('precondition', `camera "${known.deviceId}" has no substream: set spec.source.substream`)
  const { connection = 'off', codec, fps = 0, reason, message, lastPacketAt } = report?.state.substream ?? {}
  const state = report && {
    ...report.state,
    ...{ connection: connection === 'off' ? ('connecting' as const) : connection, codec, fps, reason, message, lastPacketAt },
    ...{ decoding: { active: false, ok: true }, buffer: { ok: true } },
  }
  return {
    ...known,
    stream: 'sub',
    // Sidecars decode none of it.
    record: { ...record, decoding: { keyFramesOnly: false, placement: 'Gateway' } },
    report: report && state && { ...report, state },
  }
}

/** Of the stream that a consumer insists on; the main one where it does not. Throws a Refusal. */
export const streamOf = (known: KnownCamera, stream: StreamName | undefined): KnownCamera => (stream === 'sub' ? substreamOf(known) : known)

/** The substream sends packets now. */
export const isStreaming = ({ report }: KnownCamera): boolean => report?.state.connection === 'streaming'

const sizeOf = ({ report }: KnownCamera): Size | undefined => {
  const codec = report?.state.codec
  return codec === undefined || codec.width === 0 || codec.height === 0 ? undefined : codec
}

/** How the substream gives a rendition of the camera; undefined where it would show less, or something else. Pure. */
export function renditionFrom(known: KnownCamera, sub: KnownCamera, rendition: Rendition): Rendition | undefined {
  const [full, small] = [sizeOf(known), sizeOf(sub)]
  const { width, height, region, fit } = rendition
  // A region is in pixels of the main stream.
  if (full === undefined || small === undefined || region !== undefined || (width === 0 && height === 0)) return undefined
  const isFitted = width > 0 && height > 0 && fit !== 'stretch'
  const isSameShape = Math.abs((full.width / full.height) * (small.height / small.width) - 1) <= SHAPE_TOLERANCE
  if (isFitted && !isSameShape) return undefined
  // Of the size that the main stream gives, so that frames keep it whichever they come from.
  const size = isFitted ? { width, height } : outputOf(rendition, full)
  return size.width > small.width || size.height > small.height ? undefined : { ...rendition, ...size }
}

function outputOf(rendition: Rendition, source: Size): Size {
  const geometry = planOf(rendition, source)?.geometry
  if (geometry === undefined) return source
  const { region, scaleX, scaleY } = geometry
  return { width: Math.round(region.width * scaleX), height: Math.round(region.height * scaleY) }
}
