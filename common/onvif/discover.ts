// From a network to devices: who answers a probe, and what each says of itself. At most one login is tried per device, and not often.
import type { BlockList } from 'node:net'
import { DEVICES_MAX, PROFILES_SHOWN_MAX, type DiscoveredDevice } from '../../proto/discovery.ts'
import { Failure, messageOf } from '../errors.ts'
import { resolveHost } from '../net/address.ts'
import type { Credentials } from '../net/credentials.ts'
import { chosen, OnvifDevice } from './device.ts'
import { deviceService, type Match } from './probe.ts'
import { search, type Area, type Found } from './search.ts'

/** Cameras lock accounts: between two logins to a device with one Secret. */
export const LOGIN_EVERY_MS = 600_000

/** Devices that are asked at the same time. */
const ASKED_AT_ONCE = 8

export type DiscoverOptions = {
  /** Read for each search. */
  credentials: () => Promise<Credentials | undefined>
  profile: string
  /** Takes the turn for a login to this device: once in LOGIN_EVERY_MS. */
  mayLogIn: (device: string) => Promise<boolean>
}

type Known = { device: DiscoveredDevice; atMs: number }

/** Searches an area again and again. What a login has told of a device is not asked again before the next one is allowed. */
export class Discovery {
  readonly #area: Area
  readonly #options: DiscoverOptions
  readonly #known = new Map<string, Known>()

  constructor(area: Area, options: DiscoverOptions) {
    this.#area = area
    this.#options = options
  }

  /** In order of their addresses. Rejects where the area cannot be searched. */
  async search(signal: AbortSignal): Promise<DiscoveredDevice[]> {
    const found = distinct(await search(this.#area, signal)).slice(0, DEVICES_MAX)
    const credentials = await this.#options.credentials()
    const queue = found.entries()
    const devices: DiscoveredDevice[] = []
    const work = async () => {
      for (const [i, each] of queue) devices[i] = await this.#describe(each, credentials, signal)
    }
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, work))
    return devices.toSorted((a, b) => numberOf(a.address) - numberOf(b.address) || a.uuid.localeCompare(b.uuid))
  }

  async #describe(found: Found, credentials: Credentials | undefined, signal: AbortSignal): Promise<DiscoveredDevice> {
    if (!('match' in found)) return { ...nothing(found.address), reason: 'OnvifInvalidAnswer', message: found.problem.slice(0, 512) }
    const { match, address } = found
    const key = match.uuid === '' ? address : match.uuid
    const known = this.#known.get(key)
    if (known?.device.address === address && performance.now() - known.atMs < LOGIN_EVERY_MS) return known.device
    let loggedIn = false
    const mayLogIn = async () => {
      const may = await this.#options.mayLogIn(key)
      loggedIn ||= may
      return may
    }
    const device = await ask(match, address, this.#area.deny, { profile: this.#options.profile, credentials, mayLogIn }, signal)
    if (loggedIn || device.reason === 'OnvifFound') this.#remember(key, device)
    return device
  }

  #remember(key: string, device: DiscoveredDevice): void {
    this.#known.delete(key)
    this.#known.set(key, { device, atMs: performance.now() })
    const [oldest] = this.#known.keys()
    if (this.#known.size > 2 * DEVICES_MAX && oldest !== undefined) this.#known.delete(oldest)
  }
}

type Asking = { credentials: Credentials | undefined; profile: string; mayLogIn: () => Promise<boolean> }

const nothing = (address: string) => ({ uuid: '', address, name: '', profiles: [] })

async function ask(
  match: Match,
  address: string,
  deny: BlockList,
  { credentials, profile, mayLogIn }: Asking,
  signal: AbortSignal,
): Promise<DiscoveredDevice> {
  const own = { ...nothing(address), uuid: match.uuid, name: match.name }
  const target = deviceService(match, address)
  if (match.uuid === '') return { ...own, reason: 'OnvifInvalidAnswer', message: 'the device tells no UUID' }
  if (target === undefined) return { ...own, reason: 'OnvifInvalidAnswer', message: 'the device names no address of its service' }
  let told: Partial<DiscoveredDevice> = {}
  try {
    const addresses = await resolveHost(address, deny)
    const device = await OnvifDevice.open({ target, addresses, credentials, memory: { strength: 0 }, mayLogIn }, signal)
    const profiles = device.profiles
      .slice(0, PROFILES_SHOWN_MAX)
      .map(({ token, encoding, width, height }) => ({ ...{ token, encoding, width, height } }))
    told = { ...device.info, profiles }
    await device.streamUrl(chosen(device.profiles, profile), 'tcp')
    return { ...own, ...told, reason: 'OnvifFound' }
  } catch (error) {
    const reason = error instanceof Failure ? error.reason : 'InternalError'
    return { ...own, ...told, reason, message: messageOf(error).slice(0, 512) }
  }
}

/** A device with several networks answers on each. What is no answer tells only where nothing else came from there. */
function distinct(found: readonly Found[]): Found[] {
  const answered = new Set(found.flatMap(each => ('match' in each ? [each.address] : [])))
  const keys = new Set<string>()
  return found.filter(each => {
    if (!('match' in each)) return !answered.has(each.address)
    const key = each.match.uuid === '' ? each.address : each.match.uuid
    return !keys.has(key) && keys.add(key)
  })
}

const numberOf = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
