// The login to a camera by HTTP. The password goes to the server of source.url only, in the safest way that is offered.
import { Authorization, safeChallenge, type LoginMemory } from '../../common/net/authorization.ts'
import type { Credentials } from '../../common/net/credentials.ts'
import type { Fields } from '../../common/net/head.ts'
import type { Origin, Target } from '../../common/net/target.ts'

export class Login {
  readonly #own: Origin
  readonly #authorization: Authorization | undefined
  readonly #memory: LoginMemory
  #isBasic = false

  constructor(own: Origin, credentials: Credentials | undefined, memory: LoginMemory) {
    this.#own = own
    this.#authorization = credentials === undefined ? undefined : new Authorization(credentials)
    this.#memory = memory
  }

  get hasCredentials(): boolean {
    return this.#authorization !== undefined
  }

  /** The server of source.url, or the same host with TLS, which a camera may redirect to. */
  serves({ tls, host, port }: Origin): boolean {
    const own = this.#own
    return host === own.host && (tls === own.tls ? port === own.port : tls)
  }

  /** The header Authorization; undefined before any challenge. */
  header({ origin, path }: Target): string | undefined {
    return this.serves(origin) ? this.#authorization?.header('GET', path) : undefined
  }

  /** A 401 after `tries` answers to others. True: ask again, now with an answer to it. Throws Failure LoginDowngraded or LoginUnsupported. */
  challenge({ origin }: Target, fields: Fields, tries: number): boolean {
    if (this.#authorization === undefined || !this.serves(origin)) return false
    const challenge = safeChallenge(fields.all('www-authenticate'), this.#memory)
    // The same password again would only count as one more wrong one.
    if (tries > (challenge.stale ? 1 : 0) || (this.#isBasic && challenge.scheme === 'Basic')) return false
    this.#isBasic = challenge.scheme === 'Basic'
    this.#authorization.challenge(challenge)
    return true
  }
}
