// What a URL asks for: the path's camera and resource, and the query's checked values.
import type { StreamName } from '../../proto/camera.ts'
import type { Fit } from '../../proto/rendition.ts'
import { Refusal } from '../refusal.ts'

export const RESOURCES = ['frame.jpg', 'live.mjpeg', 'live.mp4', 'live.ts', 'clip.mp4', 'past', 'annotations', 'stats'] as const
export type Resource = (typeof RESOURCES)[number]

export type Asked =
  | { kind: 'page'; file: string }
  | { kind: 'cameras' }
  | { kind: 'login' }
  | { kind: 'logout' }
  | { kind: 'camera'; deviceId: string; resource: Resource; query: URLSearchParams }

/** Undefined where nothing is served at the path. Throws a Refusal for a URL that cannot be read. */
export function parseRequest(url: string): Asked | undefined {
  if (!URL.canParse(url, 'http://gateway')) throw new Refusal('invalid', 'the URL cannot be read')
  const { pathname, searchParams: query } = new URL(url, 'http://gateway')
  if (pathname === '/') return { kind: 'page', file: 'index.html' }
  const [, file] = /^\/page\/([a-z0-9-]+\.(?:ts|css))$/.exec(pathname) ?? []
  if (file !== undefined) return { kind: 'page', file }
  if (pathname === '/cameras') return { kind: 'cameras' }
  if (pathname === '/login') return { kind: 'login' }
  if (pathname === '/logout') return { kind: 'logout' }
  const [, deviceId, last] = /^\/cameras\/([^/]+(?:\/[^/]+)?)\/([^/]+)$/.exec(pathname) ?? []
  const resource = RESOURCES.find(name => name === last)
  return deviceId === undefined || resource === undefined ? undefined : { kind: 'camera', deviceId, resource, query }
}

export type FrameQuery = {
  width: number
  height: number
  fit: Fit
  /** 0: the default. */
  quality: number
  /** Capture time; undefined: now. */
  atMs: number | undefined
  /** No older frame, in ms. */
  maxAgeMs: number
  /** Frames a second at most; undefined: all. */
  fps: number | undefined
  /** undefined: whichever fits. */
  stream: StreamName | undefined
}

const KNOWN: Record<Resource, readonly string[]> = {
  'frame.jpg': ['width', 'height', 'fit', 'quality', 'at', 'max-age', 'stream'],
  'live.mjpeg': ['width', 'height', 'fit', 'quality', 'fps', 'stream'],
  'live.mp4': ['stream'],
  'live.ts': ['stream'],
  'clip.mp4': ['from', 'to'],
  past: ['from', 'to'],
  annotations: ['from', 'to', 'limit'],
  stats: [],
}
const FITS = ['stretch', 'letterbox', 'crop'] as const

/** Throws a Refusal that names the parameter. */
export function checkNames(resource: Resource, query: URLSearchParams): void {
  const known = KNOWN[resource]
  for (const name of query.keys()) {
    if (!known.includes(name)) {
      const offer = known.length === 0 ? 'is none' : `${known.length === 1 ? 'is only' : 'are'} ${known.join(', ')}`
      throw new Refusal('invalid', `${name.slice(0, 40)} is no parameter of ${resource}; there ${offer}`)
    }
    if (query.getAll(name).length > 1) throw new Refusal('invalid', `${name} is given twice`)
  }
}

/** Throws a Refusal that names the parameter. Sizes are checked with the rendition. */
export function frameQuery(query: URLSearchParams): FrameQuery {
  const number = (name: string, fallback: number, max: number): number => {
    const text = query.get(name)
    if (text === null) return fallback
    if (!/^\d{1,6}(\.\d{1,3})?$/.test(text) || Number(text) > max) throw new Refusal('invalid', `${name} must be a number from 0 to ${max}`)
    return Number(text)
  }
  const fit = FITS.find(each => each === (query.get('fit') ?? 'stretch'))
  if (fit === undefined) throw new Refusal('invalid', `fit must be one of ${FITS.join(', ')}`)
  const fps = number('fps', 0, 1_000)
  const atMs = timeIn(query, 'at')
  const stream = streamQuery(query)
  if (atMs !== undefined && stream === 'sub') throw new Refusal('invalid', 'stream must not be sub with at: the substream has no past')
  return {
    ...{ width: number('width', 0, 8_192), height: number('height', 0, 8_192), fit, quality: number('quality', 0, 100) },
    ...{ atMs, maxAgeMs: number('max-age', atMs === undefined ? 3 : 10, 3_600) * 1_000, fps: fps === 0 ? undefined : fps, stream },
  }
}

/** Throws a Refusal that names the parameter. */
export function streamQuery(query: URLSearchParams): StreamName | undefined {
  const text = query.get('stream')
  if (text === null || text === 'main' || text === 'sub') return text ?? undefined
  throw new Refusal('invalid', 'stream must be main or sub')
}

/** Capture times in ms since the epoch. */
export type PastQuery = { readonly fromMs: number | undefined; readonly toMs: number | undefined }

/** Throws a Refusal that names the parameter. */
export function pastQuery(query: URLSearchParams): PastQuery {
  const fromMs = timeIn(query, 'from')
  const toMs = timeIn(query, 'to')
  if (fromMs !== undefined && toMs !== undefined && fromMs > toMs) throw new Refusal('invalid', 'from must be before to')
  return { fromMs, toMs }
}

const ANNOTATIONS = { limit: 1_000, limitMax: 10_000 } as const
export type AnnotationsQuery = PastQuery & { readonly limit: number }

/** Throws a Refusal that names the parameter. */
export function annotationsQuery(query: URLSearchParams): AnnotationsQuery {
  const text = query.get('limit') ?? String(ANNOTATIONS.limit)
  const limit = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : NaN
  if (!(limit <= ANNOTATIONS.limitMax)) throw new Refusal('invalid', `limit must be a number from 1 to ${ANNOTATIONS.limitMax}`)
  return { ...pastQuery(query), limit }
}

/** Throws a Refusal that names the parameter. */
export function clipQuery(query: URLSearchParams): { fromMs: number; toMs: number } {
  const { fromMs, toMs } = pastQuery(query)
  if (fromMs === undefined) throw new Refusal('invalid', 'from is required')
  if (toMs === undefined) throw new Refusal('invalid', 'to is required')
  return { fromMs, toMs }
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/

function timeIn(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : RFC3339.test(text) ? Date.parse(text) : NaN
  if (Number.isNaN(ms) || ms < 0) {
    throw new Refusal('invalid', `${name} must be a time such as 2026-01-31T12:00:00Z, or in ms since 1970`)
  }
  return ms
}
