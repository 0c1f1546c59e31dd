// SOAP calls to one device: four lines of envelope, a WS-Security UsernameToken, and the device's answer, bounded and checked. Everything is
// asked of the host that the user named, whatever host an answer names; a redirect is refused.
import { createHash, randomBytes } from 'node:crypto'
import type { LookupAddress } from 'node:dns'
import { Failure } from '../errors.ts'
import { ask, type Answer } from '../net/ask.ts'
import { Authorization, safeChallenge, type LoginMemory } from '../net/authorization.ts'
import { connectFailure } from '../net/connect-failure.ts'
import type { CameraTrust } from '../net/camera-tls.ts'
import type { Credentials } from '../net/credentials.ts'
import { hostOf, type Target } from '../net/target.ts'
import { scrub } from '../text.ts'
import { escaped, find, parseXml, textOf, type Element } from './xml.ts'

const ANSWER_BYTES_MAX = 2 * 2 ** 20
const CALL_MS = 5_000

export type Device = {
  /** The device service. */
  target: Target
  /** Of its host, as the policy allows them. */
  addresses: readonly LookupAddress[]
  credentials: Credentials | undefined
  /** Kept from one connection to the next, so that the device cannot ask for a weaker login later. */
  memory: LoginMemory
  /** Whose certificate is taken for the device's. */
  trust?: CameraTrust | undefined
  /** Asked before the credentials are sent: false where it is too soon after the last time. */
  mayLogIn?: () => Promise<boolean>
}

type Heard = { body: Element | undefined; challenges: readonly string[]; date: string; refused: boolean }

export class SoapClient {
  readonly #device: Device
  readonly #signal: AbortSignal
  readonly #authorization: Authorization | undefined
  /** `sent`: the device has got the user name and a digest once. `accepted`: and answered. */
  #login: 'none' | 'sent' | 'accepted' = 'none'
  /** The device's clock, from ours. */
  #offsetMs = 0

  constructor(device: Device, signal: AbortSignal) {
    this.#device = device
    this.#signal = signal
    this.#authorization = device.credentials === undefined ? undefined : new Authorization(device.credentials)
  }

  /** Learns what time it is there: digests are good for some minutes only. Some devices tell it to users only, but each answer has a date. */
  async learnClock(): Promise<void> {
    const request = '<GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/>'
    const { body, date, refused } = await this.#send(this.#device.target, 'GetSystemDateAndTime', request)
    const told = refused ? undefined : timeIn(find(body, 'GetSystemDateAndTimeResponse', 'SystemDateAndTime', 'UTCDateTime'))
    const deviceMs = told ?? Date.parse(date)
    if (Number.isFinite(deviceMs)) this.#offsetMs = deviceMs - Date.now()
  }

