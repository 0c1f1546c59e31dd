// The answers of an RTSP server until it plays (RFC 2326): whole messages only, none of them a redirect.
import { Failure } from '../common/errors.ts'

const HEADER_MAX = 64 * 1024
const BODY_MAX = 1024 * 1024

export class ResponseGuard {
  /** The camera agreed to PLAY: what follows is video. */
  playing = false
  #pending: Buffer = Buffer.alloc(0)
  /** Bytes of a body or interleaved frame that may pass. */
  #passing = 0
  #playCseq: string | undefined

  /** Watches what ffmpeg asks for. */
  request(chunk: Uint8Array): void {
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1')
    if (text.startsWith('PLAY ')) this.#playCseq = /\r\nCSeq: *(\d+)/i.exec(text)?.[1]
  }

  /** The bytes of `chunk`, and of earlier ones, that may go on to ffmpeg. Throws Failure RedirectRefused or InvalidStream. */
  response(chunk: Buffer): Buffer[] {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    const passed: Buffer[] = []
    while (this.#pending.length > 0 && !this.playing) {
      const size = this.#passing > 0 ? Math.min(this.#passing, this.#pending.length) : this.#nextHeader()
      if (size === 0) return passed
      if (this.#passing > 0) this.#passing -= size
      else this.#passing = this.#inspect(size)
      passed.push(this.#pending.subarray(0, size))
      this.#pending = this.#pending.subarray(size)
    }
    if (this.#pending.length > 0 && this.playing) {
      passed.push(this.#pending)
      this.#pending = Buffer.alloc(0)
    }
    return passed
  }

  /** Size of the header at the front: of an interleaved frame or of a message; 0 while it is incomplete. */
  #nextHeader(): number {
    if (this.#pending[0] === 0x24) return this.#pending.length < 4 ? 0 : 4
    const start = this.#pending.subarray(0, 5).toString('latin1')
    if (!'RTSP/'.startsWith(start)) throw new Failure('InvalidStream', 'what answers does not speak RTSP')
    const end = this.#pending.indexOf('\r\n\r\n')
    if (end < 0 && this.#pending.length > HEADER_MAX) throw new Failure('InvalidStream', 'the camera’s answer has no end')
    return end < 0 ? 0 : end + 4
  }

  /** Looks at the complete header of `size` bytes; returns how many bytes of body follow it. */
  #inspect(size: number): number {
    if (this.#pending[0] === 0x24) return this.#pending.readUInt16BE(2)
    const header = this.#pending.subarray(0, size).toString('latin1')
    const status = Number(/^RTSP\/\d\.\d (\d{3})/.exec(header)?.[1])
    if (status >= 300 && status < 400) {
      throw new Failure('RedirectRefused', 'the camera redirects to another address, which is refused: put that address into source.url')
    }
    const cseq = /\r\nCSeq: *(\d+)/i.exec(header)?.[1]
    if (status === 200 && this.#playCseq !== undefined && cseq === this.#playCseq) this.playing = true
    const body = Number(/\r\nContent-Length: *(\d+)/i.exec(header)?.[1] ?? 0)
    if (body > BODY_MAX) throw new Failure('InvalidStream', 'the camera’s answer is too long')
    return body
  }
}
