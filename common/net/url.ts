// A URL as its author wrote it. URL.parse drops an empty `?`, encodes `{` and `|` and removes dot segments: cameras that compare
// letters then answer 404, and a digest no longer fits its request line. So only the authority is parsed.

export type SplitUrl = {
  /** In lower case. */
  scheme: string
  /** `user:password@` as it stands in the URL; empty where there is none. */
  userInfo: string
  /** In lower case; an IPv6 address in brackets. */
  host: string
  /** Undefined: the scheme’s own. */
  port: number | undefined
  /** Path, query and fragment, to the letter. Only what no URL may hold is percent-encoded: spaces, control and non-ASCII characters. */
  rest: string
}

const AUTHORITY = /^([a-z][a-z0-9+.-]*):\/\/([^/?#\\@]*@)?(\[[^\]/?#@]*\]|[^:/?#@\\[\]]*)(?::(\d*))?(?=[/?#]|$)/i

/** Undefined for what is no URL with an authority. `host` may be empty. */
export function splitUrl(text: string): SplitUrl | undefined {
  const [whole, scheme, userInfo = '', host = '', digits = ''] = AUTHORITY.exec(text) ?? []
  if (whole === undefined || scheme === undefined) return undefined
  const port = digits === '' ? undefined : Number(digits)
  const known = host === '' ? '' : URL.parse(`http://${host}/`)?.hostname
  if (known === undefined || (port !== undefined && (port < 1 || port > 65_535))) return undefined
  return { scheme: scheme.toLowerCase(), userInfo, host: known, port, rest: encoded(text.slice(whole.length)) }
}

const encoded = (text: string): string => text.toWellFormed().replace(/[^\x21-\x7e]+/g, encodeURIComponent)

/** What ffmpeg is told instead of an https URL: the relay (`sidecar/http/`) knows that TLS is spoken there. */
export function withoutTls(text: string): string {
  const url = splitUrl(text)
  if (url?.scheme !== 'https') return text
  return `http://${url.userInfo}${url.host}:${url.port ?? 443}${url.rest}`
}
