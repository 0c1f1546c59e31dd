// What `npm run e2e` judges by, and answers with.
import test from 'ava'
import { Resolver } from 'node:dns/promises'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { answerTo } from './e2e/dns.ts'
import { interruption } from './e2e/recovery.ts'

const every = (stepMs: number, from: number, to: number) => Array.from({ length: (to - from) / stepMs + 1 }, (_, i) => from + i * stepMs)

test('frames that never stop are no interruption', t => {
  t.deepEqual(interruption(every(100, 0, 9_000), 5_000), { backMs: 0, gapMs: 100 })
})

test('an interruption lasts from the kill until the frame after the last gap', t => {
  const times = [...every(100, 0, 5_000), ...every(100, 7_000, 7_500), ...every(100, 9_000, 12_000)]
  t.deepEqual(interruption(times, 5_050), { backMs: 3_950, gapMs: 2_000 })
})

test('gaps before the kill do not count', t => {
  t.deepEqual(interruption([0, 3_000, 3_100, 3_200], 3_050), { backMs: 0, gapMs: 100 })
})

test('names of Services have their addresses, other types of them none, and other names do not exist', async t => {
  const records = new Map([['nats.edge.svc.cluster.local', ['10.96.0.7', '10.96.0.8']]])
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    const answer = answerTo(query, records)
    if (answer !== undefined) socket.send(answer, from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const resolver = new Resolver({ timeout: 5_000, tries: 1 })
  resolver.setServers([`127.0.0.1:${socket.address().port}`])
  t.deepEqual((await resolver.resolve4('NATS.edge.svc.cluster.local')).toSorted(), ['10.96.0.7', '10.96.0.8'])
  await t.throwsAsync(resolver.resolve6('nats.edge.svc.cluster.local'), { code: 'ENODATA' })
  await t.throwsAsync(resolver.resolve4('nats.other.svc.cluster.local'), { code: 'ENOTFOUND' })
  socket.close()
})

test('garbage is no question', t => {
  for (const bytes of [[], [0, 1, 0, 0, 0, 1], [...Array<number>(12).fill(0), 63, 1, 2, 3, 4]]) {
    t.is(answerTo(Buffer.from(bytes), new Map()), undefined)
  }
})
