// A camera's URL → what ffmpeg is told. ffmpeg connects to loopback relays of ours, never to a name: one protocol is
// open to it, and no address, redirect or playlist of a camera's choosing.
import type { Transport } from '../../proto/camera.ts'
import { PIXELS_MAX } from '../../proto/frame.ts'
import type { Testsrc } from '../testsrc/run.ts'
import { splitUrl } from './url.ts'
import type { LearntTimes } from '../timing/epoch.ts'
import { CONNECT_MS } from './watchdog.ts'

export type Source =
  | { kind: 'rtsp' | 'rtmp'; tls: boolean; host: string; port: number; path: string; origin: string; transport: Transport }
  | { kind: 'http'; url: string; host: string }
  | ({ kind: 'testsrc' } & Testsrc)

/** What ffmpeg reads. */
export type Remote = Exclude<Source, { kind: 'testsrc' }>

const SCHEMES = 'must start with rtsp://, rtsps://, rtmp://, rtmps://, http://, https:// or testsrc:'
const DEFAULT_PORT: Readonly<Record<string, number>> = { rtsp: 554, rtsps: 322, rtmp: 1935, rtmps: 443 }

/** Throws an Error that says what is wrong with `text`, without repeating it. */
export function parseSource(text: string, transport: Transport): Source {
  if (text.startsWith('testsrc:')) return parseTestsrc(text)
  const wrong = (what: string) => new Error(`spec.source.url: ${what}`)
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0020\u007f]/.test(text)) throw wrong('control characters and spaces are not allowed')
  if (!/^(rtsps?|rtmps?|https?):\/\//i.test(text)) throw wrong(SCHEMES)
  const url = splitUrl(text)
  if (url === undefined) throw wrong('a host is required, by name or address, and a port of 1-65535 if any')
  const { scheme, userInfo, host, port, rest: path } = url
  if (userInfo !== '') throw wrong('credentials belong in spec.source.credentialsSecretRef')
  if (host === '') throw wrong('a host is required')
  const origin = `${scheme}://${host}${port === undefined ? '' : `:${port}`}`
  if (scheme === 'http' || scheme === 'https') return { kind: 'http', url: origin + path, host }
  return {
    kind: scheme.startsWith('rtsp') ? 'rtsp' : 'rtmp',
    tls: scheme.endsWith('s'),
    host,
    port: port ?? DEFAULT_PORT[scheme] ?? 0,
    path,
    origin,
    // What is encrypted is one connection.
    transport: scheme === 'rtsps' ? 'tcp' : transport,
  }
}

function parseTestsrc(text: string): Source {
  const query = new URLSearchParams(text.slice('testsrc:'.length).replace(/^\?/, ''))
  const [width = 0, height = 0] = (query.get('size') ?? '640x360').split('x').map(Number)
  const whole = (name: string, fallback: number, max: number) => {
    const value = Number(query.get(name) ?? fallback)
    if (Number.isInteger(value) && value >= 1 && value <= max) return value
    throw new Error(`spec.source.url: ${name} must be a whole number from 1 to ${max}`)
  }
  const fits = (pixels: number, max: number) => Number.isInteger(pixels) && pixels >= 16 && pixels <= max && pixels % 2 === 0
  if (!fits(width, 3840) || !fits(height, 2160))
    throw new Error('spec.source.url: size must be even, WIDTHxHEIGHT, from 16x16 to 3840x2160')
  const rate = whole('rate', 15, 120)
  return { kind: 'testsrc', width, height, rate, gop: whole('gop', rate, 1000) }
}

export type Credentials = { username: string; password: string }

export type InputArgs = {
  args: string[]
  /** The source's clock is continuous: its timestamps are kept as they are. */
  copyTimestamps: boolean
}

/** How much of a stream ffmpeg may look at before its first packet: a camera says what it sends. */
const PROBE = ['-fpsprobesize', '0', '-analyzeduration', '2000000', '-probesize', '1000000']
/** Where nothing but video is asked for, looking ends with the first keyframe; it may be long in coming. */
const PROBE_LONG = ['-fpsprobesize', '0', '-analyzeduration', '30000000', '-probesize', '32000000']
/** Of pictures that come seconds apart one must do: ffmpeg would look at eight. */
const PROBE_SHORT = ['-fpsprobesize', '0', '-probesize', '32']
const BOUNDS = ['-max_pixels', String(PIXELS_MAX)]
/** Longer than frames may be apart, and than the camera may take to answer: `watchdog.ts` ends a vain wait earlier. */
const ioTimeoutUs = ({ connectMs }: Traits): string => String(1000 * Math.max(20_000, connectMs + 5_000))

