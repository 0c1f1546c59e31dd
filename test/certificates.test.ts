// The authority of the chart's own, and the certificates that it signs.
import test from 'ava'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { isUsableAuthority, needsRenewal, newAuthority, newServerCertificate } from '../operator/identity/certificates.ts'

const DAY_MS = 86_400_000
const NAMES = ['edge', 'edge.cams.svc', '127.0.0.1']

test('a client that trusts the authority connects by each of the names, and by no other', async t => {
  const authority = newAuthority(Date.now())
  const { cert, key } = newServerCertificate(authority, { names: NAMES }, Date.now())
  const server = createServer({ cert, key }, socket => socket.end())
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const reach = async (servername: string, ca: string) => {
    const socket = connect({ port, host: '127.0.0.1', ca, ...(servername === '127.0.0.1' ? {} : { servername }) })
    try {
      await once(socket, 'secureConnect')
      return 'connected'
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    } finally {
      socket.destroy()
    }
  }
  for (const name of NAMES) t.is(await reach(name, authority.cert), 'connected')
  t.is(await reach('another', authority.cert), 'ERR_TLS_CERT_ALTNAME_INVALID')
  t.not(await reach('edge', newAuthority(Date.now()).cert), 'connected')
  server.close()
})

test('a certificate is renewed when a third of its validity is left, for other names, and for another authority', t => {
  const nowMs = Date.now()
  const authority = newAuthority(nowMs)
  const pair = newServerCertificate(authority, { names: NAMES }, nowMs)
  t.false(needsRenewal(pair, authority, { names: NAMES }, nowMs))
  t.false(needsRenewal(pair, authority, { names: NAMES }, nowMs + 59 * DAY_MS))
  t.true(needsRenewal(pair, authority, { names: NAMES }, nowMs + 61 * DAY_MS))
  t.true(needsRenewal(pair, authority, { names: [...NAMES, 'more'] }, nowMs))
  t.true(needsRenewal(pair, authority, { names: NAMES.slice(1) }, nowMs))
  t.true(needsRenewal(pair, newAuthority(nowMs), { names: NAMES }, nowMs))
  t.true(needsRenewal({ cert: 'junk', key: 'junk' }, authority, { names: NAMES }, nowMs))
  t.true(needsRenewal({}, authority, { names: NAMES }, nowMs))
  const nats = { names: NAMES, isNats: true }
  const servers = newServerCertificate(authority, nats, nowMs)
  t.false(needsRenewal(servers, authority, nats, nowMs + 3_000 * DAY_MS), 'nats-server reads its certificate only when it starts')
  t.true(needsRenewal(servers, newAuthority(nowMs), nats, nowMs))
  t.true(isUsableAuthority(authority, nowMs))
  t.false(isUsableAuthority(authority, nowMs + 3_500 * DAY_MS))
  t.false(isUsableAuthority({ cert: authority.cert }, nowMs))
})
