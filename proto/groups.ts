// What gateways tell each other about a group: consumers of one user that share cameras out among themselves.
import * as v from 'valibot'

/** Members of all gateways that one group may have, and cameras that it may share out. */
export const GROUP_MEMBERS_MAX = 1_000
export const GROUP_CAMERAS_MAX = 2_000

const id = v.pipe(v.string(), v.regex(/^[0-9a-f]{12}$/))
const uid = v.pipe(v.string(), v.maxLength(64))

/** gateway → gateways, on the group's subject: a member lives. Every second, and whenever `holds` changes. */
export const GroupBeat = v.object({
  v: v.literal(1),
  member: id,
  /** When it joined, ms since the epoch. The oldest member's gateway shares out. */
  joinedMs: v.pipe(v.number(), v.minValue(0)),
  /** Uids of the cameras whose frames it gets now. */
  holds: v.pipe(v.array(uid), v.maxLength(GROUP_CAMERAS_MAX)),
  /** Frames a second that it can take; absent while it keeps up. */
  capacityFps: v.optional(v.pipe(v.number(), v.minValue(0))),
  /** Its last beat. */
  left: v.optional(v.literal(true)),
})
export type GroupBeat = v.InferOutput<typeof GroupBeat>

/** In the `groups` bucket: the member of each camera, by uid. A camera that moves stands here without a member until its old one has let go. */
export const GroupShares = v.object({
  v: v.literal(1),
  cameras: v.pipe(
    v.record(uid, id),
    v.check(cameras => Object.keys(cameras).length <= GROUP_CAMERAS_MAX),
  ),
})
export type GroupShares = v.InferOutput<typeof GroupShares>
