// ONVIF devices as they are: what is asked, what is believed, and what is never sent.
import { BlockList } from 'node:net'
import test from 'ava'
import { Failure } from '../common/errors.ts'
import { denied } from '../common/net/address.ts'
import { targetOf, type Target } from '../common/net/target.ts'
import { chosen, OnvifDevice, type Profile } from '../common/onvif/device.ts'
import { deviceService, matchesIn } from '../common/onvif/probe.ts'
import { addressesIn, search } from '../common/onvif/search.ts'
import { parseXml } from '../common/onvif/xml.ts'
import { sourceOf } from '../sidecar/source/source.ts'
import { startOnvifDevice, type DeviceOptions, type DeviceProfile } from './fixtures/onvif-device.ts'

const AUTH = { user: 'viewer', password: 'p&ss<wörd>' }
const LOGIN = { username: AUTH.user, password: AUTH.password }
const MAIN: DeviceProfile = { token: 'one', encoding: 'H264', width: 1920, height: 1080, url: 'rtsp://127.0.0.1:9554/main?a=1&b=2' }
const SUB: DeviceProfile = { token: 'two', encoding: 'H264', width: 640, height: 360, url: 'rtsp://127.0.0.1:9554/sub' }
const profiles = [MAIN, SUB]
const never = new AbortController().signal

async function open(port: number, credentials?: { username: string; password: string }, signal = never): Promise<OnvifDevice> {
  const target = targetOf(`http://127.0.0.1:${port}/onvif/device_service`) as Target
  const addresses = [{ address: '127.0.0.1', family: 4 }]
  return OnvifDevice.open({ target, addresses, credentials, memory: { strength: 0 } }, signal)
}

const reasonOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error instanceof Failure ? error.reason : String(error)),
  )

for (const [what, options] of [
  ['a device that needs no login', {}],
  ['a device without GetServices', { media: 'old' }],
  ['a device that knows the newer media service only', { media: 'new' }],
  ['a login by WS-Security', { auth: AUTH }],
  ['a clock that is an hour ahead', { auth: AUTH, clockMs: 3_600_000 }],
  ['a clock that is an hour behind, and for users only', { auth: AUTH, clockMs: -3_600_000, clockNeedsLogin: true }],
  ['a login by HTTP Digest', { auth: AUTH, login: 'digest' }],
] satisfies [string, DeviceOptions][]) {
  test(`${what}: profiles, stream and information are found`, async t => {
    await using device = await startOnvifDevice({ profiles, ...options })
    const known = await open(device.port, LOGIN)
    t.deepEqual(known.info, { maker: 'Acme & Co', model: 'Eye 3', firmware: '1.2', serial: 'S-77' })
    t.is(await known.streamUrl(chosen(known.profiles, 'main'), 'tcp'), MAIN.url)
    t.is(await known.streamUrl(chosen(known.profiles, 'sub'), 'tcp'), SUB.url)
  })
}

for (const login of ['wsse', 'digest'] as const) {
  test(`a wrong password is sent once (${login})`, async t => {
    await using device = await startOnvifDevice({ profiles, auth: AUTH, login })
    t.is(await reasonOf(open(device.port, { ...LOGIN, password: 'wrong' })), 'OnvifAuthFailed')
    t.deepEqual(
      device.asked.filter(name => name.endsWith('+')),
      ['GetDeviceInformation+'],
    )
  })
}

test('a device that asks for a login gets none that nobody gave', async t => {
  await using device = await startOnvifDevice({ profiles, auth: AUTH })
  t.is(await reasonOf(open(device.port)), 'OnvifAuthFailed')
  t.deepEqual(device.asked, ['GetSystemDateAndTime', 'GetDeviceInformation'])
})

for (const [bad, reason] of [
  ['doctype', 'OnvifInvalidAnswer'],
  ['entity', 'OnvifInvalidAnswer'],
  ['junk', 'OnvifInvalidAnswer'],
  ['endless', 'OnvifInvalidAnswer'],
  ['deep', 'OnvifInvalidAnswer'],
  ['redirect', 'RedirectRefused'],
  ['silent', 'ConnectTimeout'],
] as const) {
  test(`an answer that is bad (${bad}) is refused with a reason`, async t => {
    await using device = await startOnvifDevice({ profiles, bad })
    t.is(await reasonOf(open(device.port, LOGIN)), reason)
    t.is(device.asked.length, 1)
  })
}

