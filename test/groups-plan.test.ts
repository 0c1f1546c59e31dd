// Which member of a group gets which camera: the decision alone.
import test from 'ava'
import { plan, type PlannedCamera, type PlannedMember } from '../gateway/groups/plan.ts'

const cameras = (count: number, fps: (i: number) => number = () => 10): PlannedCamera[] =>
  Array.from({ length: count }, (_, i) => ({ uid: `camera-${String(i).padStart(3, '0')}`, fps: fps(i) }))

const member = (id: string, holds: Iterable<string> = [], capacityFps?: number): PlannedMember => ({
  id,
  capacityFps,
  holds: new Set(holds),
})

const holding = (ids: readonly string[], shares: ReadonlyMap<string, string>): PlannedMember[] =>
  ids.map(id =>
    member(
      id,
      [...shares].filter(([, of]) => of === id).map(([uid]) => uid),
    ),
  )

const load = (id: string, shares: ReadonlyMap<string, string>, all: readonly PlannedCamera[]): number =>
  all.filter(({ uid }) => shares.get(uid) === id).reduce((sum, { fps }) => sum + fps, 0)

/** Plans until nothing changes, each member taking and letting go as it is told. */
function settle(ids: readonly string[], all: readonly PlannedCamera[], from?: ReadonlyMap<string, string>, members = holding) {
  let shares = new Map(from)
  for (let rounds = 0; rounds < 20; rounds++) {
    const next = plan(members(ids, shares), all, shares)
    if ([...next].every(([uid, id]) => shares.get(uid) === id) && next.size === shares.size) return { shares, rounds }
    shares = next
  }
  throw new Error('the plan does not settle')
}

test('cameras are shared out evenly by their rates', t => {
  const all = cameras(200, i => [5, 10, 15, 30][i % 4] ?? 0)
  const { shares } = settle(['a', 'b', 'c'], all)
  t.is(shares.size, 200)
  for (const id of ['a', 'b', 'c']) t.true(Math.abs(load(id, shares, all) / 1_000 - 1) < 0.1, `${id}: ${load(id, shares, all)}`)
})

test('who joins gets an even share, and only what moves has nobody for a moment', t => {
  const all = cameras(30)
  const { shares: before } = settle(['a', 'b'], all)
  const first = plan(holding(['a', 'b', 'c'], before), all, before)
  t.true(first.size >= 20 && first.size <= 22, `${first.size}`)
  for (const [uid, id] of first) t.is(before.get(uid), id)
  const { shares } = settle(['a', 'b', 'c'], all, before)
  for (const id of ['a', 'b', 'c']) t.true(Math.abs(load(id, shares, all) / 100 - 1) <= 0.11, `${id}: ${load(id, shares, all)}`)
})

test('a camera is given to its next member only when the one before has let go', t => {
  const all = cameras(4)
  const uids = all.map(({ uid }) => uid)
  const before = new Map(uids.map(uid => [uid, 'a']))
  const taken = plan([member('a', uids), member('b')], all, before)
  t.is(taken.size, 2)
  const still = plan([member('a', uids), member('b')], all, taken)
  t.deepEqual(still, taken)
  const given = plan([member('a', taken.keys()), member('b')], all, taken)
  t.is(load('b', given, all), 20)
})

test('a dead member’s cameras go to the others at once', t => {
  const all = cameras(12)
  const { shares } = settle(['a', 'b', 'c'], all)
  const after = plan(holding(['a', 'b'], shares), all, shares)
  t.is(after.size, 12)
  t.deepEqual([load('a', after, all), load('b', after, all)], [60, 60])
})

test('who cannot keep up gets what it can take, the others the rest', t => {
  const all = cameras(20)
  const slow = (ids: readonly string[], shares: ReadonlyMap<string, string>) =>
    holding(ids, shares).map(each => (each.id === 'a' ? { ...each, capacityFps: 30 } : each))
  const { shares } = settle(['a', 'b', 'c'], all, undefined, slow)
  t.is(load('a', shares, all), 30)
  t.true(Math.abs(load('b', shares, all) - 85) <= 5)
})

test('what was shared out is lost: everyone keeps what it holds', t => {
  const all = cameras(9)
  const { shares } = settle(['a', 'b', 'c'], all)
  t.deepEqual(Object.fromEntries(plan(holding(['a', 'b', 'c'], shares), all, undefined)), Object.fromEntries(shares))
})

test('rates that differ a little move nothing', t => {
  const all = cameras(30)
  const { shares } = settle(['a', 'b', 'c'], all)
  for (let i = 0; i < 50; i++) {
    const noisy = all.map(({ uid }) => ({ uid, fps: 9.5 + Math.random() }))
    t.deepEqual(Object.fromEntries(plan(holding(['a', 'b', 'c'], shares), noisy, shares)), Object.fromEntries(shares))
  }
})

test('more members than cameras, cameras without frames, no members', t => {
  const all = cameras(2, () => 0)
  t.deepEqual(new Set(settle(['a', 'b', 'c'], all).shares.values()).size, 2)
  t.is(plan([], all, undefined).size, 0)
  t.is(plan([member('a')], [], undefined).size, 0)
})
