// Between ffmpeg and an RTSP camera stand two conversations. Towards ffmpeg the relay is a plain server with one track. Towards the camera
// it is a client of its own: it names the stream as the user does, carries the password, which ffmpeg never sees, keeps the session alive,
// ends it, and forgives what players forgive. Nothing passes that leads elsewhere.
import { Failure, messageOf } from '../../common/errors.ts'
import type { RtpCodec } from '../../proto/camera.ts'
import type { Credentials } from '../../common/net/credentials.ts'
import { Authorization, safeChallenge, type LoginMemory } from '../../common/net/authorization.ts'
import type { Headers } from './headers.ts'
import { KeepAlive, type Lapses } from './keep-alive.ts'
import type { Datagrams } from './datagrams.ts'
import { refusalOf } from './refusals.ts'
import { Rtp } from './rtp.ts'
import type { SenderClock } from './sender-clock.ts'
import { descriptionOf, readDescription, type Track } from './sdp.ts'
import { channelsOf, clientPorts, isByTcp, isByUdp, serverPorts } from './transport.ts'
import { UnitReader, type Message, type Unit } from './units.ts'
import { namesOf, type Names } from './urls.ts'

/** What was learnt of a camera, by its relays, for later ones. */
export type Learnt = Lapses &
  LoginMemory & {
    /** How often a track was silent: the next one is tried then. */
    silences: number
  }

export type RtspOptions = {
  /** `rtsp://camera.example:554/path`, as the user wrote it. */
  url: string
  credentials: Credentials | undefined
  /** Where RTP comes by UDP, beside this connection. */
  udp?: Pick<Datagrams, 'ports' | 'connect'> | undefined
  /** Of no other codec ffmpeg is told. */
  codecs: readonly RtpCodec[]
  learnt: Learnt
  cameraClock?: SenderClock
}

/** What to send on, and to whom; `failure`: then the connection ends. */
export type Passed = { toFfmpeg: Buffer[]; toCamera: Buffer[]; failure?: Failure }

type Asked = {
  method: string
  /** The camera's names that have not been refused, the one in use first. Empty: names are no matter yet. */
  names: readonly Names[]
  headers: readonly string[]
  /** Signed so often because of a challenge. */
  tries: number
  cseq: number
  /** ffmpeg's own number, where it waits for the answer. */
  answers: string | undefined
}

/** Longer than any session: ffmpeg need not keep it alive. */
const FFMPEG_SESSION = 'Session: 1;timeout=86400'
const UNANSWERED_MAX = 16

export class RtspSession {
  readonly #options: RtspOptions
  readonly #authorization: Authorization | undefined
  readonly #requests = new UnitReader()
  /** Where ffmpeg listens, by UDP. */
  #ffmpegPorts = ''
  readonly #answers = new UnitReader()
  readonly keepAlive: KeepAlive
  #cseq = 0
  #userAgent: string | undefined
  /** The last request, until it is answered. */
  #asked: Asked | undefined
  /** Numbers of requests before, whose answers no longer matter. */
  readonly #unanswered = new Set<number>()
  #track: Track | undefined
  #names: readonly Names[] = []
  #sessionId: string | undefined
  #rtp: Rtp | undefined
  #phase: 'opening' | 'set up' | 'playing' | 'tearing down' | 'over' = 'opening'
  /** How many tracks the camera offers. */
  tracks = 0

  constructor(options: RtspOptions) {
    this.#options = options
    this.#authorization = options.credentials === undefined ? undefined : new Authorization(options.credentials)
    this.keepAlive = new KeepAlive(options.learnt)
  }

  /** The camera agreed to PLAY, or sends what it was to play. */
  get playing(): boolean {
    return this.#phase === 'playing'
  }

  /** The camera has answered TEARDOWN, or has no session. */
  get over(): boolean {
    return this.#phase === 'over'
  }

  /** The track's RTP ended, by RTCP BYE, and nothing has come since. */
  get saidBye(): boolean {
    return this.#rtp?.saidBye === true
  }

  /** Of RTP of the track, so far. */
  get packets(): number {
    return this.#rtp?.packets ?? 0
  }

