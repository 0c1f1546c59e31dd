// The id of a frame: the same live, replayed, in a snapshot, in a packet decoded by a client, and in an annotation. Opaque to clients.

/**
 * A frame's place: its epoch, the keyframes since the epoch began (its GOP's included), and its packet's place in the GOP. `sub`: in the
 * substream, which has epochs of its own.
 */
export type FramePlace = { readonly epoch: number; readonly keyframe: number; readonly index: number; readonly sub?: true | undefined }

const ID = /^([0-9a-z]{1,11})-([0-9a-z]{1,11})-([0-9a-z]{1,11})(-s)?$/

export const frameId = ({ epoch, keyframe, index, sub }: FramePlace): string =>
  [epoch, keyframe, index].map(number => number.toString(36)).join('-') + (sub === true ? '-s' : '')

/** The place that an id names, or undefined where the text is no id. */
export function placeOfFrame(id: string): FramePlace | undefined {
  const match = ID.exec(id)
  const [epoch, keyframe, index] = (match ?? []).slice(1, 4).map(part => parseInt(part, 36))
  if (epoch === undefined || keyframe === undefined || index === undefined) return undefined
  const place: FramePlace = { epoch, keyframe, index, ...(match?.[4] === undefined ? {} : { sub: true }) }
  // One text per frame: no leading zeros, nothing beyond a safe integer.
  return frameId(place) === id && [epoch, keyframe, index].every(Number.isSafeInteger) ? place : undefined
}

/**
 * Whether a frame's packet came after another's. In presentation order neighbours of a GOP may be the other way round. Places of two streams
 * cannot be compared: the frame counts as later.
 */
export const isLater = (frame: FramePlace, other: FramePlace): boolean =>
  (frame.sub === true) !== (other.sub === true) ||
  (frame.epoch - other.epoch || frame.keyframe - other.keyframe || frame.index - other.index) > 0

/** Whether nothing lies between them. */
export const isNext = (frame: FramePlace, other: FramePlace): boolean =>
  frame.sub === other.sub && frame.epoch === other.epoch && frame.keyframe === other.keyframe && frame.index === other.index + 1
