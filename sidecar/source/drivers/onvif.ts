// An ONVIF device: at each connect it is asked where the profile's stream is, so that a new address or path heals itself.
import type { LookupAddress } from 'node:dns'
import type { BlockList } from 'node:net'
import { Failure } from '../../../common/errors.ts'
import { resolveHost } from '../../../common/net/address.ts'
import { targetOf, type Target } from '../../../common/net/target.ts'
import { chosen, OnvifDevice } from '../../../common/onvif/device.ts'
import { deviceService } from '../../../common/onvif/probe.ts'
import { addressesIn, allInterfaces, search } from '../../../common/onvif/search.ts'
import type { OnvifSource } from '../../../proto/camera.ts'
import type { Source, SourceOptions } from './driver.ts'
import { rtsp } from './rtsp.ts'

/** Throws an Error that says what is wrong with `onvif`. */
export function onvifSource(onvif: OnvifSource, options: SourceOptions): Source {
  const where = locator(onvif)
  const memory = { strength: 0 }
  /** What is learnt of a stream holds while its URL does. */
  let stream = { url: '', source: rtsp.parse('rtsp://device/', options) }
  return {
    async openRelay(credentials, deny, signal) {
      const device = await OnvifDevice.open({ ...(await where(deny, signal)), credentials, memory, trust: options.trust }, signal)
      const profile = chosen(device.profiles, onvif.profile)
      const url = await device.streamUrl(profile, options.transport)
      if (url !== stream.url) stream = { url, source: rtsp.parse(url, options) }
      const snapshotUrl = await device.snapshotUrl(profile)
      const relay = await stream.source.openRelay(credentials, deny, signal)
      return (
        relay && { ...relay, device: { ...device.info, profile: profile.token, ...(snapshotUrl === undefined ? {} : { snapshotUrl }) } }
      )
    },
    open: (relay, credentials, traits, handlers) => stream.source.open(relay, credentials, traits, handlers),
    traitIn: line => stream.source.traitIn(line),
    mayBeFile: false,
    skipTrack: tracks => stream.source.skipTrack(tracks),
    withoutFrame: progress => stream.source.withoutFrame(progress),
  }
}

type Place = { target: Target; addresses: readonly LookupAddress[] }

function locator({ address, uuid, cidrs = [] }: OnvifSource): (deny: BlockList, signal: AbortSignal) => Promise<Place> {
  if ((address === undefined) === (uuid === undefined)) throw new Error('spec.source.onvif: exactly one of address and uuid is required')
  addressesIn(cidrs)
  if (uuid !== undefined) return (deny, signal) => lookFor(uuid, cidrs, deny, signal)
  const text = address ?? ''
  if (text.includes('@')) throw new Error('spec.source.onvif.address: credentials belong in spec.source.credentialsSecretRef')
  const target = targetOf(/^https?:\/\//i.test(text) ? text : `http://${text}/onvif/device_service`)
  if (target === undefined || target.origin.host === '')
    throw new Error('spec.source.onvif.address: must be a host, or the URL of a device service')
  const own = target.path === '/' ? { ...target, path: '/onvif/device_service' } : target
  return async deny => ({ target: own, addresses: await resolveHost(own.origin.host, deny) })
}

/** At whatever address the device has now. */
async function lookFor(uuid: string, cidrs: readonly string[], deny: BlockList, signal: AbortSignal): Promise<Place> {
  const wanted = uuid.toLowerCase().replace(/^urn:uuid:/, '')
  const found = await search({ interfaces: allInterfaces(), cidrs, deny }, signal, each => 'match' in each && each.match.uuid === wanted)
  for (const each of found) {
    if (!('match' in each) || each.match.uuid !== wanted) continue
    const target = deviceService(each.match, each.address)
    if (target !== undefined) return { target, addresses: await resolveHost(each.address, deny) }
  }
  throw new Failure('OnvifNotFound', `no ONVIF device answers with the UUID ${wanted}: ${found.length} others do`)
}
