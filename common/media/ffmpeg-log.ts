// From ffmpeg's own words to a reason. A table for each thing that ffmpeg does for us. The words are those of ffmpeg 5.1 to 9.
import { REASONS, type Cause, type Reason } from '../../proto/reasons.ts'

/** In order: the first row whose words stand in a line names its cause. Without a sentence of its own it says what the reason means. */
type Table = readonly (readonly [words: RegExp, reason: Reason, sentence?: (words: RegExpExecArray) => string])[]

const WORDS_MAX = 200

/** An ffmpeg that reads a camera; in the order in which a person can act on it. */
export const CAMERA_LINES: Table = [
  [/\b(401 Unauthorized|403 Forbidden|401 \(|Authorization failed|authentication failed)/i, 'AuthFailed'],
  [/\b(404 Not Found|404 Stream Not Found|StreamNotFound|NetStream\.Play\.StreamNotFound)/i, 'NotFound'],
  [/Status 3\d\d: Redirecting/, 'RedirectRefused'],
  [/\b(461 Unsupported transport|Nonmatching transport)/i, 'TransportUnsupported'],
  [/Connection refused/i, 'ConnectionRefused'],
  [/(No route to host|Network is unreachable)/i, 'HostUnreachable'],
  [/(Failed to resolve hostname|Name or service not known|Temporary failure in name resolution)/i, 'HostNotFound'],
  [/(matches no streams|does not contain any stream)/i, 'NoVideoTrack'],
  [/Could not find codec parameters .*unknown codec/i, 'CodecUnsupported'],
  [/exceeds specified max pixel count/i, 'ResolutionTooLarge'],
  [/(unspecified size|dimensions not set)/i, 'NoDecodableFrames', () => 'the camera sends packets without a frame size'],
  [/(Connection timed out|Operation timed out|Connection to .* failed: .*timed out)/i, 'ConnectTimeout'],
  [/\b(50\d [A-Z]|Server returned 5XX)/, 'ServerError'],
  [/\b(40\d [A-Z]|Server returned 4XX)/, 'RequestRefused'],
  [/(Connection reset by peer|Broken pipe)/i, 'ConnectionLost'],
  [/Protocol .* not on whitelist/i, 'ProtocolRefused', () => 'the source leads to a protocol that is not allowed'],
  [/(Invalid data found when processing input|Invalid argument|Could not find codec parameters|Unable to open RTSP)/i, 'InvalidStream'],
]

/** An ffmpeg that writes a file of the archive. Paths are left out. */
export const ARCHIVE_LINES: Table = [
  [
    /Could not find tag for codec (\w+) in stream/,
    'ArchiveCodecUnsupported',
    ([, codec = '']) => `MP4 files do not carry ${codec}, which the camera sends`,
  ],
  [/No space left on device|Disk quota exceeded|File too large/i, 'ArchiveDiskFull'],
  [
    /Permission denied|Read-only file system|Operation not permitted|No such file or directory/i,
    'ArchiveUnwritable',
    ([words]) => `the archive’s directory is not writable (${words})`,
  ],
  [
    /Error writing trailer|Error closing file|av_interleaved_write_frame|Error muxing a packet|Could not write header/i,
    'ArchiveFailed',
    ({ input }) => `ffmpeg can’t write the archive: ${input.replace(/\/\S+/g, '…').slice(0, WORDS_MAX)}`,
  ],
]

/** An ffmpeg that reads a file of the archive. It ends with 0 all the same. */
export const ARCHIVE_READ_LINES: Table = [
  [/Invalid data found|matches no streams/, 'NoVideoTrack'],
  [/Input\/output error|Stale file handle|Cannot allocate memory/, 'ArchiveFailed'],
]

/** An ffmpeg that sends a stream to an RTMP server. */
export const FORWARDING_LINES: Table = [
  [/not compatible with flv|not currently supported in container|incompatible with output codec/i, 'ForwardingCodecUnsupported'],
  [
    /\[error\] Server error: *(.*)/,
    'ForwardingRefused',
    ([, words = '']) => `the RTMP server rejects the stream: ${words.slice(0, WORDS_MAX)}`,
  ],
]

/** The cause that `line` names; undefined for a line that names none. */
export function causeIn(table: Table, line: string): Cause | undefined {
  for (const [words, reason, sentence] of table) {
    const found = words.exec(line)
    if (found !== null) return { reason, message: sentence?.(found) ?? REASONS[reason].meaning }
  }
  return undefined
}

/** ffmpeg says several things of a camera on its way out: the one that a person can act on wins over the consequence it has. */
export function moreTelling(known: Cause | undefined, next: Cause): Cause {
  if (known === undefined) return next
  const rank = (cause: Cause) => CAMERA_LINES.findIndex(([, reason]) => reason === cause.reason)
  return rank(next) < rank(known) ? next : known
}

/** An error in ffmpeg's own words, for a process whose errors have no reasons of their own; undefined for a line that is none. */
export const complaintIn = (line: string): string | undefined =>
  /\[(error|fatal|panic)\]/.test(line) ? line.replace(/^(\[[^\]]*\] *)+/, '').slice(0, WORDS_MAX) : undefined
