// The id of a frame: the same live, replayed, in a snapshot, in a packet decoded by a client, and in an annotation. Opaque to clients.

/** A frame's place: its epoch, the keyframes since the epoch began (its GOP's included), and its packet's place in the GOP. */
export type FramePlace = { readonly epoch: number; readonly keyframe: number; readonly index: number }

const ID = /^([0-9a-z]{1,11})-([0-9a-z]{1,11})-([0-9a-z]{1,11})$/

export const frameId = ({ epoch, keyframe, index }: FramePlace): string =>
  [epoch, keyframe, index].map(number => number.toString(36)).join('-')

/** The place that an id names, or undefined where the text is no id. */
export function placeOfFrame(id: string): FramePlace | undefined {
  const [epoch, keyframe, index] = (ID.exec(id) ?? []).slice(1).map(part => parseInt(part, 36))
  if (epoch === undefined || keyframe === undefined || index === undefined) return undefined
  const place = { epoch, keyframe, index }
  // One text per frame: no leading zeros, nothing beyond a safe integer.
  return frameId(place) === id && [epoch, keyframe, index].every(Number.isSafeInteger) ? place : undefined
}

/** Whether a frame's packet came after another's. In presentation order neighbours of a GOP may be the other way round. */
export const isLater = (frame: FramePlace, other: FramePlace): boolean =>
  (frame.epoch - other.epoch || frame.keyframe - other.keyframe || frame.index - other.index) > 0

/** Whether nothing lies between them. */
export const isNext = (frame: FramePlace, other: FramePlace): boolean =>
  frame.epoch === other.epoch && frame.keyframe === other.keyframe && frame.index === other.index + 1
