// Room that is shared: none alone takes it from the others.
import test from 'ava'
import { keysOf, Shares, type Room } from '../gateway/shares.ts'

const fill = (shares: Shares, key: string): Room[] => {
  const rooms: Room[] = []
  for (;;) {
    const room = shares.enter([key])
    if (typeof room === 'string') return rooms
    rooms.push(room)
  }
}

test('one caller gets half of all, the next half of the rest, and each an eighth as long as there is room', t => {
  const shares = new Shares(1_000, 8)
  const counts = Array.from({ length: 12 }, (_, i) => fill(shares, `caller ${i}`).length)
  t.deepEqual(counts, [500, 250, 125, 125, 0, 0, 0, 0, 0, 0, 0, 0])
})

test('what ends makes room again, once', t => {
  const shares = new Shares(4, 1)
  const [first, ...rest] = fill(shares, 'one')
  t.is(rest.length, 1)
  first?.[Symbol.dispose]()
  first?.[Symbol.dispose]()
  t.is(shares.taken, 1)
  t.is(fill(shares, 'other').length, 2)
})

test('a connection and a user are each held to their share', t => {
  const shares = new Shares(16, 2)
  for (let i = 0; i < 8; i++) t.is(typeof shares.enter([`connection ${i}`, 'user a']), 'object')
  t.is(shares.enter(['connection 8', 'user a']), 'share')
  t.is(typeof shares.enter(['connection 8', 'user b']), 'object')
})

test('programs on this machine share an address and are told apart by their connections', t => {
  t.deepEqual(keysOf('127.0.0.1:5000'), ['connection 127.0.0.1:5000'])
  t.deepEqual(keysOf('::1:5000'), ['connection ::1:5000'])
  t.deepEqual(keysOf('::ffff:127.0.0.1:5000'), ['connection ::ffff:127.0.0.1:5000'])
  t.deepEqual(keysOf('10.0.0.7:5000'), ['connection 10.0.0.7:5000', 'address 10.0.0.7'])
  t.deepEqual(keysOf('fd00::7:5000'), ['connection fd00::7:5000', 'address fd00::7'])
  t.deepEqual(keysOf('10.0.0.7:5000', 'system:serviceaccount:a:b'), ['connection 10.0.0.7:5000', 'user system:serviceaccount:a:b'])
})
