// How MP4 describes a camera's codec, and how its packets become samples. H.264: ISO/IEC 14496-15 5.3; H.265: 8.3.
import type { Packet } from '../../../proto/messages.ts'
import type { Codec } from '../../../proto/state.ts'
import { nalUnits, parseSps, unescaped } from '../parameters.ts'
import { av1Sample, describeAv1 } from './av1.ts'
import { box, u16, u32, u8 } from './boxes.ts'

export type Mp4Track = {
  readonly width: number
  readonly height: number
  /** As in the media type's `codecs`. */
  readonly codecs: string
  /** What stsd holds. */
  readonly entry: Buffer
  /** A packet's bytes as they stand in a file. */
  sample(packet: Pick<Packet, 'data'>): readonly Uint8Array[]
}

/** Codecs that MP4 is written of here. */
export const isMp4Codec = (name: string): boolean => name === 'av1' || isNalCodec(name)
/** Those of NAL units. */
export type NalCodec = 'h264' | 'hevc'
export const isNalCodec = (name: string): name is NalCodec => name === 'h264' || name === 'hevc'

const SETS = { h264: [7, 8], hevc: [32, 33, 34] } as const
/** Delimiters of access units, which MP4 does not have. */
const DELIMITER = { h264: 9, hevc: 35 } as const
export const typeOf = (codec: NalCodec, unit: Uint8Array): number => (codec === 'h264' ? (unit[0] ?? 0) & 31 : ((unit[0] ?? 0) >> 1) & 63)

/** Undefined for a codec that MP4 is not written of, or without parameter sets. `key`: the epoch's keyframe, which may bring its own sets. */
export function mp4Track(codec: Codec, key: Pick<Packet, 'data'>): Mp4Track | undefined {
  const extradata = Buffer.from(codec.extradata, 'base64')
  try {
    if (isNalCodec(codec.name)) return nalTrack(codec.name, codec, extradata, key)
    return codec.name === 'av1' ? av1Track(codec, extradata, key) : undefined
  } catch (error) {
    if (error instanceof RangeError) return undefined // damaged parameter sets
    throw error
  }
}

type Size = Pick<Codec, 'width' | 'height'>

