// A camera's cookies, which some servers want to see with each segment and key. ffmpeg keeps cookies too, but by a proxy it does not send
// them: it compares their path with a whole URL.
import type { CookieJar, MemoryCookieStore } from 'tough-cookie'
import { urlOf, type Target } from '../../common/net/target.ts'

const COOKIES_MAX = 50
/** RFC 6265 asks for no more. */
const COOKIE_BYTES_MAX = 4096

export class Cookies {
  /** Most cameras set none, and its list of domains takes megabytes. */
  #kept: { jar: CookieJar; store: MemoryCookieStore } | undefined

  /** `values`: of Set-Cookie. What is malformed, foreign or too much is left out. */
  async store(target: Target, values: readonly string[]): Promise<void> {
    const sound = values.filter(value => value.length <= COOKIE_BYTES_MAX)
    if (sound.length === 0) return
    if (this.#kept === undefined) {
      const { CookieJar, MemoryCookieStore } = await import('tough-cookie')
      const store = new MemoryCookieStore()
      this.#kept = { jar: new CookieJar(store, { looseMode: true }), store }
    }
    const { jar, store } = this.#kept
    for (const value of sound) {
      await jar.setCookie(value, urlOf(target), { ignoreError: true }).catch(() => {})
      const all = await store.getAllCookies()
      for (const { domain, path, key } of all.slice(COOKIES_MAX)) await store.removeCookie(domain ?? '', path ?? '/', key)
    }
  }

  /** The value of the header Cookie; undefined where there is nothing to send. */
  async header(target: Target): Promise<string | undefined> {
    const text = await this.#kept?.jar.getCookieString(urlOf(target))
    return text === undefined || text === '' ? undefined : text
  }
}
