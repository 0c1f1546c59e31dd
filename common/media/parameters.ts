// The size of the picture from a keyframe's own parameter sets, without decoding: a camera may change it in mid-stream.
// H.264: ITU-T H.264 7.3.2.1; HEVC: ITU-T H.265 7.3.2.2; JPEG: ITU-T T.81 B.2.2.
import { BitReader } from './bit-reader.ts'

export type Parameters = {
  width: number
  height: number
  pixFmt: string
  /** The sequence's own parameter set (SPS), which decides everything above; empty for JPEG. */
  sequence: Buffer
  /** All parameter sets, as a decoder of this stream takes them; empty where they stand beside the stream, and for JPEG. */
  extradata: Buffer
}

/**
 * What a keyframe says of its picture; undefined where it says nothing (parameter sets elsewhere, other codecs, damage).
 * `extradata`: the stream's, which tells how its units are delimited.
 */
export function keyframeParameters(codec: string, data: Uint8Array, extradata: Uint8Array): Parameters | undefined {
  try {
    if (codec === 'mjpeg') return jpeg(data)
    if (codec === 'h264') return inUnits(data, extradata, H264)
    if (codec === 'hevc') return inUnits(data, extradata, HEVC)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error // ran past the end: a damaged parameter set says nothing
  }
  return undefined
}

/**
 * The parameter sets of a stream: the keyframe's `own`, and of those the stream was described with (in an SDP, perhaps of other settings)
 * the kinds that the keyframe lacks. Without the empty and the doubled start codes that cameras put between them.
 */
export function streamExtradata(codec: string, own: Uint8Array, described: Uint8Array): Buffer {
  const syntax = codec === 'h264' ? H264 : codec === 'hevc' ? HEVC : undefined
  const isAnnexB = described[0] === 0 && described[1] === 0
  if (syntax === undefined || (described.length > 0 && !isAnnexB)) return Buffer.from(described.length > 0 ? described : own)
  const units = [...unitsOf(own, 0)]
  const kinds = new Set(units.map(syntax.typeOf))
  const isMissing = (unit: Uint8Array) => syntax.sets.includes(syntax.typeOf(unit)) && !kinds.has(syntax.typeOf(unit))
  units.push(...[...unitsOf(described, 0)].filter(isMissing))
  // A stream is described by its sets in the order of their kinds.
  units.sort((a, b) => syntax.typeOf(a) - syntax.typeOf(b))
  return Buffer.concat(units.flatMap(unit => [START_CODE, unit]))
}

/** True for a packet that begins within a picture: the packet in front of it holds the picture's beginning. */
export function continuesPicture(codec: string, data: Uint8Array, extradata: Uint8Array): boolean {
  const syntax = codec === 'h264' ? H264 : codec === 'hevc' ? HEVC : undefined
  if (syntax === undefined) return false
  for (const unit of unitsOf(data, syntax.lengthSize(extradata))) {
    if (syntax.isSlice(syntax.typeOf(unit))) return !syntax.isFirst(unit)
  }
  return false
}

const H264_IDR = 5

/** False for a keyframe that a decoder takes only together with what was before it: one of H.264 with open GOPs, which is no IDR picture. */
export function decodesAlone(codec: string, keyframe: Uint8Array, extradata: Uint8Array): boolean {
  if (codec !== 'h264') return true
  for (const unit of unitsOf(keyframe, H264.lengthSize(extradata))) {
    const type = H264.typeOf(unit)
    if (H264.isSlice(type)) return type === H264_IDR
  }
  return true
}

/** Of a VP9 packet, which RTP does not mark: it begins with a frame that needs no other (VP9 bitstream specification, 6.2). */
export function isVp9Key(data: Uint8Array): boolean {
  const [first = 0] = data
  const profile = ((first >> 5) & 1) | ((first >> 3) & 2)
  // Behind the marker and the profile (with a bit more where that is 3): show_existing_frame, then frame_type, of which 0 is a keyframe.
  return first >> 6 === 2 && ((first >> (profile === 3 ? 1 : 2)) & 3) === 0
}

/** The NAL units of H.264 or H.265, of a packet or of a stream's description that is no record (avcC, hvcC). */
export function nalUnits(codec: 'h264' | 'hevc', data: Uint8Array, extradata: Uint8Array): Generator<Buffer> {
  return unitsOf(data, (codec === 'h264' ? H264 : HEVC).lengthSize(extradata))
}

/** What an SPS says of its pictures; undefined for what is none. May throw RangeError. */
export const parseSps = (codec: 'h264' | 'hevc', sps: Uint8Array): Picture | undefined => (codec === 'h264' ? H264 : HEVC).parse(sps)

/** A NAL unit as it was before 00 00 03 was put for 00 00. */
export const unescaped = (unit: Uint8Array): Uint8Array =>
  unit.filter((byte, i) => !(byte === 3 && i >= 2 && unit[i - 1] === 0 && unit[i - 2] === 0))

