// Who answers a WS-Discovery probe: by multicast on chosen interfaces, and by unicast to each address of chosen ranges. Nothing is sent
// anywhere else, and an answer from anywhere else is no answer.
import { randomUUID } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { Failure, messageOf } from '../errors.ts'
import { DISCOVERY_GROUP, DISCOVERY_PORT, matchesIn, probe, type Match } from './probe.ts'

export type Area = {
  /** Names of network interfaces, for multicast. */
  interfaces: readonly string[]
  /** IPv4 ranges, for unicast. */
  cidrs: readonly string[]
  /** Addresses in there that are left out. */
  deny: BlockList
}

/** `problem`: what it sent is no answer to a probe. */
export type Found = { address: string } & ({ match: Match } | { problem: string })

/** Of all ranges together. */
const ADDRESSES_MAX = 4_096
/** Of a range that is searched. */
const PREFIX_MIN = 20
/** Devices may wait for half a second before they answer multicast, and are asked twice. */
const WAIT_MS = 2_000
const AGAIN_MS = 300
/** So many probes at once, so that no switch has to drop any. */
const BURST = 128
const BURST_MS = 20
/** No one network has more cameras. */
const FOUND_MAX = 1_024

/** Resolves with who answered; at once where `isEnough` says so. Throws an Error where `area` names what is not there. */
export async function search(area: Area, signal: AbortSignal, isEnough: (found: Found) => boolean = () => false): Promise<Found[]> {
  const links = area.interfaces.map(linkOf)
  const addresses = addressesIn(area.cidrs).filter(address => !area.deny.check(address))
  const inside = new BlockList()
  for (const { network, prefix } of links) inside.addSubnet(network, prefix)
  for (const address of addresses) inside.addAddress(address)
  const found = new Map<string, Found>()
  const over = new AbortController()
  const id = randomUUID()
  const heard = (bytes: Buffer, { address }: { address: string }) => {
    if (!inside.check(address) || area.deny.check(address) || found.size >= FOUND_MAX) return
    for (const each of foundIn(bytes, id, address)) {
      const key = `${address} ${'match' in each ? each.match.uuid : ''}`
      if (!found.has(key) || 'match' in each) found.set(key, each)
      if (isEnough(each)) over.abort()
    }
  }
  const either = AbortSignal.any([signal, over.signal])
  const message = probe(id)
  await using sockets = new AsyncDisposableStack()
  const open = async (address?: string) => {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 2 ** 20 })
    sockets.defer(() => new Promise(resolve => socket.close(() => resolve())))
    socket.on('error', () => {}).on('message', heard)
    socket.bind({ port: 0, ...(address === undefined ? {} : { address }) })
    await once(socket, 'listening')
    return socket
  }
  try {
    const unicast = addresses.length === 0 ? undefined : await open()
    const multicast = await Promise.all(
      links.map(async ({ address }) => {
        const socket = await open(address)
        socket.setMulticastInterface(address)
        socket.setMulticastTTL(1)
        return socket
      }),
    )
    for (let round = 0; round < 2; round++) {
      for (const socket of multicast) await send(socket, message, DISCOVERY_GROUP)
      for (const [i, address] of addresses.entries()) {
        if (unicast !== undefined) await send(unicast, message, address)
        if (i % BURST === BURST - 1) await delay(BURST_MS, undefined, { signal: either })
      }
      await delay(round === 0 ? AGAIN_MS : WAIT_MS, undefined, { signal: either })
    }
  } catch (error) {
    if (!either.aborted) throw error
  }
  return [...found.values()]
}

/** What cannot be sent (an address without a route) has no owner. */
const send = (socket: Socket, message: Buffer, address: string): Promise<void> =>
  new Promise(resolve => socket.send(message, DISCOVERY_PORT, address, () => resolve()))

function foundIn(bytes: Buffer, id: string, address: string): Found[] {
  try {
    return matchesIn(bytes, id).map(match => ({ address, match }))
  } catch (error) {
    return [{ address, problem: error instanceof Failure ? error.message : messageOf(error) }]
  }
}

/** The networks of interfaces, as ranges that may be searched: of a larger one the /24 around the interface's own address. */
export const networksOf = (interfaces: readonly string[]): string[] =>
  interfaces.map(linkOf).map(({ address, prefix }) => {
    const bits = prefix < PREFIX_MIN ? 24 : prefix
    const value = valueOf(address)
    return `${textOfValue(value - (value % 2 ** (32 - bits)))}/${bits}`
  })

const valueOf = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
const textOfValue = (value: number): string => [24, 16, 8, 0].map(shift => Math.floor(value / 2 ** shift) % 256).join('.')

/** An interface's own IPv4 address, and the network that it is in. */
function linkOf(name: string): { address: string; network: string; prefix: number } {
  const own = networkInterfaces()[name]?.find(({ family }) => family === 'IPv4')
  if (own?.cidr == null) throw new Error(`there is no network interface ${name} with an IPv4 address`)
  return { address: own.address, network: own.address, prefix: Number(own.cidr.split('/')[1]) }
}

/** Interfaces with an IPv4 address, without loopback. */
export const allInterfaces = (): string[] =>
  Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.some(({ family, internal }) => family === 'IPv4' && !internal) ? [name] : [],
  )

/** Each address of IPv4 ranges. Of a network the first and the last are no device's. Throws an Error for more than ADDRESSES_MAX. */
export function addressesIn(cidrs: readonly string[]): string[] {
  const addresses = new Set<string>()
  for (const cidr of cidrs) {
    const [text = '', bits = '32'] = cidr.split('/')
    const prefix = Number(bits)
    const parts = text.split('.').map(Number)
    const isRange = /^\d+(\.\d+){3}$/.test(text) && parts.every(part => part <= 255) && /^\d+$/.test(bits) && prefix <= 32
    if (!isRange) throw new Error(`${cidr}: must be an IPv4 range such as 10.0.20.0/24`)
    const size = 2 ** (32 - prefix)
    if (size + addresses.size > ADDRESSES_MAX) throw new Error(`the ranges have more than ${ADDRESSES_MAX} addresses`)
    const value = valueOf(text)
    const first = value - (value % size)
    const [from, to] = size > 2 ? [1, size - 1] : [0, size]
    for (let i = from; i < to; i++) addresses.add(textOfValue(first + i))
  }
  return [...addresses]
}
