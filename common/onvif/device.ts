// What a device says of itself: maker and model, its profiles, and where a profile's stream is.
import { Failure } from '../errors.ts'
import { splitUrl } from '../net/url.ts'
import { targetOf, type Target } from '../net/target.ts'
import { SoapClient, type Device } from './soap.ts'
import { escaped, find, findAll, textOf, type Element } from './xml.ts'

export type DeviceInfo = { maker: string; model: string; firmware: string; serial: string }

export type Profile = {
  token: string
  name: string
  /** H264, H265, JPEG …; empty where the profile has no video encoder. */
  encoding: string
  width: number
  height: number
  /** Which of the device's pictures it shows. */
  source: string
}

/** `main`, `sub`, or a profile's token. */
export type ProfileChoice = string

export type Transport = 'tcp' | 'udp'

const DEVICE = 'http://www.onvif.org/ver10/device/wsdl'
const MEDIA = 'http://www.onvif.org/ver10/media/wsdl'
/** Tells of H.265, which the first does not know. */
const MEDIA2 = 'http://www.onvif.org/ver20/media/wsdl'
const TOKEN_MAX = 64
const PROFILES_MAX = 512
const URI_MAX = 2_048
const ENCODINGS: readonly string[] = ['H264', 'H265', 'JPEG']

type Media = { target: Target; namespace: typeof MEDIA | typeof MEDIA2 }

export class OnvifDevice {
  readonly #client: SoapClient
  readonly #target: Target
  readonly info: DeviceInfo
  readonly profiles: readonly Profile[]
  readonly #media: Media

  private constructor(client: SoapClient, target: Target, info: DeviceInfo, media: Media, profiles: readonly Profile[]) {
    this.#client = client
    this.#target = target
    this.info = info
    this.#media = media
    this.profiles = profiles
  }

  /** Throws Failure. */
  static async open(device: Device, signal: AbortSignal): Promise<OnvifDevice> {
    const client = new SoapClient(device, signal)
    await client.learnClock()
    const info = await informationOf(client, device.target)
    const offers = await mediaOf(client, device.target)
    let last: Failure | undefined
    for (const media of offers) {
      try {
        const profiles = await profilesOf(client, media)
        if (profiles.length > 0) return new OnvifDevice(client, device.target, info, media, profiles)
      } catch (error) {
        if (!(error instanceof Failure) || error.reason === 'OnvifAuthFailed') throw error
        last = error
      }
    }
    throw last ?? new Failure('OnvifNoProfile', 'the device offers no profile')
  }

