import { openRelay } from '../../rtsp/relay.ts'
import { resolveHost } from '../../../common/net/address.ts'
import {
  authority,
  commonInput,
  ffmpegSource,
  ioTimeoutUs,
  LIVE,
  UNPACKED_MAX,
  userInfo,
  type FfmpegSource,
  type SourceDriver,
} from './driver.ts'
import { parseNetworkUrl } from './network-url.ts'

/** Where an RTMP server listens whose URL names no port. */
export const RTMP_PORTS = { rtmp: 1935, rtmps: 443 } as const

export const rtmp: SourceDriver<FfmpegSource> = {
  schemes: ['rtmp://', 'rtmps://'],
  parse(text, { trust }) {
    const { scheme, isTls: tls, host, port, path } = parseNetworkUrl(text, RTMP_PORTS)
    // The server picks the virtual host from tcUrl, so that names the camera, not the relay.
    const tcUrl = `${scheme}://${host}:${port}/${application(path)}`
    return ffmpegSource({
      ...LIVE,
      openRelay: async (_credentials, deny) =>
        openRelay({ host, addresses: await resolveHost(host, deny), port, tls, trust, unpackedMax: UNPACKED_MAX }),
      input(relay, credentials, traits) {
        const format = ['-f', 'flv', '-protocol_whitelist', 'rtmp,tcp', '-rw_timeout', ioTimeoutUs(traits)]
        const url = `rtmp://${userInfo(credentials)}${authority(relay)}${path}`
        const args = [...format, '-rtmp_live', 'live', '-rtmp_tcurl', tcUrl, ...commonInput(traits), '-i', url]
        return { args, copyTimestamps: true }
      },
    })
  },
}

/** The path's first two parts where there are three, as ffmpeg has it. */
function application(path: string): string {
  const parts = path.split('?')[0]?.split('/').slice(1) ?? []
  return parts.slice(0, parts.length > 2 ? 2 : 1).join('/')
}
