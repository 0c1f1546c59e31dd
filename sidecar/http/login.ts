// The login to a camera by HTTP. The password goes to the server of source.url only, in the safest way that is offered.
import { Failure } from '../../common/errors.ts'
import { Authorization, challengeOf, strengthOf } from '../rtsp/authorization.ts'
import type { Credentials } from '../source/credentials.ts'
import type { Fields } from './head.ts'
import type { Origin, Target } from './origins.ts'

/** The safest login that a camera has ever asked for. */
export type LoginMemory = { strength: number }

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
    const offers = fields.all('www-authenticate')
    const challenge = challengeOf(offers)
    if (challenge === undefined) throw unsupported(offers)
    if (strengthOf(challenge) < this.#memory.strength) throw downgraded()
    this.#memory.strength = strengthOf(challenge)
    // The same password again would only count as one more wrong one.
    if (tries > (challenge.stale ? 1 : 0) || (this.#isBasic && challenge.scheme === 'Basic')) return false
    this.#isBasic = challenge.scheme === 'Basic'
    this.#authorization.challenge(challenge)
    return true
  }
}

const downgraded = () => new Failure('LoginDowngraded', 'the camera offers a weaker login than before: the password was not sent')

function unsupported(offers: readonly string[]): Failure {
  const names = offers.map(offer => /^\s*([\w-]{1,20})/.exec(offer)?.[1] ?? '').filter(name => name !== '')
  const offered = names.length === 0 ? 'none' : names.slice(0, 4).join(', ')
  return new Failure('LoginUnsupported', `the camera asks for a login and offers none that is supported (${offered})`)
}
