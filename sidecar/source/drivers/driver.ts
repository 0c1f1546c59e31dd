// What a URL scheme must bring: a file in this folder, and a line in the list of `../source.ts`. Nothing else asks which scheme it is.
import type { BlockList } from 'node:net'
import { Failure } from '../../../common/errors.ts'
import { demux, type DemuxHandlers, type DemuxRun } from '../../../common/media/demux.ts'
import type { RtpCodec, Transport, Variant } from '../../../proto/camera.ts'
import { PIXELS_MAX } from '../../../proto/frame.ts'
import type { Progress, Relay } from '../../rtsp/relay.ts'
import type { CameraTrust } from '../../../common/net/camera-tls.ts'
import type { Credentials } from '../../../common/net/credentials.ts'
import type { LearntTrait, Traits } from '../traits.ts'

export type SourceDriver<S extends Source = Source> = {
  /** What its URLs begin with, such as `rtsp://`, in lower case. */
  schemes: readonly string[]
  /** Throws an Error that says what is wrong with `text`, without repeating it. */
  parse(text: string, options: SourceOptions): S
}

/** What spec.source says in addition to the URL. */
export type SourceOptions = { transport: Transport; codecs: readonly RtpCodec[]; variant: Variant; trust: CameraTrust }

/** A camera's URL, read. */
export type Source = {
  /** Opens what ffmpeg connects to: it never connects to a camera itself. Undefined: the source needs no connection. */
  openRelay(credentials: Credentials | undefined, deny: BlockList, signal: AbortSignal): Promise<Relay | undefined>
  /** Packets come from now on, until the run is stopped. `relay`: where that listens. */
  open(relay: Place, credentials: Credentials | undefined, traits: Traits, handlers: DemuxHandlers): Promise<DemuxRun>
  /** What a line of ffmpeg's log shows of how the source must be read. */
  traitIn(line: string): LearntTrait | undefined
  /** It may be a file, which comes faster than it plays. */
  mayBeFile: boolean
  /** The video track in use gives no frame: the next connection uses another of `tracks`. Returns the number of this one, from 1 on. */
  skipTrack(tracks: number): number
  /** The source ended before its first frame, and neither ffmpeg nor the relay said why. */
  withoutFrame(progress: Progress | undefined): Failure
}

export type Place = { host: string; port: number }

/** What ffmpeg is told of its input. */
type Input = {
  args: string[]
  /** The source's clock is continuous: its timestamps are kept as they are. */
  copyTimestamps: boolean
}

/** A source that ffmpeg reads. */
export type FfmpegSource = Source & { input(relay: Place, credentials: Credentials | undefined, traits: Traits): Input }

/** A live source, where ffmpeg and the relay say all that can be said of a failure. */
export const LIVE = {
  traitIn: () => undefined,
  mayBeFile: false,
  skipTrack: () => 1,
  withoutFrame: () => new Failure('ConnectFailed', 'the source ended before its first frame'),
} satisfies Partial<Source>

export const ffmpegSource = (source: Omit<FfmpegSource, 'open'>): FfmpegSource => ({
  ...source,
  open(relay, credentials, traits, handlers) {
    const { args, copyTimestamps } = source.input(relay, credentials, traits)
    return demux(args, { copyTimestamps, isWallClock: traits.wallClock }, handlers)
  },
})

/** So much may come without a packet that comes out of ffmpeg: no frame is larger, and twice what it looks at before its first packet. */
export const UNPACKED_MAX = 64 * 1024 * 1024

/** Longer than frames may be apart, and than the camera may take to answer: `watchdog.ts` ends a vain wait earlier. */
export const ioTimeoutUs = ({ connectMs }: Traits): string => String(1000 * Math.max(20_000, connectMs + 5_000))

const BOUNDS = ['-max_pixels', String(PIXELS_MAX)]
/** How much of a stream ffmpeg may look at before its first packet: a camera says what it sends. */
const PROBE = ['-fpsprobesize', '0', '-analyzeduration', '2000000', '-probesize', '1000000']
/** Where nothing but video is asked for, looking ends with the first keyframe; it may be long in coming. */
export const PROBE_LONG = ['-fpsprobesize', '0', '-analyzeduration', '30000000', '-probesize', '32000000']

/** Options of any input: how far to look before the first packet, and which clock to go by. */
export function commonInput({ slow, wallClock, paced }: Traits, probe = PROBE): string[] {
  const clock = [...(wallClock ? ['-use_wallclock_as_timestamps', '1'] : []), ...(paced ? ['-re'] : [])]
  return [...(slow ? PROBE_LONG : probe), ...BOUNDS, ...clock]
}

export const authority = ({ host, port }: Place): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

/** `user:password@` for a URL; empty without credentials. */
export const userInfo = (credentials: Credentials | undefined): string =>
  credentials === undefined ? '' : `${encodeURIComponent(credentials.username)}:${encodeURIComponent(credentials.password)}@`
