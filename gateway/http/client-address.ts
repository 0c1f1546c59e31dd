// Whose request it is, for limits: the connection's address, or the one that a trusted proxy names.
import type { IncomingMessage } from 'node:http'
import { isIP, type BlockList } from 'node:net'

/** Of a chain of proxies more are not looked at. */
const HOPS_MAX = 16

/** An IPv4 address as such, also where the socket has it as IPv6. */
const plain = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '')

const isIn = (list: BlockList, address: string): boolean => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

/** `X-Forwarded-For` is read from its end, where each proxy adds the address that it was connected from; what a client writes there stands in front. */
export function clientAddress({ socket, headers }: IncomingMessage, proxies: BlockList): string {
  let address = plain(socket.remoteAddress ?? '')
  const named = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',').slice(-HOPS_MAX).toReversed()
  for (const text of named) {
    const next = plain(text.trim())
    if (isIP(address) === 0 || !isIn(proxies, address) || isIP(next) === 0) return address
    address = next
  }
  return address
}
