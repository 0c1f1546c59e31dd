// WS-Discovery: the question, and the answers as devices write them.
import { targetOf, type Target } from '../net/target.ts'
import { splitUrl } from '../net/url.ts'
import { find, parseXml, textOf, type Element } from './xml.ts'

export const DISCOVERY_PORT = 3702
export const DISCOVERY_GROUP = '239.255.255.250'

export type Match = {
  /** `urn:uuid:…` in lower case without that; empty where the device names itself in no way. */
  uuid: string
  /** The device services, as the device names them. */
  urls: readonly string[]
  /** What it calls itself: empty where it does not say. */
  name: string
}

/** `id`: a UUID. */
export const probe = (id: string): Buffer =>
  Buffer.from(
    [
      '<?xml version="1.0" encoding="utf-8"?>',
      '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing">',
      `<s:Header><a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>`,
      `<a:MessageID>urn:uuid:${id}</a:MessageID>`,
      '<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>',
      '<a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>',
      '<s:Body><Probe xmlns="http://schemas.xmlsoap.org/ws/2005/04/discovery">',
      '<d:Types xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">dn:NetworkVideoTransmitter</d:Types>',
      '</Probe></s:Body></s:Envelope>',
    ].join(''),
  )

const MATCHES_MAX = 64

/** Throws Failure OnvifInvalidAnswer. Empty for a message that answers no probe of ours. */
export function matchesIn(bytes: Buffer, id: string): Match[] {
  const envelope = parseXml(bytes.toString('utf8'))
  const relates = textOf(find(envelope, 'Header', 'RelatesTo')).toLowerCase()
  if (relates !== '' && !relates.endsWith(id.toLowerCase())) return []
  const body = find(envelope, 'Body')
  // Some leave out what should be around each match.
  const matches = [...(find(body, 'ProbeMatches')?.children ?? []), ...(body?.children ?? [])].filter(({ name }) => name === 'ProbeMatch')
  return matches.slice(0, MATCHES_MAX).map(matchOf)
}

function matchOf(match: Element): Match {
  const scopes = textOf(find(match, 'Scopes'), 4_096).split(/\s+/)
  const name = scopes.find(scope => /^onvif:\/\/www\.onvif\.org\/name\//i.test(scope))?.split('/')[4] ?? ''
  const urls = textOf(find(match, 'XAddrs'), 4_096)
    .split(/\s+/)
    .filter(url => /^https?$/.test(splitUrl(url)?.scheme ?? ''))
  return { uuid: uuidOf(textOf(find(match, 'EndpointReference', 'Address'), 128)), urls, name: decoded(name).slice(0, 64) }
}

/** `urn:uuid:ABC` and `uuid:ABC` are `abc`. */
const uuidOf = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/^(urn:)?uuid:/, '')

function decoded(text: string): string {
  try {
    return decodeURIComponent(text).replaceAll(/\p{Cc}/gu, ' ')
  } catch {
    return text
  }
}

/** Its device service, at the address that answered: whatever it names, nothing is asked of others. Undefined where it names none. */
export function deviceService({ urls }: Match, address: string): Target | undefined {
  const targets = urls.flatMap(url => targetOf(url) ?? [])
  const target = targets.find(({ origin }) => origin.host === address) ?? targets[0]
  return target && { ...target, origin: { ...target.origin, host: address } }
}
