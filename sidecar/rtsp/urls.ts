// Which URLs a camera knows its stream and its tracks by (RFC 2326 C.1.1): as it names them, and where that is no URL or is refused, as
// players guess. Best first.

export type Names = {
  /** To set up the track. */
  track: string
  /** To play, keep alive and tear down the session. */
  session: string
}

export type Described = {
  /** As the user wrote it. */
  url: string
  /** Content-Base, or Content-Location. */
  base: string | undefined
  /** The `a=control:` of the session, and of the track. */
  sessionControl: string | undefined
  trackControl: string | undefined
}

/** One or more, all different. */
export function namesOf({ url, base, sessionControl, trackControl }: Described): [Names, ...Names[]] {
  const session = isUrl(sessionControl ?? '') ? sessionControl : undefined
  const names = basesOf(url, base).flatMap(base => {
    const isWhole = trackControl === undefined || trackControl === '' || trackControl === '*'
    const tracks = isWhole ? [base] : joined(base, trackControl)
    return tracks.map(track => ({ track: sendable(track), session: sendable(session ?? base) }))
  })
  const known = new Map(names.map(name => [`${name.track} ${name.session}`, name] as const))
  const [first = { track: sendable(url), session: sendable(url) }, ...others] = known.values()
  return [first, ...others]
}

function basesOf(url: string, base: string | undefined): string[] {
  if (base === undefined || base === '') return [url]
  return isUrl(base) ? [base, url] : [mended(url, base), url, base]
}

/** `rtsp://camera.example:554/…`: one scheme, and an authority that can be one. */
function isUrl(text: string): boolean {
  const authority = /^rtsps?:\/\/([^/?#]+)/i.exec(text)?.[1]
  if (authority === undefined) return false
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  return /^(\[[0-9a-f:.]+(%\w+)?\]|[^:[\]]+)(:\d+)?$/i.test(host) && !/^[a-z]+:\/\//i.test(text.replace(/^rtsps?:\/\//i, ''))
}

/** What a base that is no URL may have meant: its path, at the place that was asked. */
function mended(url: string, base: string): string {
  const origin = /^[a-z]+:\/\/[^/?#]*/i.exec(url)?.[0] ?? ''
  const text = base.replace(/^(?:rtsps?:\/\/)+/i, '')
  // Without a scheme only what looks like a host is one.
  const hasHost = text !== base || /^(?:[\w-]+(?:\.[\w-]+)+|[\w.-]+:\d+)(?::\d+)?(?:[/?]|$)/.test(text)
  const path = hasHost ? text.replace(/^[^/?]*/, '') : text
  return `${origin}${path.startsWith('/') ? '' : '/'}${path}`
}

function joined(base: string, control: string): string[] {
  if (isUrl(control)) return [control, `${withSlash(base)}${control.replace(/^.*\/(?=[^/])/, '')}`]
  if (/^rtsps?:\/\//i.test(control)) return [mended(base, control), control]
  if (/^\d+\.\d+\.\d+\.\d+(:\d+)?\//.test(control)) return [mended(base, control), control, `${withSlash(base)}${control}`]
  const appended = `${withSlash(base)}${control}`
  if (control.startsWith('/')) return [mended(base, control), base.replace(/\/$/, '') + control, appended]
  // Whether the track belongs in front of a query or behind it: live555 and ffmpeg append it, others look for it in the path.
  const [path = '', query] = base.split(/\?(.*)/s)
  return query === undefined ? [appended] : [appended, `${withSlash(path)}${control}?${query}`]
}

const withSlash = (base: string): string => (base.endsWith('/') ? base : `${base}/`)

/** In a request line. */
const sendable = (url: string): string =>
  // eslint-disable-next-line no-control-regex
  url.replaceAll(/[\u0000-\u0020\u007f]/g, byte => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
