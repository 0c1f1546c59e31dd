import test from 'ava'
import { connect, headers } from 'nats'
import { createHash, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { wholeReceiving } from '../common/patches/nats-receive.ts'
import { startNats } from './fixtures/nats.ts'
import { within } from './fixtures/wait.ts'

test('this nats.js is one that can allocate once for a message', t => {
  t.true(wholeReceiving())
})

test('messages of all sizes, cut anywhere, come out as they went in', t => {
  t.true(wholeReceiving())
  type Event = { data?: Uint8Array; msg?: { hdr: number } }
  const { Parser } = createRequire(import.meta.url)('nats/lib/nats-base-client/parser.js') as {
    Parser: new (dispatcher: { push(event: Event): void }) => { parse(bytes: Uint8Array): void }
  }
  // A generator of its own: the same cuts in every run.
  let state = 1
  const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below
  for (let round = 0; round < 200; round++) {
    const payloads = Array.from({ length: 8 }, () => randomBytes(random(3) === 0 ? random(20) : random(3_000)))
    const wire = Buffer.concat(
      payloads.flatMap((payload, i) => {
        const head = i % 2 === 0 ? `MSG a.b 1 ${payload.length}` : `HMSG a.b 1 reply.to ${Math.min(7, payload.length)} ${payload.length}`
        return [Buffer.from(`${head}\r\n`), payload, Buffer.from('\r\n')]
      }),
    )
    const events: Event[] = []
    const parser = new Parser({ push: event => void events.push({ ...event, data: Buffer.from(event.data ?? []) }) })
    for (let from = 0; from < wire.length;) {
      const to = Math.min(wire.length, from + 1 + random(random(2) === 0 ? 10 : 1_500))
      parser.parse(wire.subarray(from, to))
      from = to
    }
    t.deepEqual(
      events.map(({ data }) => data),
      payloads,
    )
  }
})

test('large messages over a connection arrive whole, in a buffer of their own size', async t => {
  t.true(wholeReceiving())
  await using server = await startNats()
  const nc = await connect({ servers: server.url })
  const sent = [5_000_000, 17, 3_000_001, 70_000].map(size => randomBytes(size))
  const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
  const got: { hash: string; room: number }[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  nc.subscribe('big', {
    callback: (_, { data }) => {
      got.push({ hash: hash(data), room: data.buffer.byteLength })
      if (got.length === sent.length) resolve()
    },
  })
  const fields = headers()
  fields.set('Name', 'value')
  for (const bytes of sent) nc.publish('big', bytes, { headers: fields })
  await within(promise, { what: 'the messages' })
  t.deepEqual(
    got.map(({ hash: received }) => received),
    sent.map(hash),
  )
  t.true((got[0]?.room ?? 0) < 5_001_000)
  await nc.close()
})
