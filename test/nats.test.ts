// The connection to NATS that every process of ours has.
import test from 'ava'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import pino from 'pino'
import { connect } from 'nats'
import { connectNats } from '../common/nats/connect.ts'
import { isTooOld } from '../common/nats/server-version.mjs'
import { newAuthority, newServerCertificate, type Pair } from '../operator/identity/certificates.ts'
import { startIdentity } from './fixtures/identity.ts'
import { startNats } from './fixtures/nats.ts'
import { freePort } from './fixtures/ports.ts'
import { temporaryFolder, type TemporaryFolder } from './fixtures/tmp.ts'
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
  t.deepEqual(['NATS is unreachable', 'NATS is reachable again', 'NATS reports an error'].map(said), [1, 1, 1])
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

/** A server as the chart configures it, with a certificate of the chart's authority for `localhost`. */
async function startTls(
  authority: Pair,
  folder: TemporaryFolder,
  { name, routes }: { name: string; routes: [own: number, other: number] },
) {
  const { cert, key } = newServerCertificate(authority, { names: ['localhost', '127.0.0.1'], isNats: true }, Date.now())
  const file = async (end: string, text: string) => {
    await writeFile(folder.file(`${name}${end}`), text)
    return JSON.stringify(folder.file(`${name}${end}`))
  }
  const certificate = `cert_file: ${await file('.crt', cert)}, key_file: ${await file('.key', key)}`
  const [own, other] = routes
  const cluster = `name: edge, listen: "127.0.0.1:${own}", routes: ["nats://127.0.0.1:${other}"]`
  const extraConfig = `server_name: ${name}\ntls { ${certificate}, timeout: 5 }
cluster { ${cluster}, tls { ${certificate}, ca_file: ${await file('-ca.crt', authority.cert)}, timeout: 5 } }`
  const server = await startNats({ extraConfig })
  return Object.assign(server, { tlsUrl: `tls://localhost:${server.port}` })
}

test('with TLS a process trusts the authority that it is given, and servers are a cluster with those of the same authority only', async t => {
  await using folder = await temporaryFolder()
  await using stack = new AsyncDisposableStack()
  const [authority, another] = [newAuthority(Date.now()), newAuthority(Date.now())]
  const [a, b, c] = await Promise.all([freePort(), freePort(), freePort()])
  const one = stack.use(await startTls(authority, folder, { name: 'one', routes: [a, b] }))
  stack.use(await startTls(authority, folder, { name: 'two', routes: [b, a] }))
  const stranger = stack.use(await startTls(another, folder, { name: 'stranger', routes: [c, a] }))
  const link = async ({ tlsUrl: url }: { tlsUrl: string }, { cert: ca }: Pair) => {
    const signal = AbortSignal.timeout(3_000)
    return connectNats('test', { url, ca, credsFile: undefined }, pino({ level: 'silent' }), signal)
  }
  const nats = stack.use(await link(one, authority))
  await until(() => nats.nc.info?.connect_urls?.length === 2, { what: 'a cluster of two' })
  await nats.nc.flush()
  // By the library alone, as ours would try for ever.
  const strange = { servers: `localhost:${one.port}`, tls: { ca: another.cert }, reconnect: false, timeout: 3_000 }
  await t.throwsAsync(connect(strange), { message: /certificate/ })
  const alone = stack.use(await link(stranger, another))
  t.is(alone.nc.info?.connect_urls?.length ?? 1, 1)
  // Who does not speak TLS is refused.
  await t.throwsAsync(connect({ servers: `localhost:${one.port}`, reconnect: false, timeout: 3_000, tls: null }))
})

test('versions of nats-server are compared by their numbers', t => {
  t.deepEqual(['2.9.10', '2.11.99', '2.12.0', '2.15.1', '3.0.0'].map(isTooOld), [true, true, false, false, false])
})

test('a nats-server that is too old is reported, and used all the same', async t => {
  const lines: string[] = []
  const log = pino({ base: null }, { write: line => lines.push(line) })
  const hello = { server_id: 'old', version: '2.10.4', proto: 1, headers: true, max_payload: 1_048_576 }
  const old = createServer(socket => {
    socket.write(`INFO ${JSON.stringify(hello)}\r\n`)
    socket.on('error', () => {}).on('data', bytes => void (bytes.includes('PING') && socket.write('PONG\r\n')))
  }).listen(0, '127.0.0.1')
  await once(old, 'listening')
  const url = `nats://127.0.0.1:${(old.address() as AddressInfo).port}`
  {
    await using nats = await connectNats('test', { url, credsFile: undefined }, log, new AbortController().signal)
    t.true(nats.connected())
  }
  old.close()
  const reports = lines.map(line => JSON.parse(line) as { level: number; version?: string })
  t.deepEqual(
    reports.filter(({ level }) => level === 40).map(({ version }) => version),
    ['2.10.4'],
  )
})
