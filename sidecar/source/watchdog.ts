// When a connection has come to nothing. Times are performance.now().
import { Failure } from '../../common/errors.ts'

const CONNECT_MS = 10_000
/** Longer than any pause that a network makes. */
const STALL_MS = 5_000
const UNDECODABLE_MS = 20_000
/** For a source whose pictures are seconds apart. */
const SPARSE_STALL_MS = 15_000
/** Groups of pictures may last minutes. To connect anew makes many cameras send a keyframe. */
const KEYFRAME_MS = 120_000

export type Facts = {
  nowMs: number
  startedMs: number
  /** What the way to the camera knows; undefined where there is none to watch. */
  phase: 'connecting' | 'connected' | 'playing' | undefined
  lastByteMs: number | undefined
  lastPacketMs: number | undefined
  /** Packets say how large their pictures are. */
  sized: boolean
  /** There was a keyframe: packets are passed on. */
  streaming: boolean
  /** By the camera's own clock, between the last two packets that were passed on. */
  stepMs: number
  /** Its pictures are taken to come seconds apart, as long as nothing is known of them. */
  sparse: boolean
}

/** Why to give up; undefined while there is hope. */
export function overdue(facts: Facts): Failure | undefined {
  const { nowMs, startedMs, phase, lastByteMs, lastPacketMs, sized, streaming, stepMs, sparse } = facts
  const forMs = nowMs - startedMs
  const stallMs = streaming ? Math.min(Math.max(STALL_MS, 2 * stepMs), SPARSE_STALL_MS) : sparse ? SPARSE_STALL_MS : STALL_MS
  if (lastPacketMs !== undefined) {
    if (nowMs - lastPacketMs > stallMs) return stalled(stallMs)
    if (streaming) return undefined
    if (sized) return forMs > KEYFRAME_MS ? noKeyframe(forMs) : undefined
    return forMs > UNDECODABLE_MS
      ? new Failure('NoDecodableFrames', `${seconds(UNDECODABLE_MS)} of packets without a frame size`)
      : undefined
  }
  if (phase === 'playing') {
    if (nowMs - (lastByteMs ?? startedMs) > stallMs) return stalled(stallMs)
    return forMs > UNDECODABLE_MS ? new Failure('NoDecodableFrames', `${seconds(UNDECODABLE_MS)} of data without a frame in it`) : undefined
  }
  return forMs > CONNECT_MS ? new Failure('ConnectTimeout', `the camera sent no frame within ${seconds(CONNECT_MS)}`) : undefined
}

/** Pictures that come seconds apart look so, and so does a camera that has stopped: the next try is of the other kind. */
export const looksSparse = ({ reason }: Failure, { streaming }: Facts): boolean =>
  !streaming && (reason === 'StreamStalled' || reason === 'NoDecodableFrames')

/** Worth saying while one goes on waiting. */
export const waitsForKeyframe = ({ nowMs, startedMs, lastPacketMs, sized, streaming }: Facts): Failure | undefined =>
  lastPacketMs !== undefined && sized && !streaming && nowMs - startedMs > UNDECODABLE_MS ? noKeyframe(nowMs - startedMs) : undefined

const noKeyframe = (ms: number) => new Failure('NoKeyframe', `the camera has sent no keyframe for ${seconds(ms)}`)

const stalled = (ms: number) => new Failure('StreamStalled', `the camera is connected but has sent nothing for ${seconds(ms)}`)

const seconds = (ms: number): string => `${Math.floor(ms / 1000)} s`
