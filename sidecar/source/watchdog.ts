// When a connection has come to nothing. Times are performance.now().
import { Failure } from '../../common/errors.ts'

/** Until the first frame. A camera that accepts connections and answers slowly gets more, try by try. */
export const CONNECT_MS = 10_000
const CONNECT_MAX_MS = 60_000
/** Longer than any pause that a network makes. */
const STALL_MS = 5_000
const UNDECODABLE_MS = 20_000
/** For a source whose frames are seconds apart. */
const SPARSE_STALL_MS = 15_000
/** A GOP may last minutes. Reconnecting makes many cameras send a keyframe. */
const KEYFRAME_MS = 120_000

export type Facts = {
  nowMs: number
  startedMs: number
  /** What the way to the camera knows; undefined where there is none to watch. */
  phase: 'connecting' | 'connected' | 'playing' | undefined
  lastByteMs: number | undefined
  lastPacketMs: number | undefined
  /** Packets say how large their frames are. */
  sized: boolean
  /** There was a keyframe: packets are passed on. */
  streaming: boolean
  /** By the camera's own clock, between the last two packets that were passed on. */
  stepMs: number
  /** Its frames are taken to come seconds apart, as long as nothing is known of them. */
  sparse: boolean
  /** How long this camera may take until its first packet. */
  connectMs: number
}

/** Why to give up; undefined while there is hope. */
export function overdue(facts: Facts): Failure | undefined {
  const { nowMs, startedMs, phase, lastByteMs, lastPacketMs, sized, streaming, sparse, connectMs } = facts
  const forMs = nowMs - startedMs
  const undecodableMs = UNDECODABLE_MS + connectMs - CONNECT_MS
  const stallMs = stallMsOf(facts)
  if (lastPacketMs !== undefined) {
    if (nowMs - lastPacketMs > stallMs) return stalled(stallMs)
    if (streaming) return undefined
    if (sized) return forMs > KEYFRAME_MS ? noKeyframe(forMs) : undefined
    return forMs > undecodableMs ? new Failure('NoDecodableFrames', `${seconds(undecodableMs)} of packets without a frame size`) : undefined
  }
  if (phase === 'playing') {
    const beginMs = sparse ? Math.max(stallMs, connectMs) : stallMs
    if (nowMs - (lastByteMs ?? startedMs) > beginMs) return stalled(beginMs)
    return forMs > undecodableMs ? new Failure('NoDecodableFrames', `${seconds(undecodableMs)} of data without a frame in it`) : undefined
  }
  return forMs > connectMs ? noAnswer(phase, connectMs) : undefined
}

/** Whether a camera that is there only was too slow: the next try waits longer. */
export const isSlow = ({ reason }: Failure, { phase, lastPacketMs, sparse }: Facts): boolean =>
  (reason === 'ConnectTimeout' && phase === 'connected') || (reason === 'StreamStalled' && lastPacketMs === undefined && sparse)

/** How long the next try may take, after one that was too slow, or `tookMs` until the first frame. */
export const nextConnectMs = ({ connectMs }: Pick<Facts, 'connectMs'>, tookMs?: number): number =>
  Math.min(Math.max(2 * (tookMs ?? connectMs), CONNECT_MS), CONNECT_MAX_MS)

const noAnswer = (phase: Facts['phase'], ms: number) =>
  new Failure(
    'ConnectTimeout',
    phase === 'connected'
      ? `the camera accepts the connection but sent no frame within ${seconds(ms)}: the next try waits up to ${seconds(nextConnectMs({ connectMs: ms }))}`
      : `the camera sent no frame within ${seconds(ms)}`,
  )

const stallMsOf = ({ streaming, stepMs, sparse }: Facts): number =>
  streaming ? Math.min(Math.max(STALL_MS, 2 * stepMs), SPARSE_STALL_MS) : sparse ? SPARSE_STALL_MS : STALL_MS

/** How long until a stream is overdue that sends nothing more. */
export const stallsInMs = (facts: Facts): number => Math.max(0, stallMsOf(facts) - (facts.nowMs - (facts.lastPacketMs ?? facts.nowMs))) + 10

/** Frames that come seconds apart look so, and so does a camera that has stopped: the next try is of the other kind. */
export const looksSparse = ({ reason }: Failure, { streaming }: Facts): boolean =>
  !streaming && (reason === 'StreamStalled' || reason === 'NoDecodableFrames')

/** Worth saying while one goes on waiting. */
export const waitsForKeyframe = ({ nowMs, startedMs, lastPacketMs, sized, streaming }: Facts): Failure | undefined =>
  lastPacketMs !== undefined && sized && !streaming && nowMs - startedMs > UNDECODABLE_MS ? noKeyframe(nowMs - startedMs) : undefined

const noKeyframe = (ms: number) => new Failure('NoKeyframe', `the camera has sent no keyframe for ${seconds(ms)}`)

const stalled = (ms: number) => new Failure('StreamStalled', `the camera is connected but has sent nothing for ${seconds(ms)}`)

const seconds = (ms: number): string => `${Math.floor(ms / 1000)} s`
