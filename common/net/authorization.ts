// Authentication to an RTSP server, as HTTP has it: Basic (RFC 7617) and Digest (RFC 7616, and 2069 for those without qop). Texts here
// have a character for each byte (latin1), as they go over the wire.
import { createHash, randomBytes } from 'node:crypto'
import { Failure } from '../errors.ts'
import type { Credentials } from './credentials.ts'

export type Challenge = {
  scheme: 'Basic' | 'Digest'
  realm: string
  nonce: string
  opaque: string | undefined
  /** As the server wrote it, to be said back; undefined where it said nothing. */
  algorithm: string | undefined
  /** The server takes the quality of protection `auth`. */
  qop: boolean
  /** The nonce of the last try was too old: the password may still be right. */
  stale: boolean
}

const HASHES: Readonly<Record<string, string>> = { MD5: 'md5', 'SHA-256': 'sha256' }
/** From the weakest to the strongest. */
const STRENGTHS = ['md5', 'sha256']

/**
 * Of the ways that the values of WWW-Authenticate offer, the one that gives the least away; undefined where there is none that is known.
 * Where Digest is offered, in whatever form, Basic is none: it would send the password in clear.
 */
export function challengeOf(values: readonly string[]): Challenge | undefined {
  const offers = values.flatMap(offersIn)
  const allowed = offersDigest(values) ? offers.filter(({ scheme }) => scheme === 'Digest') : offers
  return allowed.toSorted((a, b) => strengthOf(b) - strengthOf(a))[0]
}

/** The safest login that a camera has ever asked for. */
export type LoginMemory = { strength: number }

/** The challenge to answer. Throws Failure LoginUnsupported, or LoginDowngraded for one that gives more away than one before. */
export function safeChallenge(values: readonly string[], memory: LoginMemory): Challenge {
  const challenge = challengeOf(values)
  if (challenge === undefined) throw unsupported(values)
  if (strengthOf(challenge) < memory.strength) throw downgraded()
  memory.strength = strengthOf(challenge)
  return challenge
}

const downgraded = () => new Failure('LoginDowngraded', 'the camera offers a weaker login than before: the password was not sent')

function unsupported(offers: readonly string[]): Failure {
  const names = offers.map(offer => /^\s*([\w-]{1,20})/.exec(offer)?.[1] ?? '').filter(name => name !== '')
  const offered = names.length === 0 ? 'none' : names.slice(0, 4).join(', ')
  return new Failure('LoginUnsupported', `the camera asks for a login and offers none that is supported (${offered})`)
}

const offersDigest = (values: readonly string[]): boolean => values.some(text => /(^|,)\s*digest\s/i.test(text))

/** Several may stand in one line: what no `=` follows is the name of the next. */
function offersIn(text: string): Challenge[] {
  const offers: { scheme: string; values: Map<string, string> }[] = []
  for (const [, name, value = '', scheme] of text.matchAll(/([\w-]+)\s*=\s*("(?:\\.|[^"\\])*"|[^\s,]*)|([\w-]+)/g)) {
    if (scheme !== undefined) offers.push({ scheme: scheme.toLowerCase(), values: new Map() })
    else if (name !== undefined) offers.at(-1)?.values.set(name.toLowerCase(), unquoted(value))
  }
  return offers.flatMap(({ scheme, values }) => understood(scheme, values) ?? [])
}

const unquoted = (value: string): string => (value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, '$1') : value)

function understood(scheme: string, values: ReadonlyMap<string, string>): Challenge | undefined {
  const qops: string[] = values.get('qop')?.match(/[\w-]+/g) ?? []
  const challenge: Challenge = {
    scheme: scheme === 'basic' ? 'Basic' : 'Digest',
    realm: values.get('realm') ?? '',
    nonce: values.get('nonce') ?? '',
    opaque: values.get('opaque'),
    algorithm: values.get('algorithm'),
    qop: qops.includes('auth'),
    stale: values.get('stale')?.toLowerCase() === 'true',
  }
  if (scheme === 'basic') return challenge
  return scheme === 'digest' && hashOf(challenge) !== undefined && (challenge.qop || qops.length === 0) ? challenge : undefined
}

/** How little a login gives away: 0 for a password in clear. */
const strengthOf = (challenge: Challenge): number => (challenge.scheme === 'Basic' ? 0 : 1 + STRENGTHS.indexOf(hashOf(challenge) ?? ''))

const hashOf = ({ algorithm = 'MD5' }: Challenge): string | undefined => HASHES[algorithm.toUpperCase().replace(/-SESS$/, '')]

const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')

/** Answers one server's challenges with one user's password. */
export class Authorization {
  readonly #username: string
  readonly #password: string
  readonly #clientNonce: () => string
  #answer: ((method: string, uri: string) => string) | undefined

  constructor({ username, password }: Credentials, clientNonce = () => randomBytes(8).toString('hex')) {
    this.#username = bytesOf(username)
    this.#password = bytesOf(password)
    this.#clientNonce = clientNonce
  }

  challenge(challenge: Challenge): void {
    const [username, password] = [this.#username, this.#password]
    if (challenge.scheme === 'Digest') this.#answer = digests(challenge, username, password, this.#clientNonce())
    else this.#answer = () => `Basic ${Buffer.from(`${username}:${password}`, 'latin1').toString('base64')}`
  }

  /** The value of the Authorization header for a request; undefined before any challenge. */
  header(method: string, uri: string): string | undefined {
    return this.#answer?.(method, uri)
  }
}

/** One client nonce for all requests: servers that keep a session (`-sess`) take it from the first or from each. */
function digests(challenge: Challenge, username: string, password: string, clientNonce: string): (method: string, uri: string) => string {
  const { realm, nonce, opaque, algorithm, qop } = challenge
  const isSession = algorithm?.toUpperCase().endsWith('-SESS') === true
  const hash = (...parts: string[]) =>
    createHash(hashOf(challenge) ?? 'md5')
      .update(parts.join(':'), 'latin1')
      .digest('hex')
  const secret = hash(username, realm, password)
  const first = isSession ? hash(secret, nonce, clientNonce) : secret
  let count = 0
  return (method, uri) => {
    const times = (++count).toString(16).padStart(8, '0')
    const second = hash(method, uri)
    const response = qop ? hash(first, nonce, times, clientNonce, 'auth', second) : hash(first, nonce, second)
    return `Digest ${[
      ...[quoted('username', username), quoted('realm', realm), quoted('nonce', nonce), quoted('uri', uri), quoted('response', response)],
      ...(algorithm === undefined ? [] : [`algorithm=${algorithm}`]),
      ...(opaque === undefined ? [] : [quoted('opaque', opaque)]),
      ...(qop ? ['qop=auth', `nc=${times}`] : []),
      ...(qop || isSession ? [quoted('cnonce', clientNonce)] : []),
    ].join(', ')}`
  }
}

/** A line break would end the header. */
const quoted = (name: string, value: string): string => `${name}="${value.replaceAll(/[\r\n]/g, '').replaceAll(/["\\]/g, String.raw`\$&`)}"`
