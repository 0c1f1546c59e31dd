import type { IncomingMessage } from 'node:http'
import test from 'ava'
import { denied } from '../common/net/address.ts'
import { clientAddress } from '../gateway/http/client-address.ts'

const PROXIES = denied(['10.42.0.0/16', 'fd42::/48'])
const of = (remoteAddress: string, forwarded?: string) =>
  clientAddress({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } } as unknown as IncomingMessage, PROXIES)

for (const [what, remote, forwarded, wanted] of [
  ['a connection of its own', '192.0.2.7', undefined, '192.0.2.7'],
  ['one that claims to be another’s', '192.0.2.7', '198.51.100.1', '192.0.2.7'],
  ['one by a proxy', '10.42.3.4', '198.51.100.1', '198.51.100.1'],
  ['one by a proxy, on an IPv6 socket', '::ffff:10.42.3.4', '198.51.100.1', '198.51.100.1'],
  ['one by a proxy, with more that the client has written', '10.42.3.4', '203.0.113.9, 198.51.100.1', '198.51.100.1'],
  ['one by two proxies', 'fd42::1', '203.0.113.9, 198.51.100.1, 10.42.0.9', '198.51.100.1'],
  ['one by a proxy that says nothing', '10.42.3.4', undefined, '10.42.3.4'],
  ['one by a proxy with nonsense', '10.42.3.4', '198.51.100.1, <script>', '10.42.3.4'],
  ['one by proxies alone', '10.42.3.4', '10.42.0.1,10.42.0.2', '10.42.0.1'],
] as const)
  test(`the client’s address is known of ${what}`, t => t.is(of(remote, forwarded), wanted))

test('a list of a thousand addresses is read at its end only', t => {
  t.is(of('10.42.3.4', Array.from({ length: 1000 }, () => '10.42.0.1').join()), '10.42.0.1')
})
