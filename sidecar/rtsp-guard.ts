// The answers of an RTSP server until it plays (RFC 2326): whole messages only, none of them leading elsewhere.
import { isIPv6 } from 'node:net'
import { Failure } from '../common/errors.ts'

const HEADER_MAX = 64 * 1024
const BODY_MAX = 1024 * 1024

export class ResponseGuard {
  /** The camera agreed to PLAY: what follows is video. */
  playing = false
  readonly #udpSource: string | undefined
  #pending: Buffer = Buffer.alloc(0)
  /** Bytes of a body or interleaved frame that may pass. */
  #passing = 0
  #playCseq: string | undefined

  /** `udpSource`: the camera's address, where RTP goes by UDP beside this connection; ffmpeg is told no other. */
  constructor(udpSource?: string) {
    this.#udpSource = udpSource
  }

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
      if (this.#passing > 0) {
        passed.push(this.#take(Math.min(this.#passing, this.#pending.length)))
        this.#passing -= passed.at(-1)?.length ?? 0
        continue
      }
      const size = this.#headerSize()
      if (size === 0) return passed
      if (!this.#inspect(size)) return passed
      passed.push(this.#header(this.#take(size)))
    }
    if (this.#pending.length > 0) passed.push(this.#take(this.#pending.length))
    return passed
  }

  #take(size: number): Buffer {
    const bytes = this.#pending.subarray(0, size)
    this.#pending = this.#pending.subarray(size)
    return bytes
  }

  /** Size of the header at the front: of an interleaved frame or of a message; 0 while it is incomplete. */
  #headerSize(): number {
    if (this.#pending[0] === 0x24) return this.#pending.length < 4 ? 0 : 4
    // An answer, or a request of the camera's own such as ANNOUNCE.
    if (!/^([A-Z_]{1,20}$|[A-Z_]{3,20}[ /])/.test(this.#pending.subarray(0, 21).toString('latin1')))
      throw new Failure('InvalidStream', 'what answers does not speak RTSP')
    const end = this.#pending.indexOf('\r\n\r\n')
    if (end < 0 && this.#pending.length > HEADER_MAX) throw new Failure('InvalidStream', 'the camera’s answer has no end')
    return end < 0 ? 0 : end + 4
  }

  /** What must be known before any of a message may pass: throws where it may not. False while more of it is needed. */
  #inspect(size: number): boolean {
    if (this.#pending[0] === 0x24) return true
    const header = this.#pending.toString('latin1', 0, size)
    const status = statusOf(header)
    if (status === undefined && !/^[A-Z_]+ \S+ RTSP\/\d\.\d\r\n/.test(header))
      throw new Failure('InvalidStream', 'what answers does not speak RTSP')
    if ((status !== undefined && status >= 300 && status < 400) || header.startsWith('REDIRECT ')) {
      throw new Failure('RedirectRefused', 'the camera redirects to another address, which is refused: put that address into source.url')
    }
    const length = bodyLength(header)
    if (length > BODY_MAX) throw new Failure('InvalidStream', 'the camera’s answer is too long')
    if (status !== 200 || !/\r\nContent-Type: *application\/sdp/i.test(header)) return true
    if (this.#pending.length < size + length) return false
    checkDescription(this.#pending.toString('latin1', size, size + length))
    return true
  }

  /** Takes note of a complete header; returns what ffmpeg gets to see. */
  #header(bytes: Buffer): Buffer {
    if (bytes[0] === 0x24) {
      this.#passing = bytes.readUInt16BE(2)
      return bytes
    }
    const header = bytes.toString('latin1')
    const cseq = /\r\nCSeq: *(\d+)/i.exec(header)?.[1]
    if (statusOf(header) === 200 && this.#playCseq !== undefined && cseq === this.#playCseq) this.playing = true
    this.#passing = bodyLength(header)
    return this.#udpSource === undefined ? bytes : Buffer.from(withSource(header, this.#udpSource), 'latin1')
  }
}

function statusOf(header: string): number | undefined {
  const status = /^RTSP\/\d\.\d (\d{3})/.exec(header)?.[1]
  return status === undefined ? undefined : Number(status)
}

const bodyLength = (header: string): number => Number(/\r\nContent-Length: *(\d+)/i.exec(header)?.[1] ?? 0)

/** RTP payloads of video that can be decoded, as RFC 3551 and the codecs' own documents name them. */
const PAYLOADS = ['H264', 'H265', 'JPEG', 'MP4V-ES', 'MPV', 'MP2T', 'VP8', 'VP9', 'AV1']
const STATIC_PAYLOADS: Readonly<Record<string, string>> = { 26: 'JPEG', 32: 'MPV', 33: 'MP2T', 31: 'H261', 34: 'H263' }

/** What the camera offers (SDP, RFC 8866): without a picture that can be decoded there is no use in asking for it. */
function checkDescription(sdp: string): void {
  const media = sdp.split(/^m=/m).slice(1)
  const video = media.filter(section => section.startsWith('video '))
  if (video.length === 0) throw new Failure('NoVideoTrack', 'the camera offers no video at this path')
  const offered = video.flatMap(section => {
    const payload = /^video \S+ \S+ (\d+)/.exec(section)?.[1] ?? ''
    const name = new RegExp(`^a=rtpmap:${payload} ([^/\\s]+)`, 'm').exec(section)?.[1] ?? STATIC_PAYLOADS[payload]
    return name?.toUpperCase() ?? []
  })
  if (offered.length === 0 || offered.some(name => PAYLOADS.includes(name))) return
  const names = offered.map(name => name.replaceAll(/[^\w.-]/g, '').slice(0, 32)).join(', ')
  throw new Failure('CodecUnsupported', `the camera sends ${names}, which is not supported: set it to H.264, H.265 or MJPEG`)
}

/** RTP by UDP is sent and answered by the camera itself, whatever address it claims. */
const withSource = (header: string, address: string): string =>
  header.replace(/(?<=\r\nTransport: *)[^\r\n]+/i, transport => {
    const parts = transport.split(';').filter(part => !/^\s*source=/i.test(part))
    return [...parts, `source=${isIPv6(address) ? `[${address}]` : address}`].join(';')
  })
