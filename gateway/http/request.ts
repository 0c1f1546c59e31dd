// What a URL asks for: the path's camera and resource, and the query's checked values.
import type { Fit } from '../../proto/rendition.ts'
import { Refusal } from '../refusal.ts'

export const RESOURCES = ['frame.jpg', 'live.mjpeg', 'live.mp4'] as const
export type Resource = (typeof RESOURCES)[number]

export type Asked =
  | { kind: 'page'; file: string }
  | { kind: 'cameras' }
  | { kind: 'login' }
  | { kind: 'logout' }
  | { kind: 'camera'; deviceId: string; resource: Resource; query: URLSearchParams }

const PAGES: Record<string, string> = { '/': 'index.html', '/page.js': 'page.ts', '/page.css': 'page.css' }

/** Undefined where nothing is served at the path. Throws a Refusal for a URL that cannot be read. */
export function parseRequest(url: string): Asked | undefined {
  if (!URL.canParse(url, 'http://gateway')) throw new Refusal('invalid', 'the URL cannot be read')
  const { pathname, searchParams: query } = new URL(url, 'http://gateway')
  const page = Object.hasOwn(PAGES, pathname) ? PAGES[pathname] : undefined
  if (page !== undefined) return { kind: 'page', file: page }
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
  /** No older frame, in ms. */
  maxAgeMs: number
  /** Frames a second at most; undefined: all. */
  fps: number | undefined
}

const KNOWN: Record<Resource, readonly string[]> = {
  'frame.jpg': ['width', 'height', 'fit', 'quality', 'max-age'],
  'live.mjpeg': ['width', 'height', 'fit', 'quality', 'fps'],
  'live.mp4': [],
}
const FITS = ['stretch', 'letterbox', 'crop'] as const

/** Throws a Refusal that names the parameter. Sizes are checked with the rendition. */
export function parseQuery(resource: Resource, query: URLSearchParams): FrameQuery {
  const known = KNOWN[resource]
  for (const name of query.keys()) {
    if (!known.includes(name))
      throw new Refusal(
        'invalid',
        `${name.slice(0, 40)} is no parameter of ${resource}; there ${known.length === 0 ? 'is none' : `are ${known.join(', ')}`}`,
      )
    if (query.getAll(name).length > 1) throw new Refusal('invalid', `${name} is given twice`)
  }
  const number = (name: string, fallback: number, max: number): number => {
    const text = query.get(name)
    if (text === null) return fallback
    if (!/^\d{1,6}(\.\d{1,3})?$/.test(text) || Number(text) > max) throw new Refusal('invalid', `${name} must be a number from 0 to ${max}`)
    return Number(text)
  }
  const fit = FITS.find(each => each === (query.get('fit') ?? 'stretch'))
  if (fit === undefined) throw new Refusal('invalid', `fit must be one of ${FITS.join(', ')}`)
  const fps = number('fps', 0, 1_000)
  return {
    ...{ width: number('width', 0, 8_192), height: number('height', 0, 8_192), fit, quality: number('quality', 0, 100) },
    ...{ maxAgeMs: number('max-age', 3, 3_600) * 1_000, fps: fps === 0 ? undefined : fps },
  }
}