/** What was learnt of a source while it ran. */
export type Traits = {
  /** It has no timestamps: the wall clock gives them. */
  wallClock: boolean
  /** It comes faster than it plays (a file): it is read at its own pace. */
  paced: boolean
  /** A first look did not find the size of its picture. */
  slow: boolean
  /** Its pictures may come seconds apart: there is no looking at many of them first. */
  sparse: boolean
  /** How long it may take until its first packet. */
  connectMs: number
  times: LearntTimes
  /** performance.now() when its clock last jumped back in a way that took a restart. */
  jumpedBackMs?: number
}

/** Of a source that has not run yet. */
export const newTraits = (): Traits => ({
  wallClock: false,
  paced: false,
  slow: false,
  sparse: false,
  connectMs: CONNECT_MS,
  times: { isArrival: false, rate: 1 },
})

/** What ffmpeg says of an HTTP source's format tells how to read it. */
export function traitOfFormat(line: string): 'wallClock' | 'paced' | undefined {
  const format = /Input #0, (\S+), from/.exec(line)?.[1]
  if (format === undefined) return undefined
  if (/^(mpjpeg|mjpeg|jpeg_pipe|h264|hevc|av1|obu)$/.test(format)) return 'wallClock'
  // Files come as fast as they can be read, and playlists in pieces of some seconds.
  return /^(hls|mov|matroska|avi|asf|ogg|ivf)\b/.test(format) ? 'paced' : undefined
}

/** What ffmpeg is told instead of an https URL: the relay (`sidecar/http/`) knows that TLS is spoken there. */
export function withoutTls(text: string): string {
  const url = splitUrl(text)
  if (url?.scheme !== 'https') return text
  return `http://${url.userInfo}${url.host}:${url.port ?? 443}${url.rest}`
}

function probeOf({ kind }: Remote, { slow, sparse }: Traits): string[] {
  if (slow) return PROBE_LONG
  if (kind === 'rtsp') return sparse ? PROBE_SHORT : PROBE_LONG
  return PROBE
}

/** ffmpeg's input for a relayed source: `at` is where ffmpeg connects. */
export function inputArgs(
  source: Remote,
  at: { host: string; port: number },
  credentials: Credentials | undefined,
  traits: Traits,
): InputArgs {
  const user = credentials === undefined ? '' : `${encodeURIComponent(credentials.username)}:${encodeURIComponent(credentials.password)}@`
  const clock = [...(traits.wallClock ? ['-use_wallclock_as_timestamps', '1'] : []), ...(traits.paced ? ['-re'] : [])]
  const address = `${at.host.includes(':') ? `[${at.host}]` : at.host}:${at.port}`
  const probe = [...probeOf(source, traits), ...BOUNDS]
  switch (source.kind) {
    case 'rtsp': {
      // The relay knows the password, and names the camera; ffmpeg knows neither.
      const protocols = source.transport === 'udp' ? 'rtp,udp,tcp' : 'rtp,tcp'
      const input = ['-f', 'rtsp', '-protocol_whitelist', protocols, '-rtsp_transport', source.transport, '-allowed_media_types', 'video']
      const url = `rtsp://${address}${source.path}`
      return { args: [...input, '-timeout', ioTimeoutUs(traits), ...probe, ...clock, '-i', url], copyTimestamps: true }
    }
    case 'rtmp': {
      // The server picks the virtual host from tcUrl, so that names the camera, not the relay. The application is the path's first two
      // parts where there are three, as ffmpeg has it.
      const parts = source.path.split('?')[0]?.split('/').slice(1) ?? []
      const app = parts.slice(0, parts.length > 2 ? 2 : 1).join('/')
      const tcUrl = `${source.tls ? 'rtmps' : 'rtmp'}://${source.host}:${source.port}/${app}`
      const input = [
        '-f',
        'flv',
        '-protocol_whitelist',
        'rtmp,tcp',
        '-rw_timeout',
        ioTimeoutUs(traits),
        '-rtmp_live',
        'live',
        '-rtmp_tcurl',
        tcUrl,
      ]
      return { args: [...input, ...probe, ...clock, '-i', `rtmp://${user}${address}${source.path}`], copyTimestamps: true }
    }
    case 'http': {
      const url = withoutTls(source.url).replace('://', `://${user}`)
      const proxy = `http://${at.host}:${at.port}`
      // No tls and no httpproxy: a playlist could have ffmpeg connect by them, past the proxy. `crypto` decrypts segments.
      const input = ['-protocol_whitelist', 'http,tcp,crypto', '-format_whitelist', HTTP_FORMATS, '-http_proxy', proxy]
      return {
        args: [...input, '-rw_timeout', ioTimeoutUs(traits), ...probe, ...clock, '-i', url],
        copyTimestamps: traits.wallClock,
      }
    }
  }
}

/** What may come by HTTP: no demuxer that opens files of its own choosing (concat, ffmetadata, image2 …). */
const HTTP_FORMATS = 'hls,mpegts,mpeg,mov,matroska,flv,mpjpeg,mjpeg,jpeg_pipe,h264,hevc,av1,ivf,avi,asf,ogg,webm_dash_manifest,webvtt'
