// Where a camera may be: its host name is resolved here at each connect, and ffmpeg only ever gets addresses that the
// policy allows. A name that changes its mind afterwards (DNS rebinding) changes nothing.
import type { LookupAddress } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { Failure, messageOf } from '../errors.ts'
import { within } from '../abort.ts'

const LOOKUP_MS = 5_000
/** For one of several addresses: a first packet that was lost has been sent again by then. */
const ADDRESS_MS = 2_000

export function denied(cidrs: readonly string[]): BlockList {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', prefix = ''] = cidr.split('/')
    list.addSubnet(address, Number(prefix), isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}

/** The addresses to connect to, one of them at least. Throws Failure HostNotFound or AddressDenied. */
export async function resolveHost(host: string, deny: BlockList): Promise<LookupAddress[]> {
  const name = nameOf(host)
  let found
  try {
    found = await within(LOOKUP_MS, 'the name server', lookup(name, { all: true, verbatim: false }))
  } catch (error) {
    throw new Failure('HostNotFound', `the host name ${JSON.stringify(name)} does not resolve: ${messageOf(error)}`)
  }
  const allowed = found.filter(({ address, family }) => !isDenied(address, family, deny))
  if (allowed.length === 0) {
    const addresses = found.map(({ address }) => address).join(', ')
    throw new Failure('AddressDenied', `${JSON.stringify(name)} is at ${addresses}, which the address policy excludes`)
  }
  return allowed
}

/** What Node is told to connect to: these addresses of `host`, one after the other until one answers. */
export function oneAfterTheOther(host: string, addresses: readonly LookupAddress[]) {
  const known: LookupFunction = (_name, _options, found) => found(null, [...addresses])
  return { host: nameOf(host), lookup: known, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: ADDRESS_MS }
}

const nameOf = (host: string): string => host.replace(/^\[(.*)\]$/, '$1')

function isDenied(address: string, family: number, deny: BlockList): boolean {
  if (family === 4) return deny.check(address, 'ipv4')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  return deny.check(address, 'ipv6') || (mapped !== undefined && deny.check(mapped, 'ipv4'))
}
