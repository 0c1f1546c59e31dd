// RTSP's byte stream cut into units (RFC 2326): messages, and interleaved frames of RTP.
import { Failure } from '../../common/errors.ts'

const HEADER_MAX = 64 * 1024
const BODY_MAX = 1024 * 1024

/** `header` ends with the empty line, all its lines with CRLF; `status` is an answer's, undefined for a request. */
export type Message = { kind: 'message'; bytes: Buffer; header: string; body: Buffer; status: number | undefined }
export type Unit = { kind: 'frame'; bytes: Buffer } | Message

export class Units {
  #pending: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
  }

  /** The next unit, once it is complete. Throws Failure InvalidStream for what is no RTSP. */
  next(): Unit | undefined {
    const unit = this.#first()
    if (unit !== undefined) this.#pending = this.#pending.subarray(unit.bytes.length)
    return unit
  }

  /** Everything that has not been asked for; nothing remains here. */
  take(): Buffer {
    const rest = this.#pending
    this.#pending = Buffer.alloc(0)
    return rest
  }

  #first(): Unit | undefined {
    const pending = this.#pending
    if (pending.length === 0) return undefined
    if (pending[0] === 0x24) {
      const size = pending.length < 4 ? Infinity : 4 + pending.readUInt16BE(2)
      return pending.length < size ? undefined : { kind: 'frame', bytes: pending.subarray(0, size) }
    }
    // An answer or a request, as far as it is there.
    if (!/^([A-Z_]{1,20}$|[A-Z_]{3,20}[ /])/.test(pending.toString('latin1', 0, 21))) throw notRtsp()
    const begun = headerOf(pending)
    if (begun === undefined && pending.length > HEADER_MAX) throw new Failure('InvalidStream', 'the camera’s answer has no end')
    if (begun === undefined) return undefined
    const { header, end } = begun
    const status = /^RTSP\/\d\.\d (\d{3})/.exec(header)?.[1]
    if (status === undefined && !/^[A-Z_]+ \S+ RTSP\/\d\.\d\r\n/.test(header)) throw notRtsp()
    const length = bodyLength(header)
    if (length > BODY_MAX) throw new Failure('InvalidStream', 'the camera’s answer is too long')
    const size = end + length
    if (pending.length < size) return undefined
    const bytes = pending.subarray(0, size)
    return { kind: 'message', bytes, header, body: bytes.subarray(end), status: status === undefined ? undefined : Number(status) }
  }
}

/** The headers of messages in between the frames of a playing camera, which is not held up for them. */
export class HeaderWatch {
  /** Bytes of the current unit that are still to come. */
  #skip = 0
  /** The beginning of a header. */
  #held: Buffer = Buffer.alloc(0)
  #lost = false

  push(chunk: Buffer): string[] {
    const headers: string[] = []
    for (let at = 0; at < chunk.length && !this.#lost;) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - at)
        this.#skip -= skipped
        at += skipped
        continue
      }
      const held = this.#held.length
      const seen = held === 0 ? chunk.subarray(at) : Buffer.concat([this.#held, chunk.subarray(at)])
      const size = this.#headerOf(seen, headers)
      this.#held = size === 0 ? Buffer.from(seen) : NOTHING
      at = size === 0 ? chunk.length : at + size - held
    }
    return headers
  }

  /** Size of the header that `seen` begins with, 0 while it is incomplete. */
  #headerOf(seen: Buffer, headers: string[]): number {
    if (seen[0] === 0x24) {
      if (seen.length < 4) return 0
      this.#skip = seen.readUInt16BE(2)
      return 4
    }
    const begun = headerOf(seen)
    if (begun === undefined) {
      this.#lost = seen.length > HEADER_MAX || !/^[A-Z]/.test(seen.toString('latin1', 0, 1))
      return 0
    }
    headers.push(begun.header)
    this.#skip = bodyLength(begun.header)
    return begun.end
  }
}

const NOTHING = Buffer.alloc(0)

/** The header that `bytes` begin with, and where it ends. Some cameras end lines with LF alone; ffmpeg takes that, and heeds no CR anywhere. */
function headerOf(bytes: Buffer): { header: string; end: number } | undefined {
  const text = bytes.toString('latin1', 0, HEADER_MAX)
  const empty = /\n\r*\n/.exec(text)
  if (empty === null) return undefined
  const end = empty.index + empty[0].length
  return { header: text.slice(0, end).replaceAll('\r', '').replaceAll('\n', '\r\n'), end }
}

const bodyLength = (header: string): number => Number(/\r\nContent-Length: *(\d+)/i.exec(header)?.[1] ?? 0)

const notRtsp = () => new Failure('InvalidStream', 'what answers does not speak RTSP')
