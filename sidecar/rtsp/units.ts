// RTSP's byte stream cut into units (RFC 2326): messages, and interleaved frames of RTP. It forgives what players forgive, and keeps no
// more than one unit.
import { Failure } from '../../common/errors.ts'
import { readHeaders, type Headers } from './headers.ts'

const HEADER_MAX = 64 * 1024
const BODY_MAX = 1024 * 1024
const DOLLAR = 0x24
/** Cameras number their channels from 0. */
const CHANNEL_MAX = 16

/** `status` is a response's, undefined for a request. */
export type Message = { kind: 'message'; bytes: Buffer; headers: Headers; body: Buffer; status: number | undefined }
/** `bytes` begin with the four of the interleaving header. */
export type Frame = { kind: 'frame'; channel: number; bytes: Buffer }
export type Unit = Frame | Message

/** A unit whose end has not come, in memory of its own. */
type Part = { bytes: Buffer; filled: number; size: number | undefined }
/** `next`: where to go on in the chunk, behind `again` where bytes that were held are looked at again. */
type Step = { next: number; unit?: Unit; again?: Buffer }
/** `bodySize`: Infinity where no length is given, undefined for what is no message. */
type Begun = { headers: Headers; status: number | undefined; bodyAt: number; bodySize: number | undefined }

export class UnitReader {
  #part: Part | undefined
  /** The header of the message that is being read, once it is complete. */
  #begun: Begun | undefined
  /** Bytes of the current unit in which no end of a header was found. */
  #scanned = 0
  /** Something was RTSP: garbage behind it is skipped. */
  #isRtsp = false
  #isLost = false

