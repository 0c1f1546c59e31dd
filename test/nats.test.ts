// The connection to NATS that every process of ours has.
import test from 'ava'
import { rm, writeFile } from 'node:fs/promises'
import pino from 'pino'
import { connectNats } from '../common/nats/connect.ts'
import { startIdentity } from './fixtures/identity.ts'
import { startNats } from './fixtures/nats.ts'
import { until, within } from './fixtures/wait.ts'

test('a server that refuses us again and again is away once, and back once', async t => {
  const lines: string[] = []
  const log = pino({ base: null }, { write: line => lines.push(line) })
  await using server = await startNats()
  await using nats = await connectNats('test', { url: server.url, credsFile: undefined }, log, new AbortController().signal)
  let times = 0
  using _ = nats.onReconnect(() => times++)
  await server.kill()
  {
    await using refusing = await startNats({ port: server.port, extraConfig: 'authorization { token: "another" }' })
    const refusals = () => refusing.log().split('authentication error').length - 1
    await until(() => refusals() > 2, { what: 'refusals' })
    t.false(nats.connected())
  }
  await server.restart()
  await until(() => nats.connected(), { what: 'NATS' })
  await nats.nc.flush()
  t.is(times, 1)
  const said = (text: string) => lines.filter(line => line.includes(text)).length
  t.deepEqual(['NATS is away', 'NATS is back', 'NATS reports an error'].map(said), [1, 1, 1])
})

for (const [what, spoil] of [
  ['are away', (file: string) => rm(file)],
  ['are none', (file: string) => writeFile(file, 'none')],
] as const) {
  test(`credentials that ${what} for a while end no connection`, async t => {
    await using identity = await startIdentity()
    const file = await identity.role('gateway')
    const log = pino({ level: 'silent' })
    await using nats = await connectNats('test', { url: identity.nats.url, credsFile: file }, log, new AbortController().signal)
    const reaches = async (what: string, restart: () => Promise<void>) => {
      const again = new Promise<void>(resolve => void nats.onReconnect(resolve))
      await restart()
      await within(again, { what })
    }
    await spoil(file)
    await reaches('NATS with the credentials of before', () => identity.nats.restart())
    await reaches('NATS with new ones', () => identity.rotate())
    t.true(nats.connected())
  })
}
