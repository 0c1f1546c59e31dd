// Where a camera may be: its host name is resolved here at each connect, and ffmpeg only ever gets addresses that the
// policy allows. A name that changes its mind afterwards (DNS rebinding) changes nothing.
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { Failure, messageOf } from '../common/errors.ts'
import { within } from '../common/stop.ts'

const LOOKUP_MS = 5_000

export function denied(cidrs: readonly string[]): BlockList {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', prefix = ''] = cidr.split('/')
    list.addSubnet(address, Number(prefix), isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}

/** The address to connect to. Throws Failure HostNotFound or AddressDenied. */
export async function resolveHost(host: string, deny: BlockList): Promise<string> {
  const name = host.replace(/^\[(.*)\]$/, '$1')
  let found
  try {
    found = await within(LOOKUP_MS, 'the name server', lookup(name, { all: true, verbatim: false }))
  } catch (error) {
    throw new Failure('HostNotFound', `the host name ${JSON.stringify(name)} does not resolve: ${messageOf(error)}`)
  }
  const allowed = found.find(({ address, family }) => !isDenied(address, family, deny))
  if (allowed === undefined) {
    const addresses = found.map(({ address }) => address).join(', ')
    throw new Failure('AddressDenied', `${JSON.stringify(name)} is at ${addresses}, which the address policy excludes`)
  }
  return allowed.address
}

function isDenied(address: string, family: number, deny: BlockList): boolean {
  if (family === 4) return deny.check(address, 'ipv4')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  return deny.check(address, 'ipv6') || (mapped !== undefined && deny.check(mapped, 'ipv4'))
}