test('what the device names elsewhere is asked and played at the device itself', async t => {
  const elsewhere = [{ ...MAIN, url: 'rtsp://viewer:secret@192.0.2.9:9554/main' }]
  await using device = await startOnvifDevice({ profiles: elsewhere, claimedHost: '192.0.2.9', auth: AUTH })
  const known = await open(device.port, LOGIN)
  t.is(await known.streamUrl(chosen(known.profiles, 'main'), 'tcp'), 'rtsp://127.0.0.1:9554/main')
})

test('a snapshot’s URL is told without credentials, or not at all', async t => {
  await using device = await startOnvifDevice({ profiles, snapshotUrl: 'http://u:p@127.0.0.1/snap.jpg?ch=1' })
  const known = await open(device.port)
  const profile = chosen(known.profiles, 'main')
  t.is(await known.snapshotUrl(profile), 'http://127.0.0.1/snap.jpg?ch=1')
  for (const snapshotUrl of ['http://127.0.0.1/cgi?usr=a&pwd=b', 'file:///etc/passwd', undefined]) {
    device.options = { profiles, ...(snapshotUrl === undefined ? {} : { snapshotUrl }) }
    t.is(await known.snapshotUrl(profile), undefined, snapshotUrl)
  }
})

for (const url of ['http://127.0.0.1/x', 'file:///etc/passwd', '-i', '', 'rtsp:/x']) {
  test(`a stream at ${JSON.stringify(url)} is refused`, async t => {
    await using device = await startOnvifDevice({ profiles: [{ ...MAIN, url }] })
    const known = await open(device.port)
    t.is(await reasonOf(known.streamUrl(chosen(known.profiles, 'main'), 'tcp')), 'OnvifInvalidAnswer')
  })
}

const profile = (token: string, encoding: string, width: number, height: number, source = 'a'): Profile => ({
  ...{ token, name: token, encoding, width, height, source },
})

test('main is the largest stream of the first picture, and sub the next smaller one', t => {
  const many = [
    profile('jpeg', 'JPEG', 320, 180),
    profile('big', 'H265', 3840, 2160),
    profile('half', 'H264', 1920, 1080),
    profile('other', 'H264', 7680, 4320, 'b'),
    profile('odd', 'MPEG4', 9000, 9000),
  ]
  t.is(chosen(many, 'main').token, 'big')
  t.is(chosen(many, 'sub').token, 'jpeg')
  t.is(chosen(many.slice(1), 'sub').token, 'half')
  t.is(chosen(many, 'other').token, 'other')
})

test('a profile that is not there is named beside those that are', t => {
  const error = t.throws(() => chosen([profile('one', 'H264', 640, 360)], 'sub'), { instanceOf: Failure })
  t.is(error.reason, 'OnvifNoProfile')
  t.regex(error.message, /one \(H264 640x360\)/)
  t.is(t.throws(() => chosen([profile('one', 'H264', 640, 360)], 'three'), { instanceOf: Failure }).reason, 'OnvifNoProfile')
  t.is(t.throws(() => chosen([], 'main'), { instanceOf: Failure }).reason, 'OnvifNoProfile')
})

test('ranges are bounded, and leave out what is no device’s', t => {
  t.deepEqual(addressesIn(['10.0.0.4/30', '10.0.0.9/32']), ['10.0.0.5', '10.0.0.6', '10.0.0.9'])
  t.is(addressesIn(['10.0.16.0/20']).length, 4_094)
  for (const cidr of ['10.0.0.0/8', '10.0.0.256/32', 'fe80::/64', '10.0.0.0/33', 'x', '10.0.0.0/20,'])
    t.throws(() => addressesIn([cidr]), undefined, cidr)
})

test('a device is found by a unicast probe, with an answer of the right and of a wrong form', async t => {
  await using _one = await startOnvifDevice({ host: '127.0.11.2', discovery: 'unicast', uuid: 'AAAA' })
  await using _two = await startOnvifDevice({ host: '127.0.11.3', discovery: 'unicast', badProbe: true })
  await using three = await startOnvifDevice({ host: '127.0.11.4', discovery: 'unicast' })
  await using outside = await startOnvifDevice({ host: '127.0.11.9', discovery: 'unicast' })
  const found = await search({ interfaces: [], cidrs: ['127.0.11.0/29'], deny: denied(['127.0.11.4/32']) }, never)
  t.deepEqual(found.map(({ address }) => address).toSorted(), ['127.0.11.2', '127.0.11.3'])
  t.deepEqual(
    found.map(each => ('match' in each ? [each.match.uuid, each.match.name] : 'bad')),
    [['aaaa', 'Eye 3'], 'bad'],
  )
  t.deepEqual([three.asked, outside.asked], [[], []])
})

