import test from 'ava'
import { connect, Events, headers } from 'nats'
import { createHash, randomBytes } from 'node:crypto'
import { wholeSending } from '../sidecar/sending.ts'
import { startNats } from './fixtures/nats.ts'
import { within } from './fixtures/wait.ts'

test('this nats.js is one that can send without a copy', t => {
  t.true(wholeSending())
})

test('messages of all sizes arrive whole and in their order, over a link that was lost too', async t => {
  t.true(wholeSending())
  await using server = await startNats()
  const nc = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
  const sizes = [17, 5_000_000, 3, 262_144, 3_000_001, 0, 70_000, 1_000_000, 1]
  const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
  for (const round of ['at first', 'after a reconnect']) {
    const sent = sizes.map(size => randomBytes(size))
    const got: string[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const listening = nc.subscribe('a.b', {
      callback: (_, { data, headers: fields }) => {
        got.push(`${fields?.get('Size')} ${hash(data)}`)
        if (got.length === sent.length) resolve()
      },
    })
    await nc.flush()
    for (const bytes of sent) {
      const fields = headers()
      fields.set('Size', String(bytes.length))
      nc.publish('a.b', bytes, { headers: fields })
    }
    await within(promise, { what: `the messages ${round}` })
    t.deepEqual(
      got,
      sent.map(bytes => `${bytes.length} ${hash(bytes)}`),
      round,
    )
    listening.unsubscribe()
    const isBack = (async () => {
      for await (const { type } of nc.status()) if (type === Events.Reconnect) return
    })()
    await server.restart()
    await within(isBack, { what: 'the link' })
  }
  await nc.close()
})
