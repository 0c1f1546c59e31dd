// Where requests go. ffmpeg asks for http only, as all TLS ends in the relay, which remembers where it is spoken.
import { Failure } from '../../common/errors.ts'
import { targetOf, type Origin, type Target } from '../../common/net/target.ts'
import { withoutTls } from '../../common/net/url.ts'

const ORIGINS_MAX = 64

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
