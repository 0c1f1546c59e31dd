// Groups of consumers that share cameras out. Members are known by their beats; who has which camera stands in KV, written by the gateway of a
// group's oldest member. Another gateway's write is never overwritten unseen.
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { KV } from 'nats'
import { every, within } from '../../common/abort.ts'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import { openBucket, watchBucket, type BucketView } from '../../common/nats/buckets.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { isConflict } from '../../common/nats/streams.ts'
import { GroupBeat, GroupShares } from '../../proto/groups.ts'
import { BadMessage, parseJson } from '../../proto/messages.ts'
import { GROUP_SUBJECTS, groupOfSubject, groupSubject } from '../../proto/subjects.ts'
import { Refusal } from '../refusal.ts'
import { Group } from './group.ts'
import type { GroupMember } from './member.ts'
import type { GroupMetrics } from './metrics.ts'

/** Of this gateway's clients. */
const GROUPS_MAX = 64
const TICK_MS = 500
const CALL_MS = 2_000
/** What stands in the bucket is written again this often, as the bucket forgets what is older than a day. */
const RENEW_MS = 3_600_000

/** Who shares with whom: the same user, with the same name for the group, and the same cameras in mind. */
export type GroupOf = { readonly user: string; readonly name: string; readonly selection: string }

export class Groups {
  readonly #metrics: GroupMetrics
  readonly #log: Logger
  readonly #warn: (message: string) => void
  readonly #groups = new Map<string, Group>()
  readonly #writtenMs = new Map<string, number>()
  #nats: Nats | undefined
  #bucket: KV | undefined
  #isSynced = false
  #ticks = 0

  constructor(metrics: GroupMetrics, log: Logger) {
    this.#metrics = metrics
    this.#log = log
    this.#warn = everyMinute((count, error) => log.warn({ count, error }, 'cannot share out the cameras of a group'))
  }

  /** `onChange` is called when other cameras are the member's own. Throws a Refusal. Disposing leaves the group. */
  join({ user, name, selection }: GroupOf, onChange: () => void): { readonly member: GroupMember } & Disposable {
    const key = createHash('sha256')
      .update(JSON.stringify([user, name, selection]))
      .digest('hex')
      .slice(0, 32)
    const group = this.#groups.get(key) ?? new Group(name, performance.now())
    if (!this.#groups.has(key) && this.#groups.size >= GROUPS_MAX) {
      throw new Refusal('exhausted', `this gateway has members of ${GROUPS_MAX} groups, which is the limit: use fewer values of wish.group`)
    }
    const member = group.join(onChange, held => this.#say(key, held.beat))
    if (member === undefined) throw new Refusal('exhausted', `the group "${name}" has as many members as a group may have`)
    this.#groups.set(key, group)
    this.#say(key, member.beat)
    return { member, [Symbol.dispose]: () => this.#leave(key, group, member) }
  }

  /** Until `signal` aborts. */
  async run(nats: Nats, signal: AbortSignal): Promise<void> {
    this.#nats = nats
    const beats = nats.nc.subscribe(GROUP_SUBJECTS, { callback: (_, { subject, data }) => this.#hear(subject, data) })
    using _reconnected = nats.onReconnect(() => (this.#isSynced = false))
    const ticking = every(TICK_MS, () => this.#tick(), signal)
    await Promise.all([ticking, watchBucket(nats, 'groups', this.#view(), this.#log, signal)])
    beats.unsubscribe()
  }

  #view(): BucketView {
    return {
      changed: (key, value) => {
        const group = this.#groups.get(key)
        if (group !== undefined && this.#isSynced) group.shares = sharesIn(value)
      },
      // Groups that are joined later read the bucket by themselves.
      complete: () => {
        this.#isSynced = true
        for (const [key] of this.#groups) void this.#learn(key)
      },
    }
  }

  #hear(subject: string, data: Uint8Array): void {
    const key = groupOfSubject(subject)
    const group = key === undefined ? undefined : this.#groups.get(key)
    if (group === undefined) return
    try {
      group.hear(parseJson(GroupBeat, data), performance.now())
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      this.#warn(error.message)
    }
  }

  #say(key: string, beat: GroupBeat): void {
    if (this.#nats?.connected() === true) this.#nats.nc.publish(groupSubject(key), Buffer.from(JSON.stringify(beat)))
  }

  #leave(key: string, group: Group, member: GroupMember): void {
    group.members.delete(member.id)
    this.#say(key, { ...member.beat, holds: [], left: true })
    if (group.members.size > 0) return
    this.#groups.delete(key)
    this.#writtenMs.delete(key)
  }

  async #tick(): Promise<void> {
    const isSecond = this.#ticks++ % 2 === 0
    const isInTouch = this.#isSynced && this.#nats?.connected() === true
    for (const [key, group] of this.#groups) {
      if (isSecond) {
        for (const member of group.members.values()) {
          member.measure()
          this.#say(key, member.beat)
        }
      }
      if (!isInTouch) group.outOfTouch()
      else if (group.alive(performance.now()) === 'again') await this.#learn(key)
      else await this.#plan(key, group)
    }
    if (isSecond) this.#metrics.set([...this.#groups.values()])
  }

  async #plan(key: string, group: Group): Promise<void> {
    const planned = group.planned(performance.now())
    if (planned === undefined) return
    const isDue = performance.now() - (this.#writtenMs.get(key) ?? -Infinity) > RENEW_MS
    if (!isDue && isDeepStrictEqual(planned, group.shares)) return
    await this.#call(async bucket => {
      const entry = await bucket.get(key)
      const stored = entry?.operation === 'PUT' ? sharesIn(entry.value) : undefined
      // Planned on what is no longer true.
      if (!isDeepStrictEqual(stored, group.shares)) return void (group.shares = stored)
      await bucket.put(key, Buffer.from(JSON.stringify(planned)), { previousSeq: entry?.revision ?? 0 })
      group.shares = planned
      this.#writtenMs.set(key, performance.now())
    })
  }

  /** What stands in the bucket. */
  async #learn(key: string): Promise<void> {
    await this.#call(async bucket => {
      const entry = await bucket.get(key)
      const group = this.#groups.get(key)
      if (group !== undefined) group.shares = entry?.operation === 'PUT' ? sharesIn(entry.value) : undefined
    })
  }

  /** What fails is tried again at the next tick. */
  async #call(use: (bucket: KV) => Promise<void>): Promise<void> {
    const nats = this.#nats
    if (nats === undefined || !nats.connected()) return
    try {
      this.#bucket ??= await within(CALL_MS, 'NATS', openBucket(nats.nc, 'groups'))
      await within(CALL_MS, 'NATS', use(this.#bucket))
    } catch (error) {
      if (isConflict(error)) return
      this.#bucket = undefined
      this.#warn(messageOf(error))
    }
  }
}

function sharesIn(value: Uint8Array | undefined): GroupShares | undefined {
  if (value === undefined) return undefined
  try {
    return parseJson(GroupShares, value)
  } catch {
    return undefined
  }
}