  /** A message has begun whose body is shorter than announced so far (`short`), or of no announced length (`endless`). */
  get openBody(): 'short' | 'endless' | undefined {
    if (this.#begun === undefined) return undefined
    return this.#begun.bodySize === Infinity ? 'endless' : 'short'
  }

  /**
   * The units that `chunk` completes, to be taken at once: their bytes may lie in the chunk's own memory. Throws Failure InvalidStream for
   * what is no RTSP. How the stream is cut into chunks makes no difference.
   */
  *read(chunk: Buffer): Generator<Unit> {
    let bytes = chunk
    for (let at = 0; at < bytes.length;) {
      const { next, unit, again } = this.#part === undefined ? this.#readFresh(bytes, at) : this.#readMore(this.#part, bytes, at)
      if (unit !== undefined) yield unit
      at = again === undefined ? next : 0
      if (again !== undefined) bytes = Buffer.concat([again, bytes.subarray(next)])
    }
  }

  /** Takes a body for complete: nothing more comes, though no length or a longer one was announced. */
  flush(): Unit[] {
    const part = this.#part
    if (part === undefined || this.#begun === undefined) return []
    return [this.#unitOf(part.bytes.subarray(0, part.filled))]
  }

  #readFresh(chunk: Buffer, at: number): Step {
    const rest = chunk.subarray(at)
    const size = this.#measure(rest)
    if (size === 'garbage') return { next: at + this.#skip(rest) }
    if (size === undefined || size > rest.length) {
      this.#part = { bytes: Buffer.from(rest), filled: rest.length, size }
      return { next: chunk.length }
    }
    return { next: at + size, unit: this.#unitOf(rest.subarray(0, size)) }
  }

  #readMore(part: Part, chunk: Buffer, at: number): Step {
    const isFrame = !this.#isLost && part.bytes[0] === DOLLAR
    const wanted = part.size === undefined ? (isFrame ? 4 - part.filled : chunk.length) : part.size - part.filled
    const added = chunk.subarray(at, at + wanted)
    append(part, added)
    const next = at + added.length
    if (part.size === undefined) {
      const bytes = part.bytes.subarray(0, part.filled)
      const size = this.#measure(bytes)
      if (size === 'garbage') {
        this.#part = undefined
        return { next, again: bytes.subarray(this.#skip(bytes)) }
      }
      part.size = size
    }
    if (part.size === undefined || part.filled < part.size) return { next }
    return { next: next - (part.filled - part.size), unit: this.#unitOf(part.bytes.subarray(0, part.size)) }
  }

  /** Size of the unit that `bytes` begin with; undefined while that is not known, `garbage` when nothing begins here. */
  #measure(bytes: Buffer): number | 'garbage' | undefined {
    if (this.#isLost) return this.#measureLost(bytes)
    if (bytes[0] === DOLLAR) return bytes.length < 4 ? undefined : 4 + bytes.readUInt16BE(2)
    if (!/^(?:RTSP\/|rtsp\/|[A-Z_]{1,20}$|r(?:ts?)?p?$|[A-Z_]{3,20} )/.test(bytes.toString('latin1', 0, 21))) return 'garbage'
    const begun = (this.#begun ??= this.#headerOf(bytes))
    if (begun === undefined) {
      if (bytes.length > HEADER_MAX) throw new Failure('InvalidStream', 'the camera’s answer has no end')
      return undefined
    }
    if (begun.bodySize === undefined) {
      this.#begun = undefined
      return 'garbage'
    }
    const { bodyAt, bodySize } = begun
    if (bytes.length - bodyAt > BODY_MAX && bodySize === Infinity) throw tooLong()
    return bodySize === Infinity ? undefined : bodyAt + bodySize
  }

  /** Where garbage was, only what looks like a response or a frame of RTP ends it. */
  #measureLost(bytes: Buffer): number | 'garbage' | undefined {
    if (!mayBegin(bytes)) return 'garbage'
    if (bytes.length < 5) return undefined
    this.#isLost = false
    return this.#measure(bytes)
  }

  /** How many bytes of garbage go, at least one. Throws while nothing was RTSP yet. */
  #skip(bytes: Buffer): number {
    this.#scanned = 0
    if (!this.#isLost && (bytes[0] === 0x0d || bytes[0] === 0x0a)) return 1 // some put empty lines behind a body
    if (!this.#isRtsp) throw notRtsp()
    this.#isLost = true
    let skipped = 1
    while (skipped < bytes.length && !mayBegin(bytes.subarray(skipped, skipped + 5))) skipped++
    return skipped
  }

  #headerOf(bytes: Buffer): Begun | undefined {
    // Some cameras end lines with LF alone; ffmpeg takes that, and heeds no CR anywhere.
    const from = Math.max(0, this.#scanned - 16)
    const empty = /\n\r*\n/.exec(bytes.toString('latin1', from, HEADER_MAX))
    this.#scanned = Math.min(bytes.length, HEADER_MAX)
    if (empty === null) return undefined
    const bodyAt = from + empty.index + empty[0].length
    const headers = readHeaders(bytes.toString('latin1', 0, bodyAt))
    const status = /^RTSP\/\d\.\d +(\d{3})\b/i.exec(headers.first)?.[1]
    const isMessage = status !== undefined || /^[A-Z_]+ +\S+ +RTSP\/\d\.\d$/.test(headers.first)
    const size = isMessage ? bodySize(headers, status === '200') : undefined
    return { headers, status: status === undefined ? undefined : Number(status), bodyAt, bodySize: size }
  }

  #unitOf(bytes: Buffer): Unit {
    const begun = this.#begun
    this.#part = undefined
    this.#begun = undefined
    this.#scanned = 0
    this.#isRtsp = true
    if (begun === undefined) return { kind: 'frame', channel: bytes[1] ?? 0, bytes }
    return { kind: 'message', bytes, headers: begun.headers, status: begun.status, body: bytes.subarray(begun.bodyAt) }
  }
}

/** Grows by doubling, so that a stream of single bytes costs linear time too. */
function append(part: Part, added: Buffer): void {
  const needed = part.filled + added.length
  if (needed > part.bytes.length) {
    const grown = Buffer.allocUnsafe(part.size ?? Math.max(256, 2 * needed))
    part.bytes.copy(grown, 0, 0, part.filled)
    part.bytes = grown
  }
  added.copy(part.bytes, part.filled)
  part.filled = needed
}

/** A description without a length goes on until nothing more comes: Infinity. */
function bodySize(headers: Headers, isOk: boolean): number {
  const text = headers.get('content-length')
  const length = text === undefined ? undefined : /^\d+$/.exec(text) && Number(text)
  if (length === undefined || length === null) return isOk && /sdp/i.test(headers.get('content-type') ?? '') ? Infinity : 0
  if (length > BODY_MAX) throw tooLong()
  return length
}

/** As far as the first five bytes tell. */
function mayBegin(bytes: Buffer): boolean {
  if (bytes[0] !== DOLLAR) return 'RTSP/'.startsWith(bytes.toString('latin1', 0, 5))
  return (bytes[1] ?? 0) < CHANNEL_MAX && (bytes.length < 5 || ((bytes[4] ?? 0) & 0xc0) === 0x80)
}

const tooLong = () => new Failure('InvalidStream', 'the camera’s answer is too long')
const notRtsp = () => new Failure('InvalidStream', 'what answers does not speak RTSP')
