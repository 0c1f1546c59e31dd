// Which member of a group gets which camera. Pure: the oldest member's gateway asks it again and again, and writes the answer.
//
// No camera has two members: one that moves is first taken from its member, and given to the next when that has let go.

export type PlannedMember = {
  readonly id: string
  /** Frames a second that it can take; undefined while it keeps up. */
  readonly capacityFps: number | undefined
  /** Uids of cameras whose frames it gets now. */
  readonly holds: ReadonlySet<string>
}

/** `fps`: frames a second that the group wants of it. */
export type PlannedCamera = { readonly uid: string; readonly fps: number }

/** A camera without frames costs something too, so that dead ones are spread. */
const FPS_MIN = 0.1
/** Loads within this part of a fair share are left as they are. */
const TOLERANCE = 0.1

type Load = { readonly id: string; readonly share: number; readonly cameras: PlannedCamera[]; fps: number }

/** Camera uid → member id. `current`: what was planned last; undefined: it was lost, or there was nothing. */
export function plan(
  members: readonly PlannedMember[],
  cameras: readonly PlannedCamera[],
  current: ReadonlyMap<string, string> | undefined,
): Map<string, string> {
  const next = new Map<string, string>()
  if (members.length === 0) return next
  const priced = cameras
    .map(({ uid, fps }) => ({ uid, fps: Math.max(fps, FPS_MIN) }))
    .sort((a, b) => b.fps - a.fps || (a.uid < b.uid ? -1 : 1))
  const holders = new Map(members.flatMap(({ id, holds }) => [...holds].map(uid => [uid, id] as const)))
  const before = current ?? holders
  const loads = new Map(fairShares(members, sum(priced)).map(load => [load.id, load]))

  const free: PlannedCamera[] = []
  for (const camera of priced) {
    const load = loads.get(before.get(camera.uid) ?? '')
    if (load === undefined) free.push(camera)
    else put(load, camera)
  }
  const awaited = new Set<string>()
  for (const camera of free) {
    put(emptiest(loads), camera)
    if (holders.has(camera.uid)) awaited.add(camera.uid)
  }
  for (const uid of moves(loads)) if (holders.has(uid) || loads.has(before.get(uid) ?? '')) awaited.add(uid)

  for (const { id, cameras: planned } of loads.values()) for (const { uid } of planned) if (!awaited.has(uid)) next.set(uid, id)
  return next
}

/** Who can take less than an equal part gets that, the others the rest. */
function fairShares(members: readonly PlannedMember[], total: number): Load[] {
  const capacities = members.map(({ capacityFps }) => capacityFps ?? Infinity)
  const able = sum(capacities.map(fps => ({ fps })))
  const shares = able <= total ? capacities.map(fps => (fps / Math.max(able, FPS_MIN)) * total) : evenUpTo(capacities, total)
  return members.map(({ id }, i) => ({ id, share: Math.max(shares[i] ?? 0, FPS_MIN), cameras: [], fps: 0 }))
}

function evenUpTo(capacities: readonly number[], total: number): number[] {
  let [left, open] = [total, capacities.length]
  const level = [...capacities]
    .sort((a, b) => a - b)
    .reduce((found, fps) => {
      if (fps < left / open) {
        left -= fps
        open--
        return found
      }
      return Math.max(found, left / open)
    }, 0)
  return capacities.map(fps => Math.min(fps, level))
}

/** Moves cameras from the fullest to the emptiest member while that brings both nearer to their shares. Returns what was moved. */
function moves(loads: ReadonlyMap<string, Load>): string[] {
  const moved: string[] = []
  for (let i = [...loads.values()].reduce((count, { cameras }) => count + cameras.length, 0); i > 0; i--) {
    const [from, to] = [fullest(loads), emptiest(loads)]
    if (from.fps <= from.share * (1 + TOLERANCE) && to.fps >= to.share * (1 - TOLERANCE)) break
    const off = (fps: number) => Math.max(Math.abs(from.fps - fps - from.share) / from.share, Math.abs(to.fps + fps - to.share) / to.share)
    const best = from.cameras.reduce<PlannedCamera | undefined>((a, b) => (a === undefined || off(b.fps) < off(a.fps) ? b : a), undefined)
    if (best === undefined || off(best.fps) > off(0) - TOLERANCE / 2) break
    from.cameras.splice(from.cameras.indexOf(best), 1)
    from.fps -= best.fps
    put(to, best)
    moved.push(best.uid)
  }
  return moved
}

function put(load: Load, camera: PlannedCamera): void {
  load.cameras.push(camera)
  load.fps += camera.fps
}

const ratio = ({ fps, share }: Load): number => fps / share
const fullest = (loads: ReadonlyMap<string, Load>): Load => [...loads.values()].reduce((a, b) => (ratio(b) > ratio(a) ? b : a))
const emptiest = (loads: ReadonlyMap<string, Load>): Load => [...loads.values()].reduce((a, b) => (ratio(b) < ratio(a) ? b : a))
const sum = (items: readonly { fps: number }[]): number => items.reduce((total, { fps }) => total + fps, 0)