type Picture = Pick<Parameters, 'width' | 'height' | 'pixFmt'>
type Syntax = {
  sps: number
  sets: readonly number[]
  typeOf: (unit: Uint8Array) => number
  isSlice: (type: number) => boolean
  /** Of a slice: the picture begins with it. */
  isFirst: (slice: Uint8Array) => boolean
  /** Bytes of the length in front of each unit; 0: units stand between start codes (Annex B). */
  lengthSize: (extradata: Uint8Array) => number
  /** Undefined for what is no parameter set of this codec. */
  parse: (sps: Uint8Array) => Picture | undefined
}
const H264: Syntax = {
  ...{ sps: 7, sets: [7, 8, 13, 15], parse: h264Sps },
  typeOf: unit => (unit[0] ?? 0) & 31,
  isSlice: type => type >= 1 && type <= 5,
  isFirst: slice => ((slice[1] ?? 0) & 0x80) !== 0, // first_mb_in_slice is 0, in Exp-Golomb
  lengthSize: avcC => lengthSize(avcC, 4, 7),
}
const HEVC: Syntax = {
  ...{ sps: 33, sets: [32, 33, 34], parse: hevcSps },
  typeOf: unit => ((unit[0] ?? 0) >> 1) & 63,
  isSlice: type => type <= 31,
  isFirst: slice => ((slice[2] ?? 0) & 0x80) !== 0, // first_slice_segment_in_pic_flag
  lengthSize: hvcC => lengthSize(hvcC, 21, 23),
}

/** An avcC or hvcC record tells it. */
const lengthSize = (extradata: Uint8Array, at: number, bytesMin: number): number =>
  extradata.length >= bytesMin && extradata[0] === 1 ? ((extradata[at] ?? 0) & 3) + 1 : 0

function inUnits(data: Uint8Array, stream: Uint8Array, syntax: Syntax): Parameters | undefined {
  const { sps, sets, typeOf, isSlice, parse } = syntax
  const lengthBytes = syntax.lengthSize(stream)
  // By their bytes: some cameras say the same twice, and a hostile one says a million different ones.
  const found = new Map<string, Buffer>()
  let sequence: Buffer | undefined
  for (const unit of unitsOf(data, lengthBytes)) {
    const type = typeOf(unit)
    if (isSlice(type)) break // parameter sets stand in front
    if (sets.includes(type) && found.size < SETS_MAX) found.set(unit.toString('latin1'), unit)
    if (type === sps) sequence ??= unit
  }
  const picture = sequence && parse(sequence)
  // Random bytes may look like a sequence too.
  if (sequence === undefined || picture === undefined || !isPlausible(picture)) return undefined
  const extradata = lengthBytes > 0 ? Buffer.alloc(0) : Buffer.concat([...found.values()].flatMap(set => [START_CODE, set]))
  return { ...picture, sequence: Buffer.from(sequence), extradata }
}

/** More than H.264 (32 sequence and 256 picture parameter sets) or H.265 allow. */
const SETS_MAX = 512

/** 16,384 is the largest side that any level of H.264 or H.265 has. */
const isPlausible = ({ width, height }: Picture): boolean => width >= 8 && height >= 8 && width <= 16_384 && height <= 16_384

function unitsOf(data: Uint8Array, lengthBytes: number): Generator<Buffer> {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  return lengthBytes > 0 ? prefixedUnits(bytes, lengthBytes) : annexBUnits(bytes)
}

const START_CODE = Buffer.from([0, 0, 0, 1])
const MARK = START_CODE.subarray(1)

/** The NAL units of an Annex B stream, without start codes and trailing zeros. */
function* annexBUnits(bytes: Buffer): Generator<Buffer> {
  for (let start = bytes.indexOf(MARK); start >= 0;) {
    const next = bytes.indexOf(MARK, start + 3)
    let end = next < 0 ? bytes.length : next
    while (end > start + 3 && bytes[end - 1] === 0) end--
    if (end > start + 3) yield bytes.subarray(start + 3, end)
    start = next
  }
}

/** The NAL units of a stream in which each one's length stands in front of it. */
function* prefixedUnits(bytes: Buffer, lengthBytes: number): Generator<Buffer> {
  for (let at = 0; at + lengthBytes < bytes.length;) {
    const start = at + lengthBytes
    at = start + bytes.readUIntBE(at, lengthBytes)
    yield bytes.subarray(start, at)
  }
}

const SUBSAMPLING = ['gray', 'yuv420p', 'yuv422p', 'yuv444p']
const pixelFormat = (chroma: number, depth: number): string => {
  const base = SUBSAMPLING[chroma] ?? 'yuv420p'
  return depth === 8 ? base : `${base}${depth}le`
}
/** Luma samples per chroma sample, for cropping. */
const chromaStep = (chroma: number) => ({ x: chroma === 1 || chroma === 2 ? 2 : 1, y: chroma === 1 ? 2 : 1 })

