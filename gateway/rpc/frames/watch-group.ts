// The group of a Watch: which of its cameras are its own. Without a group all are.
import type { KnownCamera } from '../../cameras.ts'
import type { Groups } from '../../groups/groups.ts'
import type { Caller } from '../calls.ts'
import { selectionText } from './selection.ts'
import type { CheckedWish } from './wish.ts'

type Joined = ReturnType<Groups['join']> & { readonly name: string; readonly selection: string }

export class WatchGroup {
  readonly #groups: Groups
  readonly #user: string
  readonly #onChange: () => void
  #joined: Joined | undefined

  constructor(groups: Groups, { subject }: Caller, onChange: () => void) {
    this.#groups = groups
    this.#user = subject?.name ?? ''
    this.#onChange = onChange
  }

  /** The group that the wish names from now on. Throws a Refusal. */
  enter({ group: name, selection: chosen }: CheckedWish): void {
    const selection = selectionText(chosen)
    if (this.#joined?.name === name && (name === undefined || this.#joined?.selection === selection)) return
    this.leave()
    if (name === undefined) return
    const joined = this.#groups.join({ user: this.#user, name, selection }, this.#onChange)
    this.#joined = Object.assign(joined, { name, selection })
  }

  leave(): void {
    this.#joined?.[Symbol.dispose]()
    this.#joined = undefined
  }

  /** Of the cameras that the call may have, those that it gets frames of now. */
  share(cameras: readonly KnownCamera[], { maxFps = Infinity }: CheckedWish): readonly KnownCamera[] {
    if (this.#joined === undefined) return cameras
    const byUid = new Map(cameras.map(camera => [camera.uid, camera]))
    const wanted = cameras.map(({ uid, report }) => ({ uid, fps: Math.min(maxFps, report?.state.fps ?? 0) }))
    return this.#joined.member.share(wanted).flatMap(({ uid }) => byUid.get(uid) ?? [])
  }

  /** The call gets frames of these cameras, by uid, and of no others. */
  hold(uids: ReadonlySet<string>): void {
    this.#joined?.member.hold(uids)
  }

  took(ageSeconds: number): void {
    this.#joined?.member.took(ageSeconds)
  }

  /** There is a frame, and the client has no room for it. */
  full(): void {
    this.#joined?.member.full()
  }
}
