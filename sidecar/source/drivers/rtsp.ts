import { openRelay } from '../../rtsp/relay.ts'
import type { Learnt } from '../../rtsp/session.ts'
import { resolveHost } from '../../../common/net/address.ts'
import {
  authority,
  commonInput,
  ffmpegSource,
  ioTimeoutUs,
  LIVE,
  PROBE_LONG,
  UNPACKED_MAX,
  type FfmpegSource,
  type SourceDriver,
} from './driver.ts'
import { parseNetworkUrl } from './network-url.ts'

export const RTSP_PORTS = { rtsp: 554, rtsps: 322 } as const
/** Of frames that come seconds apart one must do: ffmpeg would look at eight. */
const PROBE_SHORT = ['-fpsprobesize', '0', '-probesize', '32']

export const rtsp: SourceDriver<FfmpegSource> = {
  schemes: ['rtsp://', 'rtsps://'],
  parse(text, { transport: wanted, codecs, trust }) {
    const { isTls: tls, host, port, path, origin } = parseNetworkUrl(text, RTSP_PORTS)
    const transport = tls ? 'tcp' : wanted // what is encrypted is one connection
    const learnt: Learnt = { lapses: 0, strength: 0, silences: 0 }
    return ffmpegSource({
      ...LIVE,
      skipTrack: tracks => (learnt.silences++ % tracks) + 1,
      async openRelay(credentials, deny) {
        const way = { host, addresses: await resolveHost(host, deny), port, tls, trust, unpackedMax: UNPACKED_MAX }
        return openRelay({ ...way, rtsp: { url: origin + path, credentials, codecs, udp: transport === 'udp', learnt } })
      },
      // The relay knows the password and the camera's URL; ffmpeg knows neither.
      input(relay, _credentials, traits) {
        const protocols = transport === 'udp' ? 'rtp,udp,tcp' : 'rtp,tcp'
        const format = ['-f', 'rtsp', '-protocol_whitelist', protocols, '-rtsp_transport', transport, '-allowed_media_types', 'video']
        const common = commonInput(traits, traits.sparse ? PROBE_SHORT : PROBE_LONG)
        return {
          args: [...format, '-timeout', ioTimeoutUs(traits), ...common, '-i', `rtsp://${authority(relay)}/`],
          copyTimestamps: true,
        }
      },
    })
  },
}
