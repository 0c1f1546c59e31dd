// One group, as this gateway sees it: its own members, those of other gateways by their beats, and which camera is whose.
import { GROUP_CAMERAS_MAX, GROUP_MEMBERS_MAX, type GroupBeat, type GroupShares } from '../../proto/groups.ts'
import { GroupMember } from './member.ts'
import { plan, type PlannedMember } from './plan.ts'

/** A member that was not heard of for so long is dead. */
const DEAD_MS = 3_000

type Heard = { readonly beat: GroupBeat; readonly atMs: number }

export class Group {
  readonly name: string
  /** This gateway's, by id. */
  readonly members = new Map<string, GroupMember>()
  readonly #heard = new Map<string, Heard>()
  readonly #startMs: number
  #shares: GroupShares | undefined
  #aliveMs = -Infinity

  constructor(name: string, nowMs: number) {
    this.name = name
    this.#startMs = nowMs
  }

  /** Undefined: the group is full. */
  join(onChange: () => void, onHold: (member: GroupMember) => void): GroupMember | undefined {
    if (this.members.size + this.#heard.size >= GROUP_MEMBERS_MAX) return undefined
    const member: GroupMember = new GroupMember(onChange, () => onHold(member))
    this.members.set(member.id, member)
    return member
  }

  hear(beat: GroupBeat, nowMs: number): void {
    if (this.members.has(beat.member)) return
    if (beat.left === true) this.#heard.delete(beat.member)
    else if (this.#heard.has(beat.member) || this.#heard.size < GROUP_MEMBERS_MAX) this.#heard.set(beat.member, { beat, atMs: nowMs })
  }

  get shares(): GroupShares | undefined {
    return this.#shares
  }

  set shares(shares: GroupShares | undefined) {
    this.#shares = shares
    this.#assign()
  }

  /** This gateway is in touch with the others. `again`: it was not for so long that others may have its members' cameras; they have let go. */
  alive(nowMs: number): 'still' | 'again' {
    const wasDead = nowMs - this.#aliveMs > DEAD_MS
    this.#aliveMs = nowMs
    if (wasDead) this.shares = undefined
    return wasDead ? 'again' : 'still'
  }

  outOfTouch(): void {
    this.#aliveMs = -Infinity
    this.shares = undefined
  }

  /** What should stand in the bucket; undefined where that is another gateway's to say, or not yet ours. */
  planned(nowMs: number): GroupShares | undefined {
    for (const [id, { atMs }] of this.#heard) if (nowMs - atMs > DEAD_MS) this.#heard.delete(id)
    const own = [...this.members.values()]
    const beats = [...own.map(({ beat }) => beat), ...[...this.#heard.values()].map(({ beat }) => beat)]
    const oldest = beats.reduce<GroupBeat | undefined>((a, b) => (a !== undefined && isOlder(a, b) ? a : b), undefined)
    const leader = oldest && this.members.get(oldest.member)
    // A new member does not know the others yet.
    if (leader === undefined || nowMs - this.#startMs < DEAD_MS / 2) return undefined
    const current = this.#shares && new Map(Object.entries(this.#shares.cameras))
    const cameras = plan(beats.map(planned), leader.cameras.slice(0, GROUP_CAMERAS_MAX), current)
    return { v: 1, cameras: Object.fromEntries(cameras) }
  }

  get membersKnown(): number {
    return this.members.size + this.#heard.size
  }

  #assign(): void {
    const cameras = Object.entries(this.#shares?.cameras ?? {})
    for (const member of this.members.values()) member.assign(new Set(cameras.filter(([, id]) => id === member.id).map(([uid]) => uid)))
  }
}

const isOlder = (a: GroupBeat, b: GroupBeat): boolean => a.joinedMs < b.joinedMs || (a.joinedMs === b.joinedMs && a.member < b.member)

const planned = ({ member: id, capacityFps, holds }: GroupBeat): PlannedMember => ({ id, capacityFps, holds: new Set(holds) })