function av1Track({ width, height }: Size, extradata: Buffer, key: Pick<Packet, 'data'>): Mp4Track | undefined {
  const described = describeAv1(extradata, asBuffer(key.data))
  if (described === undefined) return undefined
  const { type, record, codecs } = described
  const sample = ({ data }: Pick<Packet, 'data'>) => av1Sample(asBuffer(data))
  return { width, height, codecs, entry: sampleEntry({ type, record: box('av1C', record), codecs }, width, height), sample }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

function nalTrack(name: NalCodec, { width, height }: Size, extradata: Buffer, key: Pick<Packet, 'data'>): Mp4Track | undefined {
  const sets = parameterSets(name, extradata, key.data)
  const described = name === 'h264' ? avc(sets) : hevc(sets)
  if (described === undefined) return undefined
  const known = new Set(sets.map(unit => unit.toString('latin1')))
  const isNeeded = (unit: Buffer) => {
    const type = typeOf(name, unit)
    if (type === DELIMITER[name]) return false
    return !(SETS[name] as readonly number[]).includes(type) || !known.has(unit.toString('latin1'))
  }
  // A record says how long the lengths are in front of units: of 4 bytes, packets are samples as they are.
  const isSample = hasRecord(extradata) && lengthBytes(name, extradata) === 4
  const sample = ({ data }: Pick<Packet, 'data'>) =>
    isSample ? [data] : [...nalUnits(name, data, extradata)].filter(isNeeded).flatMap(unit => [u32(unit.length), unit])
  return { width, height, codecs: described.codecs, entry: sampleEntry(described, width, height), sample }
}

type Described = { type: string; record: Buffer; codecs: string }

function sampleEntry({ type, record }: Described, width: number, height: number): Buffer {
  const picture = [u16(0, 0), u32(0, 0, 0), u16(width, height), u32(0x48_0000, 0x48_0000, 0), u16(1), Buffer.alloc(32), u16(24, 0xffff)]
  return box(type, Buffer.alloc(6), u16(1), ...picture, record)
}

const hasRecord = (extradata: Buffer): boolean => extradata[0] === 1
const lengthBytes = (name: NalCodec, record: Buffer): number => ((record[name === 'h264' ? 4 : 21] ?? 0) & 3) + 1

/** The stream's, and of kinds that it lacks the keyframe's. */
export function parameterSets(name: NalCodec, extradata: Buffer, key: Uint8Array): Buffer[] {
  const found = new Map<string, Buffer>()
  const take = (units: Iterable<Buffer>) => {
    const kinds = new Set([...found.values()].map(unit => typeOf(name, unit)))
    for (const unit of units) {
      const kind = typeOf(name, unit)
      if ((SETS[name] as readonly number[]).includes(kind) && !kinds.has(kind) && found.size < SETS_MAX)
        found.set(unit.toString('latin1'), unit)
    }
  }
  take(hasRecord(extradata) ? unitsInRecord(name, extradata) : nalUnits(name, extradata, extradata))
  take(nalUnits(name, key, extradata))
  return [...found.values()]
}
/** More do not fit into a record. */
const SETS_MAX = 31

/** Of avcC (ISO/IEC 14496-15 5.3.3.1) and hvcC (8.3.3.1). Throws RangeError. */
function* unitsInRecord(name: NalCodec, record: Buffer): Generator<Buffer> {
  let at = name === 'h264' ? 5 : 22
  const lists = name === 'h264' ? 2 : record.readUInt8(at++)
  for (let list = 0; list < lists; list++) {
    let count = record.readUInt8(at++)
    if (name === 'h264') count &= list === 0 ? 31 : 255
    else {
      count = record.readUInt16BE(at)
      at += 2
    }
    for (let i = 0; i < count; i++) {
      const length = record.readUInt16BE(at)
      yield record.subarray(at + 2, at + 2 + length)
      at += 2 + length
    }
  }
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0')

const SUBSAMPLINGS = [/^gray/, /420/, /422/, /444/]
function sampling(pixFmt: string): { chroma: number; depth: number } {
  const chroma = SUBSAMPLINGS.findIndex(pattern => pattern.test(pixFmt))
  return { chroma: chroma < 0 ? 1 : chroma, depth: Number(/p(\d+)le$/.exec(pixFmt)?.[1] ?? 8) }
}

const withLength = (unit: Uint8Array): Buffer[] => [u16(unit.length), Buffer.from(unit)]

function avc(sets: readonly Buffer[]): Described | undefined {
  const [sequences = [], pictures = []] = SETS.h264.map(kind => sets.filter(unit => typeOf('h264', unit) === kind))
  const [sps] = sequences
  const parsed = sps && parseSps('h264', sps)
  if (sps === undefined || sps.length < 4 || parsed === undefined || pictures.length === 0) return undefined
  const { chroma, depth } = sampling(parsed.pixFmt)
  const profile = sps[1] ?? 0
  const isHigh = [100, 110, 122, 144, 244].includes(profile)
  const high = isHigh ? [u8(0xfc | chroma), u8(0xf8 | (depth - 8)), u8(0xf8 | (depth - 8)), u8(0)] : []
  const record = [
    ...[u8(1), sps.subarray(1, 4), u8(0xff), u8(0xe0 | sequences.length), ...sequences.flatMap(withLength)],
    ...[u8(pictures.length), ...pictures.flatMap(withLength), ...high],
  ]
  return { type: 'avc1', record: box('avcC', ...record), codecs: `avc1.${sps.toString('hex', 1, 4)}` }
}

function hevc(sets: readonly Buffer[]): Described | undefined {
  const [videos = [], sequences = [], pictures = []] = SETS.hevc.map(kind => sets.filter(unit => typeOf('hevc', unit) === kind))
  const [sps] = sequences
  const parsed = sps && parseSps('hevc', sps)
  if (sps === undefined || parsed === undefined || videos.length === 0 || pictures.length === 0) return undefined
  const { chroma, depth } = sampling(parsed.pixFmt)
  const bytes = unescaped(sps.subarray(2, 64))
  const profile = Buffer.from(bytes.subarray(1, 13))
  const layers = (((bytes[0] ?? 0) >> 1) & 7) + 1
  const isNested = (bytes[0] ?? 0) & 1
  const record = [
    ...[u8(1), profile, u16(0xf000), u8(0xfc), u8(0xfc | chroma), u8(0xf8 | (depth - 8)), u8(0xf8 | (depth - 8)), u16(0)],
    ...[u8((layers << 3) | (isNested << 2) | 3), u8(3)],
    ...[videos, sequences, pictures].flatMap((some, i) => [u8(0x80 | (SETS.hevc[i] ?? 0)), u16(some.length), ...some.flatMap(withLength)]),
  ]
  return { type: 'hvc1', record: box('hvcC', ...record), codecs: hevcCodecs(profile) }
}

/** ISO/IEC 14496-15 E.3, of the 12 bytes of general_profile_space … general_level_idc. */
function hevcCodecs(profile: Buffer): string {
  const [first = 0] = profile
  const compatibility = profile.readUInt32BE(1)
  let reversed = 0
  for (let bit = 0; bit < 32; bit++) if ((compatibility >>> bit) & 1) reversed += 2 ** (31 - bit)
  const constraints = [...profile.subarray(5, 11)]
  while (constraints.at(-1) === 0) constraints.pop()
  const space = ['', 'A', 'B', 'C'][first >> 6] ?? ''
  const tier = first & 0x20 ? 'H' : 'L'
  return ['hvc1', `${space}${first & 31}`, reversed.toString(16), `${tier}${profile[11] ?? 0}`, ...constraints.map(hex)].join('.')
}

/** The media type of a file with this track. */
export const mp4Type = ({ codecs }: Mp4Track): string => `video/mp4; codecs="${codecs}"`

/** Equal for tracks that one description will do for. */
export const trackKey = ({ entry }: Mp4Track): string => entry.toString('base64')