  /** How the body of an answer is still open: `flush` takes it for complete. */
  get openBody(): UnitReader['openBody'] {
    return this.#answers.openBody
  }

  /** ffmpeg's bytes. */
  request(chunk: Buffer): Passed {
    return passing(passed => {
      for (const unit of this.#requests.read(chunk)) {
        if (unit.kind === 'message') this.#request(unit, passed)
        else if (this.playing && this.#rtp?.toCamera(unit.bytes) === true) passed.toCamera.push(unit.bytes)
      }
    })
  }

  /** The camera's bytes. What it returns may lie in the chunk's memory. */
  response(chunk: Buffer): Passed {
    return this.#responses(this.#answers.read(chunk))
  }

  /** Nothing more comes of an answer whose length is not known, or wrong. */
  flush(): Passed {
    return this.#responses(this.#answers.flush())
  }

  /** A sign of life for the camera; undefined where none is due. */
  nextKeepAlive(): Buffer | undefined {
    return this.playing ? this.#ask(this.keepAlive.next(), this.#names, []) : undefined
  }

  /** The request that ends the session; undefined where there is none to end. */
  teardown(): Buffer | undefined {
    if (this.#phase === 'opening' || this.#phase === 'tearing down' || this.#phase === 'over') {
      if (this.#phase === 'opening') this.#phase = 'over'
      return undefined
    }
    this.#phase = 'tearing down'
    return this.#ask('TEARDOWN', this.#names, [])
  }

  #responses(units: Iterable<Unit>): Passed {
    return passing(passed => {
      for (const unit of units) {
        if (unit.kind === 'frame') this.#frame(unit.bytes, passed)
        else if (unit.status === undefined) this.#asksUs(unit, passed)
        else this.#answer(unit, unit.status, passed)
      }
    })
  }

  #request({ headers }: Message, passed: Passed): void {
    const method = headers.first.split(' ', 1)[0] ?? ''
    const cseq = headers.get('cseq') ?? '0'
    this.#userAgent ??= headers.get('user-agent')
    const ask = (names: readonly Names[], lines: readonly string[]) => passed.toCamera.push(this.#ask(method, names, lines, cseq))
    switch (method) {
      case 'OPTIONS':
        if (this.#track === undefined) return void ask([], [])
        return void passed.toFfmpeg.push(toFfmpeg(cseq)) // a keep-alive, which is ours to send
      case 'DESCRIBE':
        return void ask([], ['Accept: application/sdp'])
      case 'SETUP':
        return void ask(this.#names, [`Transport: ${this.#askedTransport(headers.get('transport') ?? '')}`])
      case 'PLAY':
        return void ask(this.#names, [`Range: ${headers.get('range') ?? 'npt=0.000-'}`])
      case 'TEARDOWN': {
        const teardown = this.teardown()
        if (teardown !== undefined) passed.toCamera.push(teardown)
        return void passed.toFfmpeg.push(toFfmpeg(cseq))
      }
      default:
        return void passed.toFfmpeg.push(toFfmpeg(cseq))
    }
  }

  #ask(method: string, names: readonly Names[], headers: readonly string[], answers?: string): Buffer {
    if (this.#asked !== undefined) {
      this.#unanswered.add(this.#asked.cseq)
      if (this.#unanswered.size > UNANSWERED_MAX) this.#unanswered.clear()
    }
    this.#asked = { method, names, headers, tries: 0, cseq: ++this.#cseq, answers }
    return this.#signed(this.#asked)
  }

  #signed({ method, names, headers, cseq }: Asked): Buffer {
    const { url } = this.#options
    const uri = (method === 'SETUP' ? names[0]?.track : names[0]?.session) ?? url
    const authorization = this.#authorization?.header(method, uri)
    const lines = [
      `${method} ${uri} RTSP/1.0`,
      `CSeq: ${cseq}`,
      ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
      ...(this.#userAgent === undefined ? [] : [`User-Agent: ${this.#userAgent}`]),
      ...headers,
      ...(this.#sessionId === undefined ? [] : [`Session: ${this.#sessionId}`]),
    ]
    return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  }

  /** The camera's own requests are answered here: ffmpeg knows nothing of its numbers. */
  #asksUs({ headers }: Message, passed: Passed): void {
    const method = headers.first.split(' ', 1)[0] ?? ''
    if (method === 'REDIRECT') throw refusalOf(method, 302, '', false)
    const isKnown = /^(OPTIONS|GET_PARAMETER|SET_PARAMETER|ANNOUNCE|TEARDOWN)$/.test(method)
    const cseq = headers.get('cseq')
    const session = headers.get('session')
    const lines = [
      `RTSP/1.0 ${isKnown ? '200 OK' : '501 Not Implemented'}`,
      ...(cseq === undefined ? [] : [`CSeq: ${cseq}`]),
      ...(session === undefined ? [] : [`Session: ${session}`]),
      ...(method === 'OPTIONS' ? ['Public: OPTIONS, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, TEARDOWN'] : []),
    ]
    passed.toCamera.push(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
    if (method === 'TEARDOWN' && this.playing) {
      this.#phase = 'over'
      throw new Failure('StreamEnded', 'the camera ended the session')
    }
  }

  #answer({ headers, body }: Message, status: number, passed: Passed): void {
    const asked = this.#asked
    // Requests follow one another: the next answer is the last one's, whatever number it bears, unless that is an older request's.
    if (status < 200 || asked === undefined || this.#unanswered.delete(Number(headers.get('cseq')))) return
    const { method } = asked
    if (status >= 300 && status < 400) throw refusalOf(method, status, headers.first, true)
    this.#sessionId = sessionIdOf(headers) ?? this.#sessionId
    const again = status === 401 ? this.#challenged(asked, headers) : status < 300 ? undefined : this.#otherwise(asked, status)
    if (again !== undefined) return void passed.toCamera.push(again)
    this.#asked = undefined
    if (method === 'TEARDOWN') this.#phase = 'over'
    // A sign of life counts, however it is answered.
    else if (asked.answers === undefined) this.keepAlive.answered(method, status)
    else if (status < 300) passed.toFfmpeg.push(this.#agreed(asked, headers, body))
    else if (method === 'OPTIONS' && status !== 401) passed.toFfmpeg.push(toFfmpeg(asked.answers))
    else throw refusalOf(method, status, headers.first, this.#authorization !== undefined)
  }

  /** The same request with an answer to the camera's challenge; undefined when there is none, or the password has been refused. Throws Failure. */
  #challenged(asked: Asked, headers: Headers): Buffer | undefined {
    const values = headers.all('www-authenticate')
    if (this.#authorization === undefined || values.length === 0) return undefined
    const challenge = safeChallenge(values, this.#options.learnt)
    if (asked.tries > (challenge.stale ? 1 : 0)) return undefined
    this.#authorization.challenge(challenge)
    asked.tries++
    asked.cseq = ++this.#cseq
    return this.#signed(asked)
  }

  /** The request as the camera may like it better: by another name, or without a range. Undefined where there is nothing left to try. */
  #otherwise(asked: Asked, status: number): Buffer | undefined {
    const { method, names, headers } = asked
    if (method === 'PLAY' && (status === 457 || status === 400) && headers.length > 0) asked.headers = []
    else if ((method === 'SETUP' || method === 'PLAY') && isOfName(status) && names.length > 1) asked.names = othersThan(names, method)
    else return undefined
    if (asked.names.length === 0 && names.length > 0) return undefined
    asked.tries = 0
    asked.cseq = ++this.#cseq
    return this.#signed(asked)
  }

  /** What ffmpeg hears of an agreement. */
  #agreed({ method, names, answers = '' }: Asked, headers: Headers, body: Buffer): Buffer {
    switch (method) {
      case 'OPTIONS':
        this.keepAlive.listed(headers.get('public') ?? '')
        return toFfmpeg(answers)
      case 'DESCRIBE':
        return toFfmpeg(answers, ['Content-Type: application/sdp'], this.#described(headers, body))
      case 'SETUP':
        // Some play their tracks one by one.
        this.#names = [
          ...names,
          ...this.#names.filter(name => !names.includes(name)),
          ...names.slice(0, 1).map(({ track }) => ({ track, session: track })),
        ]
        this.#phase = 'set up'
        this.keepAlive.timeout(headers.get('session') ?? '')
        return toFfmpeg(answers, [FFMPEG_SESSION, `Transport: ${this.#transport(headers.get('transport'))}`])
      default:
        this.#names = names
        return this.#plays(answers)
    }
  }

  #described(headers: Headers, body: Buffer): string {
    const { url, codecs, learnt } = this.#options
    const { control, tracks } = readDescription(body.toString('latin1'), codecs)
    this.tracks = tracks.length
    this.#track = tracks[learnt.silences % tracks.length] ?? tracks[0]
    this.#names = namesOf({
      url: url,
      base: headers.get('content-base') ?? headers.get('content-location'),
      sessionControl: control,
      trackControl: this.#track.control,
    })
    return descriptionOf(this.#track)
  }

  /** By UDP the camera sends to our ports. */
  #askedTransport(asked: string): string {
    const { udp } = this.#options
    this.#ffmpegPorts = clientPorts(asked) ?? ''
    return udp === undefined ? asked : asked.replace(/client_port=[\d-]+/i, `client_port=${udp.ports}`)
  }

  #transport(answered: string | undefined): string {
    const { udp } = this.#options
    const payload = this.#track?.payload ?? 0
    if (udp === undefined) {
      if (isByUdp(answered)) throw refusalOf('SETUP', 461, '', false)
      this.#rtp = new Rtp(payload, channelsOf(answered, { rtp: 0, rtcp: 1 }), this.#options.cameraClock)
      return 'RTP/AVP/TCP;unicast;interleaved=0-1'
    }
    if (isByTcp(answered)) throw refusalOf('SETUP', 461, '', false)
    // Whatever address the camera claims, it is spoken to at its own.
    udp.connect(this.#ffmpegPorts, serverPorts(answered), payload)
    return `RTP/AVP;unicast;client_port=${this.#ffmpegPorts};server_port=${udp.ports};source=127.0.0.1`
  }

  #plays(answers: string): Buffer {
    this.#phase = 'playing'
    return toFfmpeg(answers, [FFMPEG_SESSION])
  }

  #frame(bytes: Buffer, passed: Passed): void {
    if (this.#rtp?.toFfmpeg(bytes) !== true) return
    const asked = this.#asked
    if (this.#phase === 'set up' && asked?.method === 'PLAY' && asked.answers !== undefined) {
      // What it sends is its agreement. Its answer may come yet, or never.
      passed.toFfmpeg.push(this.#plays(asked.answers))
      this.#asked = { ...asked, answers: undefined }
    }
    if (this.playing) extend(passed.toFfmpeg, bytes)
  }
}

/** What came before a failure is passed all the same. */
function passing(step: (passed: Passed) => void): Passed {
  const passed: Passed = { toFfmpeg: [], toCamera: [] }
  try {
    step(passed)
  } catch (error) {
    passed.failure = error instanceof Failure ? error : new Failure('InternalError', messageOf(error))
  }
  return passed
}

/** Frames that lie one behind the other are sent as one. */
function extend(buffers: Buffer[], bytes: Buffer): void {
  const last = buffers.at(-1)
  if (last !== undefined && last.buffer === bytes.buffer && last.byteOffset + last.length === bytes.byteOffset) {
    buffers[buffers.length - 1] = Buffer.from(last.buffer, last.byteOffset, last.length + bytes.length)
  } else buffers.push(bytes)
}

function toFfmpeg(cseq: string, headers: readonly string[] = [], body = ''): Buffer {
  const lines = ['RTSP/1.0 200 OK', `CSeq: ${cseq}`, ...headers, `Content-Length: ${body.length}`]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1')
}

const sessionIdOf = (headers: Headers): string | undefined => headers.get('session')?.split(';', 1)[0]?.trim() || undefined

/** The stream may be known by another name. */
const isOfName = (status: number): boolean => [400, 404, 451, 454, 455, 459, 460, 500].includes(status)

/** Those that say something else for this method. */
function othersThan([refused, ...others]: readonly Names[], method: string): Names[] {
  const nameOf = (names: Names) => (method === 'SETUP' ? names.track : names.session)
  return refused === undefined ? [] : others.filter(other => nameOf(other) !== nameOf(refused))
}
