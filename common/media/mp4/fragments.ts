// A fragmented MP4 of one video track: a head, and fragments of samples. Pure.
import { frameId } from '../../../proto/frame-id.ts'
import type { Packet } from '../../../proto/messages.ts'
import { box, fullBox, mdatHead, text, u16, u32, u64, u8 } from './boxes.ts'
import { TIMESCALE, type MediaTime } from '../media-timeline.ts'
import type { Mp4Track } from './track.ts'

export type Sample = MediaTime & {
  readonly packet: Packet
  readonly data: readonly Uint8Array[]
  /** In ticks, until the next sample is decoded. */
  readonly duration: number
}

/** Of the emsg box in front of each frame: its message is JSON, `{"id": frame id, "captureTime": ms since the epoch}`. */
const FRAME_SCHEME = 'urn:chrysalis-edge:frame'

const MATRIX = u32(0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000)

/** `duration`: in ticks, of all samples; 0 where they follow in fragments. `firstShow`: when the first frame is shown, which becomes the movie's start. */
export type Movie = { readonly duration: number; readonly firstShow: number }

/** Without samples where `tables` have none. */
export function moov(track: Mp4Track, { duration, firstShow }: Movie, tables: readonly Buffer[], more: readonly Buffer[] = []): Buffer {
  const { width, height, entry } = track
  const stsd = fullBox('stsd', 0, 0, u32(1), entry)
  const dinf = box('dinf', fullBox('dref', 0, 0, u32(1), fullBox('url ', 0, 1)))
  const minf = box('minf', fullBox('vmhd', 0, 1, u16(0, 0, 0, 0)), dinf, box('stbl', stsd, ...tables))
  const hdlr = fullBox('hdlr', 0, 0, u32(0), text('vide'), u32(0, 0, 0), text('video\0'))
  const mdia = box('mdia', fullBox('mdhd', 1, 0, u64(0), u64(0), u32(TIMESCALE), u64(duration), u16(0x55c4, 0)), hdlr, minf)
  const about = [u64(0), u64(0), u32(1, 0), u64(duration), u32(0, 0), u16(0, 0, 0, 0), MATRIX, u32(width * 65_536, height * 65_536)]
  const tkhd = fullBox('tkhd', 1, 3, ...about)
  const mvhd = [u64(0), u64(0), u32(TIMESCALE), u64(duration), u32(0x1_0000), u16(0x100, 0), u32(0, 0), MATRIX, Buffer.alloc(24), u32(2)]
  // With B-frames frames are decoded before the first is shown.
  const edits = firstShow > 0 ? [box('edts', fullBox('elst', 1, 0, u32(1), u64(duration), u64(firstShow), u32(0x1_0000)))] : []
  return box('moov', fullBox('mvhd', 1, 0, ...mvhd), box('trak', tkhd, ...edits, mdia), ...more)
}

/** What comes before the first fragment. */
export function mp4Head(track: Mp4Track, firstShow = 0): Buffer {
  const empty = ['stts', 'stsc', 'stco'].map(type => fullBox(type, 0, 0, u32(0)))
  const mvex = box('mvex', fullBox('trex', 0, 0, u32(1, 1, 0, 0, 0)))
  const ftyp = box('ftyp', text('iso6'), u32(0), text('iso6mp41'))
  return Buffer.concat([ftyp, moov(track, { duration: 0, firstShow }, [...empty, fullBox('stsz', 0, 0, u32(0, 0))], [mvex])])
}

const KEY = 0x200_0000
const NOT_KEY = 0x101_0000
/** data-offset, and of each sample duration, size, flags and composition offset. */
const TRUN = 0xf01

/** `number` counts fragments from 1 on. At least one sample. `firstShow`: as in the head. */
export function mp4Fragment(number: number, samples: readonly Sample[], firstShow = 0): Buffer {
  const rows: number[] = []
  let bytes = 0
  for (const { packet, data, duration, show, decode } of samples) {
    const size = data.reduce((sum, part) => sum + part.length, 0)
    bytes += size
    rows.push(duration, size, packet.key ? KEY : NOT_KEY, show - decode)
  }
  const moof = (offset: number) => {
    const trun = fullBox('trun', 1, TRUN, u32(samples.length, offset), u32(...rows))
    const tfhd = fullBox('tfhd', 0, 0x2_0000, u32(1)) // offsets count from the moof
    return box('moof', fullBox('mfhd', 0, 0, u32(number)), box('traf', tfhd, fullBox('tfdt', 1, 0, u64(samples[0]?.decode ?? 0)), trun))
  }
  const { length } = moof(0)
  const head = mdatHead(bytes)
  return Buffer.concat([...frameEvents(samples, firstShow), moof(length + head.length), head, ...samples.flatMap(({ data }) => data)])
}

/** Which frames are shown at which times of the movie, and when they were captured. */
export const frameEvents = (samples: readonly Sample[], firstShow: number): Buffer[] =>
  samples.map(sample => frameEvent(sample, Math.max(0, sample.show - firstShow)))

function frameEvent({ packet, duration }: Sample, atTicks: number): Buffer {
  const message = JSON.stringify({ id: frameId(packet), captureTime: packet.timestamp })
  const times = [u32(TIMESCALE), u64(atTicks), u32(duration), u32(atTicks)]
  return fullBox('emsg', 1, 0, ...times, text(FRAME_SCHEME), u8(0), u8(0), text(message))
}
