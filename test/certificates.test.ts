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
  const { cert, key } = newServerCertificate(authority, NAMES, Date.now())
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
  const pair = newServerCertificate(authority, NAMES, nowMs)
  t.false(needsRenewal(pair, authority, NAMES, nowMs))
  t.false(needsRenewal(pair, authority, NAMES, nowMs + 59 * DAY_MS))
  t.true(needsRenewal(pair, authority, NAMES, nowMs + 61 * DAY_MS))
  t.true(needsRenewal(pair, authority, [...NAMES, 'more'], nowMs))
  t.true(needsRenewal(pair, authority, NAMES.slice(1), nowMs))
  t.true(needsRenewal(pair, newAuthority(nowMs), NAMES, nowMs))
  t.true(needsRenewal({ cert: 'junk', key: 'junk' }, authority, NAMES, nowMs))
  t.true(needsRenewal({}, authority, NAMES, nowMs))
  t.true(isUsableAuthority(authority, nowMs))
  t.false(isUsableAuthority(authority, nowMs + 3_500 * DAY_MS))
  t.false(isUsableAuthority({ cert: authority.cert }, nowMs))
})
