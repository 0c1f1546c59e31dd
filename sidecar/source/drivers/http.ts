// HTTP and HTTPS: playlists, MPEG-TS, MJPEG, files.
import { Failure } from '../../../common/errors.ts'
import { openHttpRelay } from '../../http/relay.ts'
import type { LearntTrait } from '../traits.ts'
import { withoutTls } from '../../../common/net/url.ts'
import { commonInput, ffmpegSource, ioTimeoutUs, LIVE, type FfmpegSource, type SourceDriver } from './driver.ts'
import { parseNetworkUrl } from './network-url.ts'

/** No tls and no httpproxy: a playlist could have ffmpeg connect by them, past the relay. `crypto` decrypts segments. */
const PROTOCOLS = 'http,tcp,crypto'
/** No demuxer that opens files of its own choosing (concat, ffmetadata, image2 …). */
const FORMATS = 'hls,mpegts,mpeg,mov,matroska,flv,mpjpeg,mjpeg,jpeg_pipe,h264,hevc,av1,ivf,avi,asf,ogg,webm_dash_manifest,webvtt'

export const http: SourceDriver<FfmpegSource> = {
  schemes: ['http://', 'https://'],
  parse(text, { variant, trust }) {
    const { origin, path } = parseNetworkUrl(text, { http: 80, https: 443 })
    const url = origin + path
    const memory = { strength: 0 }
    return ffmpegSource({
      openRelay: (credentials, deny) => openHttpRelay(url, deny, { credentials, memory, variant, trust }),
      // The relay knows the password; ffmpeg does not.
      input({ host, port }, _credentials, traits) {
        const limits = ['-protocol_whitelist', PROTOCOLS, '-format_whitelist', FORMATS]
        const proxy = ['-http_proxy', `http://${host}:${port}`, '-rw_timeout', ioTimeoutUs(traits)]
        return { args: [...limits, ...proxy, ...commonInput(traits), '-i', withoutTls(url)], copyTimestamps: traits.wallClock }
      },
      traitIn: traitOfFormat,
      mayBeFile: true,
      skipTrack: LIVE.skipTrack,
      withoutFrame(progress) {
        if (progress?.phase !== 'playing') return LIVE.withoutFrame()
        // A web page, or one image: not every ffmpeg has words for it.
        return new Failure('InvalidStream', 'what answers is no video stream: it ended before its first frame')
      },
    })
  },
}

/** What ffmpeg says of the format tells how to read it. */
function traitOfFormat(line: string): LearntTrait | undefined {
  const format = /Input #0, (\S+), from/.exec(line)?.[1]
  if (format === undefined) return undefined
  if (/^(mpjpeg|mjpeg|jpeg_pipe|h264|hevc|av1|obu)$/.test(format)) return 'wallClock'
  // Files come as fast as they can be read, and playlists in pieces of some seconds.
  return /^(hls|mov|matroska|avi|asf|ogg|ivf)\b/.test(format) ? 'paced' : undefined
}