  /**
   * The answer to `request`, whose element is `name`. Credentials are sent once the device asks for them, and not again after it rejects them.
   * Throws Failure.
   */
  async call(target: Target, name: string, request: string): Promise<Element> {
    let heard = await this.#send(target, name, request)
    if (heard.refused && (await this.#mayLogIn(heard.challenges))) heard = await this.#send(target, name, request)
    if (heard.refused)
      throw new Failure('OnvifAuthFailed', `the device rejects the user name or password, or this user may not ask ${name}`)
    if (this.#login === 'sent') this.#login = 'accepted'
    const answer = find(heard.body, `${name}Response`)
    if (answer !== undefined) return answer
    const fault = find(heard.body, 'Fault')
    if (fault === undefined) throw new Failure('OnvifInvalidAnswer', `the device’s answer to ${name} is something else`)
    const why = scrub(faultText(fault), this.#secrets()).slice(0, 120)
    throw new Failure('OnvifRefused', `the device refuses ${name}${why === '' ? '' : `: ${why}`}`)
  }

  /** True: ask again, now with the credentials. */
  async #mayLogIn(challenges: readonly string[]): Promise<boolean> {
    if (this.#authorization === undefined) {
      throw new Failure('OnvifAuthFailed', 'the device asks for a user name and password, and no Secret is named')
    }
    if (this.#login === 'sent' || (this.#login === 'accepted' && challenges.length === 0)) return false
    if (this.#login === 'none' && (await this.#device.mayLogIn?.()) === false) throw new Failure('OnvifLoginWaits')
    if (challenges.length > 0) this.#authorization.challenge(safeChallenge(challenges, this.#device.memory))
    if (this.#login === 'none') this.#login = 'sent'
    return true
  }

  async #send({ origin, path }: Target, name: string, request: string): Promise<Heard> {
    const { addresses, credentials, trust } = this.#device
    const isKnown = this.#login !== 'none'
    const header = isKnown && credentials !== undefined ? securityHeader(credentials, Date.now() + this.#offsetMs) : ''
    const body = Buffer.from(
      `<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">${header}<s:Body>${request}</s:Body></s:Envelope>`,
    )
    const authorization = isKnown ? this.#authorization?.header('POST', path) : undefined
    const lines = [
      `POST ${path} HTTP/1.1`,
      `Host: ${hostOf(origin)}`,
      'Content-Type: application/soap+xml; charset=utf-8',
      `Content-Length: ${body.length}`,
      ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
      'Accept-Encoding: identity',
      'Connection: close',
    ]
    const late = AbortSignal.timeout(CALL_MS)
    try {
      using answer = await ask(origin, addresses, lines, () => {}, AbortSignal.any([this.#signal, late]), { body, trust })
      return await heardOf(answer, name)
    } catch (error) {
      if (late.aborted) throw new Failure('ConnectTimeout', `the device does not answer ${name} within ${CALL_MS / 1000} s`)
      throw error instanceof Error ? connectFailure(error, { phase: 'connecting' }) : error
    }
  }

  #secrets(): readonly string[] {
    const { credentials } = this.#device
    return credentials === undefined ? [] : [credentials.password, credentials.username]
  }
}

async function heardOf(answer: Answer, name: string): Promise<Heard> {
  const { status, fields } = answer
  if (status >= 300 && status < 400) throw new Failure('RedirectRefused', `the device redirects ${name} (${status}), which is not followed`)
  const challenges = status === 401 ? fields.all('www-authenticate') : []
  const date = fields.last('date')
  const text = await bodyOf(answer)
  let envelope: Element | undefined
  try {
    envelope = parseXml(text)
  } catch (error) {
    if (status === 401 || status === 403) return { body: undefined, challenges, date, refused: true }
    if (status === 404) throw new Failure('OnvifInvalidAnswer', 'there is no ONVIF service at this address (404)')
    throw error
  }
  const body = find(envelope, 'Body')
  if (envelope.name !== 'Envelope' || body === undefined)
    throw new Failure('OnvifInvalidAnswer', `the device’s answer to ${name} is no SOAP`)
  const fault = find(body, 'Fault')
  return { body, challenges, date, refused: status === 401 || status === 403 || (fault !== undefined && isOfLogin(fault)) }
}

async function bodyOf({ body }: Answer): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > ANSWER_BYTES_MAX) throw new Failure('OnvifInvalidAnswer', 'the device’s answer is refused: it is longer than 2 MiB')
    chunks.push(Buffer.from(chunk))
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** PasswordDigest of the UsernameToken profile: Base64(SHA-1(nonce + created + password)). */
function securityHeader({ username, password }: Credentials, atMs: number): string {
  const nonce = randomBytes(16)
  const created = new Date(atMs).toISOString()
  const digest = createHash('sha1').update(nonce).update(created).update(password).digest('base64')
  const oasis = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss'
  return [
    `<s:Header><Security s:mustUnderstand="1" xmlns="${oasis}-wssecurity-secext-1.0.xsd"><UsernameToken>`,
    `<Username>${escaped(username)}</Username>`,
    `<Password Type="${oasis}-username-token-profile-1.0#PasswordDigest">${digest}</Password>`,
    `<Nonce EncodingType="${oasis}-soap-message-security-1.0#Base64Binary">${nonce.toString('base64')}</Nonce>`,
    `<Created xmlns="${oasis}-wssecurity-utility-1.0.xsd">${created}</Created>`,
    '</UsernameToken></Security></s:Header>',
  ].join('')
}

/** SOAP 1.2, or 1.1. */
const faultText = (fault: Element): string => textOf(find(fault, 'Reason', 'Text')) || textOf(find(fault, 'faultstring'))

function isOfLogin(fault: Element): boolean {
  const codes = [find(fault, 'Code', 'Subcode', 'Value'), find(fault, 'Code', 'Subcode', 'Subcode', 'Value'), find(fault, 'faultcode')]
  if (codes.some(code => /NotAuthorized|FailedAuthentication|InvalidSecurity/i.test(textOf(code)))) return true
  return /not authori[sz]ed|unauthori[sz]ed|authority failure|authenticat/i.test(faultText(fault))
}

function timeIn(utc: Element | undefined): number | undefined {
  const number = (...path: string[]) => Number(textOf(find(utc, ...path)) || Number.NaN)
  const date = (name: string) => number('Date', name)
  const time = (name: string) => number('Time', name)
  const ms = Date.UTC(date('Year'), date('Month') - 1, date('Day'), time('Hour'), time('Minute'), time('Second'))
  return Number.isFinite(ms) ? ms : undefined
}
