// What an RTSP server offers, in its own words (SDP, RFC 8866).
import { Failure } from '../../common/errors.ts'

/** RTP payloads of video that can be decoded, as RFC 3551 and the codecs' own documents name them. */
const PAYLOADS = ['H264', 'H265', 'JPEG', 'MP4V-ES', 'MPV', 'MP2T', 'VP8', 'VP9', 'AV1']
const STATIC_PAYLOADS: Readonly<Record<string, string>> = { 26: 'JPEG', 32: 'MPV', 33: 'MP2T', 31: 'H261', 34: 'H263' }

/** Throws Failure NoVideoTrack or CodecUnsupported: without a picture that can be decoded there is no use in asking for it. */
export function checkDescription(sdp: string): void {
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
  throw new Failure('CodecUnsupported', `the camera sends ${names}, which is not supported`)
}