const HIGH_PROFILES = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]
const PROFILES = [66, 77, 88, ...HIGH_PROFILES]

function h264Sps(unit: Uint8Array): Picture | undefined {
  const r = new BitReader(unescaped(unit.subarray(1)))
  const profile = r.bits(8)
  if (!PROFILES.includes(profile)) return undefined
  r.bits(16) // constraints, level
  r.ue() // id
  let chroma = 1
  let depth = 8
  if (HIGH_PROFILES.includes(profile)) {
    chroma = r.ue()
    if (chroma === 3) r.flag() // separate_colour_plane
    depth = 8 + r.ue()
    r.ue() // bit_depth_chroma
    r.flag() // transform bypass
    if (r.flag()) for (let i = 0; i < (chroma === 3 ? 12 : 8); i++) if (r.flag()) skipScalingList(r, i < 6 ? 16 : 64)
  }
  r.ue() // log2_max_frame_num
  const pocType = r.ue()
  if (pocType === 0) r.ue()
  else if (pocType === 1) {
    r.flag()
    r.se()
    r.se()
    for (let n = r.ue(); n > 0; n--) r.se()
  }
  r.ue() // max_num_ref_frames
  r.flag() // gaps allowed
  const widthInMbs = r.ue() + 1
  const heightInMapUnits = r.ue() + 1
  const frameMbsOnly = r.flag()
  if (!frameMbsOnly) r.flag()
  r.flag() // direct_8x8_inference
  const crop = r.flag() ? [r.ue(), r.ue(), r.ue(), r.ue()] : [0, 0, 0, 0]
  const [left = 0, right = 0, top = 0, bottom = 0] = crop
  const step = chromaStep(chroma)
  const fields = frameMbsOnly ? 1 : 2
  return {
    width: widthInMbs * 16 - (left + right) * step.x,
    height: heightInMapUnits * 16 * fields - (top + bottom) * step.y * fields,
    pixFmt: pixelFormat(chroma === 0 ? 1 : chroma, depth), // ffmpeg fills in what a grey picture lacks
  }
}

function skipScalingList(r: BitReader, size: number): void {
  let last = 8
  let next = 8
  for (let i = 0; i < size; i++) {
    if (next !== 0) next = (last + r.se() + 256) % 256
    if (next !== 0) last = next
  }
}

function hevcSps(unit: Uint8Array): Picture {
  const r = new BitReader(unescaped(unit.subarray(2)))
  r.bits(4) // vps id
  const subLayers = r.bits(3)
  r.flag() // temporal_id_nesting
  r.bits(88) // general profile
  r.bits(8) // general level
  const present = Array.from({ length: subLayers }, () => ({ profile: r.flag(), level: r.flag() }))
  if (subLayers > 0) r.bits(2 * (8 - subLayers))
  for (const layer of present) {
    if (layer.profile) r.bits(88)
    if (layer.level) r.bits(8)
  }
  r.ue() // sps id
  const chroma = r.ue()
  if (chroma === 3) r.flag()
  const width = r.ue()
  const height = r.ue()
  const [left = 0, right = 0, top = 0, bottom = 0] = r.flag() ? [r.ue(), r.ue(), r.ue(), r.ue()] : []
  const depth = 8 + r.ue()
  const step = chromaStep(chroma)
  return {
    width: width - (left + right) * step.x,
    height: height - (top + bottom) * step.y,
    pixFmt: pixelFormat(chroma, depth),
  }
}

const NONE = Buffer.alloc(0)
/** By luma samples per chroma sample, across and down. */
const JPEG_FORMATS: Readonly<Record<string, string>> = {
  '2x2': 'yuvj420p',
  '2x1': 'yuvj422p',
  '1x1': 'yuvj444p',
  '1x2': 'yuvj440p',
  '4x1': 'yuvj411p',
}

function jpeg(data: Uint8Array): Parameters | undefined {
  if (data[0] !== 0xff || data[1] !== 0xd8) return undefined
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  for (let at = 2; at + 4 <= data.length;) {
    if (data[at] !== 0xff) return undefined
    const marker = data[at + 1] ?? 0
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isFrame) {
      const [luma = 0x11, chroma = 0x11] = [data[at + 11], data[at + 14]]
      const ratio = `${(luma >> 4) / (chroma >> 4)}x${(luma & 15) / (chroma & 15)}`
      const pixFmt = data[at + 9] === 1 ? 'gray' : (JPEG_FORMATS[ratio] ?? 'yuvj420p')
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), pixFmt, sequence: NONE, extradata: NONE }
    }
    if (marker === 0xda) return undefined // the scan began without a frame header
    at += 2 + (marker === 0xff ? -1 : view.getUint16(at + 2))
  }
  return undefined
}
