// From ffmpeg's own words to a reason a person can act on. The words are those of ffmpeg 5.1 to 9.
import type { Cause, Reason } from '../../proto/reasons.ts'

const CAUSES: readonly (readonly [RegExp, Reason, string])[] = [
  [
    /\b(401 Unauthorized|403 Forbidden|401 \(|Authorization failed|authentication failed)/i,
    'AuthFailed',
    'the camera rejects the user name or password',
  ],
  [
    /\b(404 Not Found|404 Stream Not Found|StreamNotFound|NetStream\.Play\.StreamNotFound)/i,
    'NotFound',
    'the camera has no stream at this path',
  ],
  [/Status 3\d\d: Redirecting/, 'RedirectRefused', 'the camera redirects to another address, which is refused'],
  [/\b(461 Unsupported transport|Nonmatching transport)/i, 'TransportUnsupported', 'the camera rejects this transport'],
  [/Connection refused/i, 'ConnectionRefused', 'nothing listens at this address and port'],
  [/(No route to host|Network is unreachable)/i, 'HostUnreachable', 'no route to this address'],
  [
    /(Failed to resolve hostname|Name or service not known|Temporary failure in name resolution)/i,
    'HostNotFound',
    'the host name does not resolve',
  ],
  [/(matches no streams|does not contain any stream)/i, 'NoVideoTrack', 'the source has no video track'],
  [/Could not find codec parameters .*unknown codec/i, 'CodecUnsupported', 'the camera’s codec is unknown'],
  [/exceeds specified max pixel count/i, 'ResolutionTooLarge', 'the frames are larger than 40 megapixels'],
  [/(unspecified size|dimensions not set)/i, 'NoDecodableFrames', 'the camera sends packets without a frame size'],
  [/(Connection timed out|Operation timed out|Connection to .* failed: .*timed out)/i, 'ConnectTimeout', 'the camera does not answer'],
  [/\b(50\d [A-Z]|Server returned 5XX)/, 'ServerError', 'the camera answers with an internal error'],
  [/\b(40\d [A-Z]|Server returned 4XX)/, 'RequestRefused', 'the camera rejects the request'],
  [/(Connection reset by peer|Broken pipe)/i, 'ConnectionLost', 'the camera closed the connection'],
  [/Protocol .* not on whitelist/i, 'ProtocolRefused', 'the source leads to a protocol that is not allowed'],
  [
    /(Invalid data found when processing input|Invalid argument|Could not find codec parameters|Unable to open RTSP)/i,
    'InvalidStream',
    'what the camera sends is not understood',
  ],
]

/** The first cause that `line` names; undefined for a line that names none. */
export function causeOf(line: string): Cause | undefined {
  for (const [words, reason, message] of CAUSES) if (words.test(line)) return { reason, message }
  return undefined
}

/** ffmpeg says several things on its way out: the one that a person can act on wins over the consequence it has. */
export function moreTelling(known: Cause | undefined, next: Cause): Cause {
  if (known === undefined) return next
  const rank = (cause: Cause) => CAUSES.findIndex(([, reason]) => reason === cause.reason)
  return rank(next) < rank(known) ? next : known
}
