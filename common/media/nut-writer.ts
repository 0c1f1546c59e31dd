// Packets → the NUT container, which ffmpeg reads from its stdin without adding a frame of delay. One video stream, every
// frame header fully coded. Format: the NUT specification (FFmpeg's doc/nut.texi refers to it).
import type { Codec } from '../../proto/state.ts'
import { secondsToTicks } from './timebase.ts'

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, i) => {
  let crc = i << 24
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000_0000 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1
  return crc >>> 0
})

function crc32(...parts: readonly Uint8Array[]): Buffer {
  let crc = 0
  for (const part of parts) for (const byte of part) crc = ((crc << 8) ^ (CRC_TABLE[((crc >>> 24) ^ byte) & 255] ?? 0)) >>> 0
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc)
  return bytes
}

/** NUT's variable-length integer: seven bits a byte, most significant first. Exact to 2^53. */
function varint(value: number): Buffer {
  const bytes = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift((rest % 128) | 128)
  return Buffer.from(bytes)
}

const blob = (bytes: Uint8Array): Buffer => Buffer.concat([varint(bytes.length), bytes])

const STARTCODE = {
  main: Buffer.from('4e4d7a561f5f04ad', 'hex'),
  stream: Buffer.from('4e5311405bf2f9db', 'hex'),
  syncpoint: Buffer.from('4e4be4adeeca4569', 'hex'),
}

function section(startcode: Buffer, payload: Buffer): Buffer {
  const size = payload.length + 4
  const forward = varint(size)
  const headerCrc = size > 4096 ? [crc32(startcode, forward)] : []
  return Buffer.concat([startcode, forward, ...headerCrc, payload, crc32(payload)])
}

/** The codec tags NUT knows streams by; a codec that is not here can't be decoded. */
const FOURCC: ReadonlyMap<string, string> = new Map([
  ['h264', 'H264'],
  ['hevc', 'HEVC'],
  ['mjpeg', 'MJPG'],
  ['av1', 'AV01'],
  ['mpeg4', 'mp4v'],
  ['mpeg2video', 'mpg2'],
  ['mpeg1video', 'mpg1'],
  ['vp8', 'VP80'],
  ['vp9', 'VP90'],
])
export const isDecodable = (codec: string): boolean => FOURCC.has(codec)

const FRAME_CODE = { key: 1, codedPts: 8, sizeMsb: 32, checksum: 64, coded: 4096 } as const
const MSB_PTS_SHIFT = 7
const SYNC_DISTANCE_MAX = 60_000

export class NutWriter {
  readonly #codec: Codec
  #sinceSync = Infinity

  constructor(codec: Codec) {
    this.#codec = codec
  }

  header(): Buffer {
    const { name, width, height, timeBase, reorder, extradata } = this.#codec
    const fourcc = FOURCC.get(name)
    if (fourcc === undefined) throw new Error(`NUT carries no ${name}`)
    const [num, den] = timeBase
    const main = [
      ...[3, 1, 65_536, 1, num, den], // version, streams, max_distance, one time base
      ...[FRAME_CODE.coded, 6, 0, 1, 0, 0, 0, 255], // all frame codes alike: everything is coded in the frame
      0, // no elision headers
    ]
    const stream = [
      ...[0, 0].map(varint), // stream 0, video
      blob(Buffer.from(fourcc, 'latin1')),
      ...[0, MSB_PTS_SHIFT, secondsToTicks(10, timeBase), reorder, 0].map(varint), // time base 0, shift, max_pts_distance 10 s, decode_delay, flags
      blob(Buffer.from(extradata, 'base64')),
      ...[width, height, 0, 0, 0].map(varint), // sample aspect and colours unknown
    ]
    return Buffer.concat([
      Buffer.from('nut/multimedia container\0', 'latin1'),
      section(STARTCODE.main, Buffer.concat(main.map(varint))),
      section(STARTCODE.stream, Buffer.concat(stream)),
    ])
  }

  /** What to write before the packet's own bytes. `pts` must be ≥ 0: NUT has no negative times. */
  frameHeader(pts: number, key: boolean, size: number): Buffer {
    const parts: Buffer[] = []
    if (key || this.#sinceSync > SYNC_DISTANCE_MAX) {
      parts.push(section(STARTCODE.syncpoint, Buffer.concat([varint(pts), varint(0)])))
      this.#sinceSync = 0
    }
    const flags = (key ? FRAME_CODE.key : 0) | FRAME_CODE.codedPts | FRAME_CODE.sizeMsb | FRAME_CODE.checksum
    const header = Buffer.concat([Buffer.from([0]), varint(flags), varint(pts + 2 ** MSB_PTS_SHIFT), varint(size)])
    parts.push(header, crc32(header))
    this.#sinceSync += header.length + 4 + size
    return Buffer.concat(parts)
  }
}
