// An annotation as clients send it, and as the cloud wants it.
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'
import type { AnnotateRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/AnnotateRequest.ts'

const LONGS = ['start_timestamp', 'end_timestamp', 'offset_timestamp', 'offset_duration', 'offset_frame_id', 'offset_packet_id'] as const
type Long = (typeof LONGS)[number]

/** Every int64 in decimal: a number would lose digits above 2^53. */
export type Annotation = Omit<AnnotateRequest__Output, Long> & Record<Long, string>

const definition = loadSync(fileURLToPath(new URL('../../proto/video_streaming.proto', import.meta.url)), {
  keepCase: true,
  longs: String,
  defaults: true,
})
const { Annotate } = definition['chrys.cloud.videostreaming.v1beta1.Image'] as ServiceDefinition

/** Throws on what is no AnnotateRequest. */
export function decodeAnnotation(bytes: Uint8Array): Annotation {
  if (Annotate === undefined) throw new Error('the proto has no Annotate')
  return Annotate.requestDeserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as unknown as Annotation
}

const AROUND_NOW_MS = 7 * 24 * 3_600_000
const MASK_POINTS_MAX = 10_000

/** What is wrong with an annotation that arrives at `nowMs` (ms since the epoch), naming the field; undefined when nothing is. */
export function problemAt(annotation: Annotation, nowMs: number): string | undefined {
  const start = Number(annotation.start_timestamp)
  const isFar = Math.abs(start - nowMs) > AROUND_NOW_MS
  return problemWith(annotation) ?? (isFar ? 'start_timestamp must be ms since the epoch, within 7 days of now' : undefined)
}

/** The same of one whose time of arrival does not count: it was accepted before, by another clock, or is sent again by a person. */
export function problemWith(annotation: Annotation): string | undefined {
  const { device_name, type, confidence, location, mask, object_coordinate, object_signature } = annotation
  const start = Number(annotation.start_timestamp)
  const end = Number(annotation.end_timestamp)
  if (device_name === '') return 'device_name is required'
  if (type === '') return 'type is required'
  if (start === 0) return 'start_timestamp is required'
  if (end !== 0 && end < start) return 'end_timestamp must not be before start_timestamp'
  if (!isWithin(confidence, 0, 1)) return 'confidence must be from 0 to 1'
  if (location && !isWithin(location.lat, -90, 90)) return 'location.lat must be from -90 to 90'
  if (location && !isWithin(location.lon, -180, 180)) return 'location.lon must be from -180 to 180'
  if (mask.length > MASK_POINTS_MAX) return `mask must have at most ${MASK_POINTS_MAX} points`
  // JSON has no other numbers.
  if (!mask.every(isFinitePoint)) return 'mask must hold finite numbers'
  if (object_coordinate && !isFinitePoint(object_coordinate)) return 'object_coordinate must hold finite numbers'
  if (!object_signature.every(Number.isFinite)) return 'object_signature must hold finite numbers'
  return undefined
}

/** False for NaN. */
const isWithin = (value: number, min: number, max: number): boolean => value >= min && value <= max
const isFinitePoint = ({ x, y, z }: { x: number; y: number; z: number }): boolean => [x, y, z].every(Number.isFinite)

/** What the deployed cloud calls a field; otherwise as in the proto. */
const CLOUD_NAMES: Record<string, string> = { is_keyframe: 'is_keyrame' }
const ALWAYS_THERE: readonly string[] = ['device_name', 'type', 'start_timestamp']

/** The annotation as an item of the cloud's `data`: what has its default value is left out. `id`: by which the cloud may tell a repetition. */
export function cloudJson(annotation: Annotation, id: string): string {
  const isLong = (name: string): name is Long => (LONGS as readonly string[]).includes(name)
  const members = Object.entries(annotation).flatMap(([name, value]) => {
    if (!ALWAYS_THERE.includes(name) && (isLong(name) ? value === '0' : isDefault(value))) return []
    return [`${JSON.stringify(CLOUD_NAMES[name] ?? name)}:${isLong(name) ? annotation[name] : JSON.stringify(value)}`]
  })
  return `{${[...members, `"idempotency_key":${JSON.stringify(id)}`].join(',')}}`
}

function isDefault(value: unknown): boolean {
  return value === null || value === '' || value === 0 || value === false || (Array.isArray(value) && value.length === 0)
}
