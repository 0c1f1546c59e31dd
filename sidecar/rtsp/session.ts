// What stands between ffmpeg and an RTSP camera. ffmpeg speaks to a relay of ours: towards the camera its requests name the camera as
// the user does (servers know streams by their whole URL) and carry the password, which ffmpeg never sees. From the camera nothing
// passes that leads elsewhere.
import { isIPv6 } from 'node:net'
import { Failure } from '../../common/errors.ts'
import { Authorization, challengeOf } from './authorization.ts'
import { HeaderWatch, Units, type Message } from './units.ts'
import { checkDescription } from './sdp.ts'
import type { Credentials } from '../source/credentials.ts'

export type RtspOptions = {
  /** `rtsp://camera.example:554`, of the URL that the user gave, and of the relay. */
  cameraOrigin: string
  relayOrigin: string
  credentials: Credentials | undefined
  /** The camera's address, where RTP goes by UDP beside this connection; ffmpeg is told no other. */
  udpSource: string | undefined
}

/** What to send on, and to whom. */
export type Passed = { toFfmpeg: Buffer[]; toCamera: Buffer[] }

type Asked = {
  method: string
  /** As ffmpeg wrote it. */
  message: Message
  tries: number
  /** Of the last try; NaN where the request has none. */
  cseq: number
}

export class RtspSession {
  readonly #options: RtspOptions
  readonly #authorization: Authorization | undefined
  readonly #requests = new Units()
  readonly #answers = new Units()
  readonly #headers = new HeaderWatch()
  /** The last request. */
  #asked: Asked | undefined
  /** Requests that ffmpeg knows nothing of: each takes a number of its own. */
  #repeated = 0
  #playing = false

  constructor(options: RtspOptions) {
    this.#options = options
    this.#authorization = options.credentials === undefined ? undefined : new Authorization(options.credentials)
  }

  /** The camera agreed to PLAY: what follows is video. ffmpeg looks at redirects only until then. */
  get playing(): boolean {
    return this.#playing
  }

  /** ffmpeg's bytes, as they go on to the camera. */
  request(chunk: Buffer): Buffer[] {
    const passed: Buffer[] = []
    this.#requests.push(chunk)
    for (let unit = this.#requests.next(); unit !== undefined; unit = this.#requests.next()) {
      passed.push(unit.kind === 'frame' ? unit.bytes : this.#ask(unit))
    }
    return passed
  }

  /** The camera's bytes until it plays: whole messages. Throws Failure where nothing of them may pass. */
  response(chunk: Buffer): Passed {
    const passed: Passed = { toFfmpeg: [], toCamera: [] }
    this.#answers.push(chunk)
    while (!this.#playing) {
      const unit = this.#answers.next()
      if (unit === undefined) return passed
      if (unit.kind === 'frame') passed.toFfmpeg.push(unit.bytes)
      else this.#answer(unit, passed)
    }
    const rest = this.#answers.take()
    passed.toFfmpeg.push(rest)
    passed.toCamera.push(...this.watch(rest))
    return passed
  }

  /** The camera's bytes while it plays, which pass as they are. Returns what to ask the camera again: it challenges even then. */
  watch(chunk: Buffer): Buffer[] {
    if (this.#authorization === undefined) return NOTHING
    const headers = this.#headers.push(chunk)
    return headers.length === 0 ? NOTHING : headers.flatMap(header => this.#tryAgain(header) ?? [])
  }

  #ask(message: Message): Buffer {
    const method = message.header.slice(0, message.header.indexOf(' '))
    this.#asked = { method, message, tries: 0, cseq: cseqOf(message.header) + this.#repeated }
    return this.#signed(this.#asked)
  }

  #answer(message: Message, passed: Passed): void {
    const { status, header, body } = message
    if ((status !== undefined && status >= 300 && status < 400) || header.startsWith('REDIRECT ')) {
      throw new Failure('RedirectRefused', 'the camera redirects to another address, which is refused')
    }
    const again = this.#tryAgain(header)
    if (again !== undefined) return void passed.toCamera.push(again)
    if (status === 200 && /\r\nContent-Type: *application\/sdp/i.test(header)) checkDescription(body.toString('latin1'))
    if (status === 200 && this.#asked?.method === 'PLAY' && isAnswer(header, this.#asked)) this.#playing = true
    passed.toFfmpeg.push(this.#seenByFfmpeg(message))
  }

  /** The same request with an answer to the camera's challenge; undefined when there is none, or the password has been refused. */
  #tryAgain(header: string): Buffer | undefined {
    const asked = this.#asked
    if (!/^RTSP\/\d\.\d 401\b/.test(header) || asked === undefined || this.#authorization === undefined) return undefined
    const challenge = challengeOf(header)
    if (challenge === undefined || !isAnswer(header, asked) || asked.tries > (challenge.stale ? 1 : 0)) return undefined
    asked.tries++
    asked.cseq++
    this.#repeated++
    this.#authorization.challenge(challenge)
    return this.#signed(asked)
  }

  #signed({ method, message: { header, body }, cseq }: Asked): Buffer {
    const { relayOrigin, cameraOrigin } = this.#options
    const [first = '', ...others] = header.split('\r\n')
    const [, url = '', version = ''] = first.split(' ')
    const isOurs = url.startsWith(relayOrigin) && /^[/?]?$/.test(url.charAt(relayOrigin.length))
    const uri = isOurs ? cameraOrigin + url.slice(relayOrigin.length) : url
    const authorization = this.#authorization?.header(method, uri)
    const lines = [
      `${method} ${uri} ${version}`,
      ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
      ...others.map(line => (this.#repeated > 0 && /^CSeq:/i.test(line) ? `CSeq: ${cseq}` : line)),
    ]
    return Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), body])
  }

  #seenByFfmpeg({ bytes, header, body, status }: Message): Buffer {
    const { udpSource } = this.#options
    const renumbered = status === undefined || this.#repeated === 0 ? header : withCseq(header, cseqOf(header) - this.#repeated)
    const timed = status === undefined ? renumbered : withoutRtpInfo(renumbered)
    const told = udpSource === undefined ? timed : withSource(timed, udpSource)
    return told === header ? bytes : Buffer.concat([Buffer.from(told, 'latin1'), body])
  }
}

const NOTHING: Buffer[] = []

const cseqOf = (header: string): number => Number(/\r\nCSeq: *(\d+)/i.exec(header)?.[1] ?? Number.NaN)

/** Some cameras don't say what they answer. */
const isAnswer = (header: string, { cseq }: Asked): boolean => [cseq, Number.NaN].includes(cseqOf(header))

const withCseq = (header: string, cseq: number): string => header.replace(/(?<=\r\nCSeq: *)\d+/i, String(cseq))

/**
 * Cameras announce a first RTP time that is not that of their first packet. ffmpeg counts from it, so times that come before it would be
 * negative. Without the header ffmpeg counts from the first packet.
 */
const withoutRtpInfo = (header: string): string => header.replace(/\r\nRTP-Info *:[^\r\n]*(\r\n[ \t][^\r\n]*)*/gi, '')

/** RTP by UDP is sent and answered by the camera itself, whatever address it claims. */
const withSource = (header: string, address: string): string =>
  header.replace(/(?<=\r\nTransport: *)[^\r\n]+/i, transport => {
    const parts = transport.split(';').filter(part => !/^\s*source=/i.test(part))
    return [...parts, `source=${isIPv6(address) ? `[${address}]` : address}`].join(';')
  })
