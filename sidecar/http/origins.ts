// Where requests go. ffmpeg asks for http only, as all TLS ends in the relay, which remembers where it is spoken.
import { Failure } from '../../common/errors.ts'
import { splitUrl, withoutTls } from '../source/url.ts'

const ORIGINS_MAX = 64

export type Origin = { tls: boolean; host: string; port: number }
/** `path`: with the query, as it stands in the URL. */
export type Target = { origin: Origin; path: string }

/** Undefined for another protocol than HTTP. */
export function targetOf(text: string): Target | undefined {
  const url = splitUrl(text)
  if (url === undefined || url.host === '' || !/^https?$/.test(url.scheme)) return undefined
  const tls = url.scheme === 'https'
  const path = url.rest.startsWith('/') ? url.rest : `/${url.rest}`
  return { origin: { tls, host: url.host, port: url.port ?? (tls ? 443 : 80) }, path }
}

export const urlOf = ({ origin, path }: Target): string => `${origin.tls ? 'https' : 'http'}://${origin.host}:${origin.port}${path}`

/** As the header Host has it. */
export const hostOf = ({ tls, host, port }: Origin): string => (port === (tls ? 443 : 80) ? host : `${host}:${port}`)

export class Origins {
  readonly #tls = new Set<string>()

  /** The same address for ffmpeg, where `text` stands in an answer from `base`. Throws Failure RedirectRefused. */
  hide(text: string, base?: Origin): string {
    const ascii = inAscii(text)
    const absolute = ascii.startsWith('//') && base !== undefined ? `${base.tls ? 'https' : 'http'}:${ascii}` : ascii
    const scheme = /^([a-z0-9+.-]*):/i.exec(absolute)?.[1]?.toLowerCase()
    if (scheme === undefined) return absolute
    const target = targetOf(absolute)
    if (target === undefined) throw new Failure('RedirectRefused', 'the camera leads to another protocol than HTTP, which is refused')
    if (!target.origin.tls) return absolute
    this.#tls.add(hostAndPort(target.origin))
    if (this.#tls.size > ORIGINS_MAX) throw new Failure('RedirectRefused', 'the camera leads to too many servers')
    return withoutTls(absolute)
  }

  /** Where ffmpeg’s request goes. */
  find(text: string): Target | undefined {
    const target = targetOf(inAscii(text))
    if (target === undefined || target.origin.tls) return undefined
    return { ...target, origin: { ...target.origin, tls: this.#tls.has(hostAndPort(target.origin)) } }
  }
}

const hostAndPort = ({ host, port }: Origin): string => `${host}:${port}`

/** Texts from the network have a character for each byte. */
const inAscii = (text: string): string => text.replaceAll(/[\x80-\xff]/g, byte => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`)