const envelope = (body: string, header = '') =>
  Buffer.from(`<e:Envelope xmlns:e="e"><e:Header>${header}</e:Header><e:Body>${body}</e:Body></e:Envelope>`)
const MATCH =
  '<d:ProbeMatch><d:EndpointReference><a:Address>urn:uuid:ABC</a:Address></d:EndpointReference><d:XAddrs>http://192.0.2.7/x http://10.0.0.5:8080/onvif/device_service ftp://x</d:XAddrs></d:ProbeMatch>'

test('a match without its wrapper is one, and an answer to another probe is none', t => {
  for (const body of [MATCH, `<d:ProbeMatches>${MATCH}</d:ProbeMatches>`]) t.is(matchesIn(envelope(body), 'id')[0]?.uuid, 'abc')
  t.deepEqual(matchesIn(envelope(MATCH, '<a:RelatesTo>urn:uuid:other</a:RelatesTo>'), 'id'), [])
})

test('a device service is asked at the address that answered, whatever it names', t => {
  const [match] = matchesIn(envelope(MATCH), 'id')
  t.deepEqual(match && deviceService(match, '10.0.0.5'), {
    ...{ origin: { tls: false, host: '10.0.0.5', port: 8080 }, path: '/onvif/device_service' },
  })
  t.is(match && deviceService(match, '10.0.0.6')?.origin.host, '10.0.0.6')
})

test('an address that the policy denies is not asked', async t => {
  await using device = await startOnvifDevice({ profiles })
  const source = sourceOf({ onvif: { address: device.address, profile: 'main' } })
  const deny = new BlockList()
  deny.addSubnet('127.0.0.0', 8)
  t.is(await reasonOf(source.openRelay(undefined, deny, never)), 'AddressDenied')
  t.deepEqual(device.asked, [])
})

test('a device that nobody is answers for no other', async t => {
  await using _device = await startOnvifDevice({ host: '127.0.12.1', discovery: 'unicast', uuid: 'another', profiles })
  const source = sourceOf({ onvif: { uuid: 'mine', cidrs: ['127.0.12.1/32'], profile: 'main' } })
  t.is(await reasonOf(source.openRelay(undefined, denied([]), never)), 'OnvifNotFound')
})

for (const [onvif, wrong] of [
  [{ profile: 'main' }, /exactly one of address and uuid/],
  [{ address: 'a', uuid: 'b', profile: 'main' }, /exactly one of address and uuid/],
  [{ address: 'u:p@camera', profile: 'main' }, /address/],
  [{ uuid: 'b', cidrs: ['10.0.0.0/8'], profile: 'main' }, /4096/],
] as const) {
  test(`a source of ${JSON.stringify(onvif)} is refused`, t => {
    t.throws(() => sourceOf({ onvif: { ...onvif, ...('cidrs' in onvif ? { cidrs: [...onvif.cidrs] } : { cidrs: [] }) } }), {
      message: wrong,
    })
  })
}

test('XML of any kind is read or refused with a reason, within its bounds', t => {
  const inputs = [
    '',
    '<',
    '<a',
    '<a>',
    '<a></b>',
    '<a b=1/>',
    '<a>&lt;&#x41;</a>',
    '<a>&nbsp;</a>',
    '\uFEFF\n<a/>\0',
    '<a/><b/>',
    '<!DOCTYPE a><a/>',
  ]
  const read = inputs.filter(text => {
    try {
      return parseXml(text).name !== ''
    } catch (error) {
      t.true(error instanceof Failure && error.reason === 'OnvifInvalidAnswer', text)
      return false
    }
  })
  t.deepEqual(read, ['<a>&lt;&#x41;</a>', '\uFEFF\n<a/>\0'])
  t.throws(() => parseXml(`<a>${'<b/>'.repeat(60_000)}</a>`), { instanceOf: Failure })
})
