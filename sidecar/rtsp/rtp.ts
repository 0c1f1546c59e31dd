// The one track's RTP and RTCP (RFC 3550), interleaved, on its way to ffmpeg.
import { Failure } from '../../common/errors.ts'
import type { SenderClock } from './sender-clock.ts'
import type { Channels } from './transport.ts'

const HEADER = 4
const RTCP_SENDER_REPORT = 200
const RTCP_BYE = 203
/** So many packets of another payload type, and none of the announced, mean that the description is wrong. */
const OTHERS_MAX = 250

export class Rtp {
  readonly #payload: number
  readonly #clock: SenderClock | undefined
  #channels: Channels
  /** Packets of the announced payload type were seen. */
  #isSeen = false
  #others = 0
  #ssrc = 0
  packets = 0
  /** RTCP BYE, and no RTP since. */
  saidBye = false

  /** `payload`: the type that the description announces. `clock`: told of what goes to ffmpeg, and of reports. */
  constructor(payload: number, channels: Channels, clock?: SenderClock) {
    this.#payload = payload
    this.#channels = channels
    this.#clock = clock
    clock?.begin()
  }

  /** Makes `frame` one of channels 0 and 1, in place; false for what does not concern the track. Throws Failure InvalidStream. */
  toFfmpeg(frame: Buffer): boolean {
    const channel = frame[1] ?? 0
    const [version = 0, type = 0] = frame.subarray(HEADER)
    if (version >> 6 !== 2 || frame.length < HEADER + 8) return false
    const isRtcp = type >= 192 && type <= 223
    if (isRtcp) {
      const isOurs = channel === this.#channels.rtcp || channel === this.#channels.rtp
      if (isOurs && this.#isBye(frame)) this.saidBye = true
      if (isOurs) this.#readReports(frame)
      frame[1] = 1
      return isOurs && !this.saidBye
    }
    if (frame.length < HEADER + 12 || !this.#isOurs(channel, type & 0x7f)) return false
    frame[1] = 0
    this.#ssrc = frame.readUInt32BE(HEADER + 8)
    this.saidBye = false
    this.packets++
    this.#clock?.packet(frame.readUInt32BE(HEADER + 4), payloadOf(frame))
    return true
  }

  /** Makes ffmpeg's `frame` one of the camera's channels, in place; false where there is none. */
  toCamera(frame: Buffer): boolean {
    const channel = frame[1] === 0 ? this.#channels.rtp : this.#channels.rtcp
    if (channel > 255) return false
    frame[1] = channel
    return true
  }

  #isOurs(channel: number, payload: number): boolean {
    const isAnnounced = channel === this.#channels.rtp
    if (payload === this.#payload) {
      // Some answer with other channels than they use.
      if (!isAnnounced && !this.#isSeen) this.#channels = { rtp: channel, rtcp: channel ^ 1 }
      else if (!isAnnounced) return false
      this.#isSeen = true
      return true
    }
    if (isAnnounced && !this.#isSeen && ++this.#others > OTHERS_MAX) throw this.#otherPayload(payload)
    return false
  }

  #otherPayload(payload: number): Failure {
    return new Failure('InvalidStream', `the camera sends payload type ${payload}, and its description announces ${this.#payload}`)
  }

  /** Of the track's own source; before any RTP it may be any's. */
  #readReports(frame: Buffer): void {
    for (const { type, at, size } of packetsIn(frame)) {
      if (type !== RTCP_SENDER_REPORT || size < 28 || (this.#ssrc !== 0 && frame.readUInt32BE(at + 4) !== this.#ssrc)) continue
      this.#clock?.report(frame.readUInt32BE(at + 8), frame.readUInt32BE(at + 12), frame.readUInt32BE(at + 16))
    }
  }

  /** A BYE names the sources that end; one that names none means all. */
  #isBye(frame: Buffer): boolean {
    const bye = packetsIn(frame).find(({ type }) => type === RTCP_BYE)
    if (bye === undefined) return false
    const sources = Math.min(bye.count, Math.floor((frame.length - bye.at - 4) / 4))
    const named = Array.from({ length: sources }, (_, i) => frame.readUInt32BE(bye.at + 4 + 4 * i))
    return named.length === 0 || !this.#isSeen || named.includes(this.#ssrc)
  }
}

type RtcpPacket = { type: number; count: number; at: number; size: number }

/** Several RTCP packets come as one. `size`: of what is there. */
function packetsIn(frame: Buffer): RtcpPacket[] {
  const packets: RtcpPacket[] = []
  for (let at = HEADER; at + 4 <= frame.length;) {
    const [first = 0, type = 0] = frame.subarray(at)
    const size = 4 * (frame.readUInt16BE(at + 2) + 1)
    packets.push({ type, count: first & 0x1f, at, size: Math.min(size, frame.length - at) })
    at += size
  }
  return packets
}

/** Without header, extension and padding (RFC 3550 5.1). */
function payloadOf(frame: Buffer): Buffer {
  const first = frame[HEADER] ?? 0
  let from = HEADER + 12 + 4 * (first & 0x0f)
  if ((first & 0x10) !== 0 && from + 4 <= frame.length) from += 4 + 4 * frame.readUInt16BE(from + 2)
  const padding = (first & 0x20) === 0 ? 0 : (frame.at(-1) ?? 0)
  return frame.subarray(from, Math.max(from, frame.length - padding))
}
