// Packets → an MPEG transport stream of one video track (ISO/IEC 13818-1). Pure.
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import type { MediaTime } from './media-timeline.ts'
import { nalUnits } from './parameters.ts'
import { isNalCodec, parameterSets, typeOf, type NalCodec } from './mp4/track.ts'

const PACKET_BYTES = 188
const PAT_PID = 0
const PMT_PID = 0x1000
const VIDEO_PID = 0x100
const STREAM_TYPE = { h264: 0x1b, hevc: 0x24 } as const
/** An access unit delimiter, which begins each frame. */
const DELIMITER = { h264: Buffer.from('0000000109f0', 'hex'), hevc: Buffer.from('00000001460150', 'hex') } as const
const DELIMITER_TYPE = { h264: 9, hevc: 35 } as const
const SPS = { h264: 7, hevc: 33 } as const
const START_CODE = Buffer.of(0, 0, 0, 1)
/** Media time 0, and how much earlier a decoder's clock is: what it may hold back, in ticks of 90 kHz. */
const BEGIN = 126_000
const CLOCK_DELAY = 63_000
const CLOCK_MAX = 2 ** 33
/** Tables come at least so often, in ticks. */
const TABLES_EVERY = 45_000

export class TsMuxer {
  readonly #name: NalCodec
  readonly #counters = new Map<number, number>()
  #tablesAt = -Infinity
  #sets: readonly Buffer[] = []
  #described = ''
  #extradata = Buffer.alloc(0)

  /** Undefined for a codec that it does not carry. */
  static of({ name }: Codec): TsMuxer | undefined {
    return isNalCodec(name) ? new TsMuxer(name) : undefined
  }

  private constructor(name: NalCodec) {
    this.#name = name
  }

  mux(packet: Packet, codec: Codec, { decode, show }: MediaTime): Buffer {
    const frame = Buffer.concat([...this.#pesHead(decode + BEGIN, show + BEGIN), ...this.#annexB(packet, codec)])
    const tables = packet.key || decode - this.#tablesAt > TABLES_EVERY ? [this.#pat(), this.#pmt()] : []
    if (tables.length > 0) this.#tablesAt = decode
    return Buffer.concat([...tables, this.#packets(frame, packet.key, decode + BEGIN - CLOCK_DELAY)])
  }

  /** 2.4.3.6; a length of 0, which video may have. */
  #pesHead(decode: number, show: number): Buffer[] {
    const times = show === decode ? [stamp(2, show)] : [stamp(3, show), stamp(1, decode)]
    const head = Buffer.of(0, 0, 1, 0xe0, 0, 0, 0x80, times.length === 1 ? 0x80 : 0xc0, 5 * times.length)
    return [head, ...times]
  }

  /** With start codes, a delimiter in front, and before keyframes the parameter sets. */
  #annexB({ key, data }: Packet, codec: Codec): Buffer[] {
    const name = this.#name
    if (codec.extradata !== this.#described) {
      this.#described = codec.extradata
      this.#extradata = Buffer.from(codec.extradata, 'base64')
    }
    const extradata = this.#extradata
    const units = [...nalUnits(name, data, extradata)].filter(unit => typeOf(name, unit) !== DELIMITER_TYPE[name])
    if (key) this.#sets = parameterSets(name, extradata, data)
    const isSelfContained = units.some(unit => typeOf(name, unit) === SPS[name])
    const all = key && !isSelfContained ? [...this.#sets, ...units] : units
    return [DELIMITER[name], ...all.flatMap(unit => [START_CODE, unit])]
  }

  /** 2.4.3.2: the first has the clock, the last is stuffed. */
  #packets(frame: Buffer, key: boolean, clock: number): Buffer {
    const first = Buffer.concat([Buffer.of(7, key ? 0x50 : 0x10), clockField(clock)])
    const count = 1 + Math.ceil(Math.max(0, frame.length - (PACKET_BYTES - 4 - first.length)) / (PACKET_BYTES - 4))
    const out = Buffer.alloc(count * PACKET_BYTES, 0xff)
    for (let i = 0, at = 0; i < count; i++) {
      const start = i * PACKET_BYTES
      const left = frame.length - at
      let adaptation = i === 0 ? first.length : 0
      const size = Math.min(left, PACKET_BYTES - 4 - adaptation)
      const stuffing = PACKET_BYTES - 4 - adaptation - size
      this.#head(out, start, VIDEO_PID, i === 0, adaptation + stuffing > 0)
      if (i === 0) {
        first.copy(out, start + 4)
        out[start + 4] = first.length - 1 + stuffing
      } else if (stuffing > 0) {
        out[start + 4] = stuffing - 1
        if (stuffing > 1) out[start + 5] = 0
      }
      adaptation += stuffing
      frame.copy(out, start + 4 + adaptation, at, at + size)
      at += size
    }
    return out
  }

  #head(out: Buffer, at: number, pid: number, isStart: boolean, hasAdaptation: boolean): void {
    const counter = this.#counters.get(pid) ?? 0
    this.#counters.set(pid, (counter + 1) & 15)
    out[at] = 0x47
    out.writeUInt16BE((isStart ? 0x4000 : 0) | pid, at + 1)
    out[at + 3] = (hasAdaptation ? 0x30 : 0x10) | counter
  }

  #pat(): Buffer {
    return this.#table(PAT_PID, 0, Buffer.of(0, 1, 0xe0 | (PMT_PID >> 8), PMT_PID & 255))
  }

  #pmt(): Buffer {
    const pid = [0xe0 | (VIDEO_PID >> 8), VIDEO_PID & 255]
    return this.#table(PMT_PID, 2, Buffer.of(...pid, 0xf0, 0, STREAM_TYPE[this.#name], ...pid, 0xf0, 0))
  }

  /** 2.4.4: a section of one packet, of version 0. */
  #table(pid: number, id: number, body: Buffer): Buffer {
    const section = Buffer.concat([Buffer.of(id, 0xb0, body.length + 9, 0, 1, 0xc1, 0, 0), body])
    const out = Buffer.alloc(PACKET_BYTES, 0xff)
    this.#head(out, 0, pid, true, false)
    out[4] = 0
    section.copy(out, 5)
    out.writeUInt32BE(crc32(section), 5 + section.length)
    return out
  }
}

/** A time in a PES head. */
function stamp(prefix: number, ticks: number): Buffer {
  const time = ticks % CLOCK_MAX
  const high = Math.floor(time / 2 ** 30)
  const middle = Math.floor(time / 2 ** 15) & 0x7fff
  const low = time % 2 ** 15
  return Buffer.of((prefix << 4) | (high << 1) | 1, middle >> 7, ((middle & 127) << 1) | 1, low >> 7, ((low & 127) << 1) | 1)
}

function clockField(ticks: number): Buffer {
  const time = ticks % CLOCK_MAX
  const field = Buffer.alloc(6)
  field.writeUInt32BE(Math.floor(time / 2))
  field[4] = ((time % 2) << 7) | 0x7e
  return field
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte << 24
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000_0000 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1
  }
  return crc >>> 0
}
