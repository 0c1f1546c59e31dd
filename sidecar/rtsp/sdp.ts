// What an RTSP server offers (SDP, RFC 8866), and the one track of it that ffmpeg is told of.
import { Failure } from '../../common/errors.ts'
import type { RtpCodec } from '../../proto/camera.ts'

/** By the names that RFC 3551 and the codecs' own documents give them, and those that cameras make up. */
const CODECS: Readonly<Record<string, RtpCodec>> = {
  H264: 'H264',
  'H.264': 'H264',
  AVC: 'H264',
  H265: 'H265',
  'H.265': 'H265',
  HEVC: 'H265',
  JPEG: 'JPEG',
  MJPEG: 'JPEG',
  'MP4V-ES': 'MPEG4',
  MPV: 'MPEG2',
  MP2T: 'MPEGTS',
  VP8: 'VP8',
  VP9: 'VP9',
  AV1: 'AV1',
}
/** As ffmpeg knows them. */
const RTP_NAMES: Readonly<Record<RtpCodec, string>> = {
  ...{ H264: 'H264', H265: 'H265', JPEG: 'JPEG', MPEG4: 'MP4V-ES', MPEG2: 'MPV', MPEGTS: 'MP2T', VP8: 'VP8', VP9: 'VP9', AV1: 'AV1' },
}
const STATIC_PAYLOADS: Readonly<Record<string, string>> = { 26: 'JPEG', 32: 'MPV', 33: 'MP2T', 31: 'H261', 34: 'H263' }
/** Tracks that a camera may offer of one picture. */
const TRACKS_MAX = 16
/** Nothing that is longer says more. */
const LINES_MAX = 10_000

export type Track = {
  codec: RtpCodec
  payload: number
  control: string | undefined
  /** Its `a=` lines that ffmpeg heeds. */
  attributes: readonly string[]
}

export type Description = { control: string | undefined; tracks: readonly [Track, ...Track[]] }

/** Throws Failure NoVideoTrack or CodecUnsupported: without a picture that can be decoded there is no use in asking for it. */
export function readDescription(sdp: string, codecs: readonly RtpCodec[]): Description {
  const [session = [], ...media] = sectionsOf(sdp)
  const video = media.filter(([first = '']) => /^m=video\s/i.test(first)).slice(0, TRACKS_MAX)
  if (video.length === 0) throw new Failure('NoVideoTrack', 'the camera offers no video at this path')
  const offered = video.flatMap(section => offersOf(section, codecs))
  const [first, ...others] = offered.flatMap(({ codec, ...track }) =>
    codec !== undefined && codecs.includes(codec) ? { ...track, codec } : [],
  )
  if (first !== undefined) return { control: controlOf(session), tracks: [first, ...others] }
  const names = [...new Set(offered.map(({ name }) => name.replaceAll(/[^\w.-]/g, '').slice(0, 32) || 'an unknown codec'))].join(', ')
  throw new Failure('CodecUnsupported', `the camera sends ${names}, which is not supported, or not allowed by source.codecs`)
}

/** The SDP of `track` alone, of which nothing else is opened. */
export function descriptionOf({ codec, payload, attributes }: Track): string {
  const lines = [
    ...['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 0.0.0.0', 't=0 0'],
    ...[`m=video 0 RTP/AVP ${payload}`, `a=rtpmap:${payload} ${RTP_NAMES[codec]}/90000`, ...attributes, 'a=control:track'],
  ]
  return `${lines.join('\r\n')}\r\n`
}

function sectionsOf(sdp: string): string[][] {
  const sections: string[][] = [[]]
  for (const line of sdp.split(/[\r\n\0]+/, LINES_MAX)) {
    const text = line.trim()
    if (/^m=/i.test(text)) sections.push([text])
    else if (text !== '') sections.at(-1)?.push(text)
  }
  return sections
}

type Offer = Omit<Track, 'codec'> & { codec: RtpCodec | undefined; name: string }

/** A track may come in several payload types. */
function offersOf(section: readonly string[], codecs: readonly RtpCodec[]): Offer[] {
  const [first = ''] = section
  const payloads = /^m=\w+\s+\S+\s+\S+((?:\s+\d+)+)/i.exec(first)?.[1]?.trim().split(/\s+/) ?? []
  const offers = payloads.slice(0, TRACKS_MAX).flatMap(text => {
    const payload = Number(text)
    if (payload > 127) return []
    const value = (name: string) => valueOf(section, `${name}:${payload}`)
    const fmtp = value('fmtp')
    const name = (value('rtpmap')?.split('/')[0]?.trim() ?? STATIC_PAYLOADS[payload] ?? guessed(fmtp)).toUpperCase()
    const kept = section.filter(line => /^a=(framerate|cliprect|x-dimensions):/i.test(line) || line.startsWith(`a=framesize:${payload} `))
    const attributes = [...(fmtp === undefined ? [] : [`a=fmtp:${payload} ${fmtp}`]), ...kept]
    return { name, codec: CODECS[name], payload, control: controlOf(section), attributes }
  })
  // Of one track the payload that can be decoded stands for it.
  const open = offers.find(({ codec }) => codec !== undefined && codecs.includes(codec))
  const known = open ?? offers.find(({ codec }) => codec !== undefined)
  return known === undefined ? offers.slice(0, 1) : [known]
}

/** A payload type without a name may still say what only one codec says. */
function guessed(fmtp = ''): string {
  if (/sprop-(vps|sps|pps)=/i.test(fmtp)) return 'H265'
  return /(sprop-parameter-sets|profile-level-id=[0-9a-f]{6}\b|packetization-mode)/i.test(fmtp) ? 'H264' : ''
}

/** The value of the line `a=key value`. */
function valueOf(section: readonly string[], key: string): string | undefined {
  const start = `a=${key}`
  const line = section.find(line => line.toLowerCase().startsWith(start) && /^\s/.test(line.slice(start.length)))
  return line?.slice(start.length).trim()
}

const controlOf = (section: readonly string[]): string | undefined =>
  section
    .find(line => /^a=control:/i.test(line))
    ?.slice('a=control:'.length)
    .trim()