  /** The stream's URL at the device's own host, without credentials. Throws Failure. */
  async streamUrl({ token }: Profile, transport: Transport): Promise<string> {
    const { target, namespace } = this.#media
    const byUdp = transport === 'udp'
    const setup =
      namespace === MEDIA2
        ? `<Protocol>${byUdp ? 'RtspUnicast' : 'RTSP'}</Protocol>`
        : `<StreamSetup><Stream xmlns="http://www.onvif.org/ver10/schema">RTP-Unicast</Stream><Transport xmlns="http://www.onvif.org/ver10/schema"><Protocol>${byUdp ? 'UDP' : 'RTSP'}</Protocol></Transport></StreamSetup>`
    const request = `<GetStreamUri xmlns="${namespace}">${setup}<ProfileToken>${escaped(token)}</ProfileToken></GetStreamUri>`
    const uri = uriIn(await this.#client.call(target, 'GetStreamUri', request))
    const url = splitUrl(uri)
    if (url === undefined || !/^rtsps?$/.test(url.scheme)) {
      throw new Failure('OnvifInvalidAnswer', 'the device names no RTSP URL for the profile’s stream')
    }
    // Whatever host it names, credentials go to the device alone.
    return `${url.scheme}://${this.#target.origin.host}${url.port === undefined ? '' : `:${url.port}`}${url.rest}`
  }

  /** Where a still image is; undefined where the device has none, or names it with a password in it. */
  async snapshotUrl({ token }: Profile): Promise<string | undefined> {
    const { target, namespace } = this.#media
    const request = `<GetSnapshotUri xmlns="${namespace}"><ProfileToken>${escaped(token)}</ProfileToken></GetSnapshotUri>`
    try {
      return shownUrl(uriIn(await this.#client.call(target, 'GetSnapshotUri', request)))
    } catch (error) {
      if (error instanceof Failure) return undefined
      throw error
    }
  }
}

/** The profile that is meant. Throws Failure OnvifNoProfile. */
export function chosen(profiles: readonly Profile[], choice: ProfileChoice): Profile {
  if (choice !== 'main' && choice !== 'sub') {
    const named = profiles.find(({ token }) => token === choice)
    if (named !== undefined) return named
    throw new Failure('OnvifNoProfile', `the device has no profile ${JSON.stringify(choice)}, but ${listed(profiles)}`)
  }
  const usable = profiles.filter(({ encoding }) => ENCODINGS.includes(encoding))
  const [first] = usable
  const ofFirst = usable.filter(({ source }) => source === first?.source)
  const main = ofFirst.toSorted((a, b) => pixels(b) - pixels(a))[0]
  if (main === undefined) throw new Failure('OnvifNoProfile', `the device has no profile of H.264, H.265 or JPEG, but ${listed(profiles)}`)
  if (choice === 'main') return main
  const others = ofFirst.filter(({ token }) => token !== main.token)
  const sub = others.find(profile => pixels(profile) < pixels(main)) ?? others[0]
  if (sub === undefined) throw new Failure('OnvifNoProfile', `the device has no sub profile, but ${listed(profiles)}`)
  return sub
}

const pixels = ({ width, height }: Profile): number => width * height

const listed = (profiles: readonly Profile[]): string =>
  profiles
    .slice(0, 6)
    .map(({ token, encoding, width, height }) => `${token} (${encoding === '' ? 'no video' : `${encoding} ${width}x${height}`})`)
    .join(', ') + (profiles.length > 6 ? ` and ${profiles.length - 6} more` : '')

async function informationOf(client: SoapClient, target: Target): Promise<DeviceInfo> {
  const answer = await client.call(target, 'GetDeviceInformation', `<GetDeviceInformation xmlns="${DEVICE}"/>`)
  const text = (name: string) => textOf(find(answer, name), 128)
  return { maker: text('Manufacturer'), model: text('Model'), firmware: text('FirmwareVersion'), serial: text('SerialNumber') }
}

/** The better one first. */
async function mediaOf(client: SoapClient, target: Target): Promise<Media[]> {
  const request = `<GetServices xmlns="${DEVICE}"><IncludeCapability>false</IncludeCapability></GetServices>`
  let services: readonly { namespace: string; address: string }[]
  try {
    const answer = await client.call(target, 'GetServices', request)
    services = findAll(answer, 'Service').map(each => ({
      namespace: textOf(find(each, 'Namespace')),
      address: textOf(find(each, 'XAddr'), URI_MAX),
    }))
  } catch (error) {
    // Devices before ONVIF 2.1 know no services.
    if (!(error instanceof Failure) || !['OnvifRefused', 'OnvifInvalidAnswer'].includes(error.reason)) throw error
    const answer = await client.call(
      target,
      'GetCapabilities',
      `<GetCapabilities xmlns="${DEVICE}"><Category>Media</Category></GetCapabilities>`,
    )
    services = [{ namespace: MEDIA, address: textOf(find(answer, 'Capabilities', 'Media', 'XAddr'), URI_MAX) }]
  }
  const media = ([MEDIA2, MEDIA] as const).flatMap(namespace => {
    const service = services.find(each => each.namespace.replace(/\/$/, '') === namespace)
    const at = service && targetOf(service.address)
    return at === undefined ? [] : [{ namespace, target: atHome(at, target) }]
  })
  if (media.length === 0) throw new Failure('OnvifInvalidAnswer', 'the device names no media service')
  return media
}

/** A service of the device, asked at the device: credentials go nowhere else. Behind a forwarded port only the port that was asked is right. */
const atHome = ({ origin, path }: Target, { origin: own }: Target): Target => ({
  origin: origin.host === own.host ? origin : own,
  path,
})

async function profilesOf(client: SoapClient, { target, namespace }: Media): Promise<Profile[]> {
  const types = namespace === MEDIA2 ? '<Type>VideoSource</Type><Type>VideoEncoder</Type>' : ''
  return profilesIn(await client.call(target, 'GetProfiles', `<GetProfiles xmlns="${namespace}">${types}</GetProfiles>`))
}

export const profilesIn = (answer: Element): Profile[] =>
  findAll(answer, 'Profiles')
    .slice(0, PROFILES_MAX)
    .flatMap(profile => profileOf(profile) ?? [])

function profileOf(profile: Element): Profile | undefined {
  const token = profile.attributes.get('token') ?? ''
  if (!/^[\x21-\x7e]+$/.test(token) || token.length > TOKEN_MAX) return undefined
  const encoder = find(profile, 'Configurations', 'VideoEncoder') ?? find(profile, 'VideoEncoderConfiguration')
  const source = find(profile, 'Configurations', 'VideoSource') ?? find(profile, 'VideoSourceConfiguration')
  const size = (name: string) => Math.min(65_535, Math.max(0, Math.trunc(Number(textOf(find(encoder, 'Resolution', name)))) || 0))
  return {
    token,
    name: textOf(find(profile, 'Name'), 64),
    encoding: textOf(find(encoder, 'Encoding'), 32).toUpperCase(),
    ...{ width: size('Width'), height: size('Height') },
    source: textOf(find(source, 'SourceToken'), TOKEN_MAX),
  }
}

const uriIn = (answer: Element): string => textOf(find(answer, 'MediaUri', 'Uri') ?? find(answer, 'Uri'), URI_MAX)

/** Without credentials, in whatever place; it is shown to those who may read the camera's status. */
function shownUrl(uri: string): string | undefined {
  const url = splitUrl(uri)
  if (url === undefined || !/^https?$/.test(url.scheme) || url.host === '') return undefined
  if (/[?&;](usr|user|username|loginuse|pwd|pass|passwd|password|loginpas|auth|token|sid|session)=/i.test(url.rest)) return undefined
  return `${url.scheme}://${url.host}${url.port === undefined ? '' : `:${url.port}`}${url.rest}`.slice(0, 512)
}
