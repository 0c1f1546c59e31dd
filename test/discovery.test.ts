// From what a discovery pod finds to Cameras: what is decided, and a pod with a NATS user of its own.
import { writeFile } from 'node:fs/promises'
import test from 'ava'
import { connect } from 'nats'
import { openBucket } from '../common/nats/buckets.ts'
import { discoveryDeployment, discoverySecret, type WatchedDiscovery } from '../operator/discovery/objects.ts'
import { adopted, discoveryStatus, isNews, missing } from '../operator/discovery/status.ts'
import { newKeys } from '../operator/identity/trust.ts'
import { cameraNameOf, DiscoveryReport, type DiscoveredDevice } from '../proto/discovery.ts'
import { parseJson } from '../proto/messages.ts'
import { DISCOVERY_SUBJECTS } from '../proto/subjects.ts'
import { SETTINGS, watchedCamera } from './fixtures/camera-objects.ts'
import { startIdentity, type Identity } from './fixtures/identity.ts'
import { startOnvifDevice } from './fixtures/onvif-device.ts'
import { startSearch } from './fixtures/search.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const UUID = '1419d68a-1dd2-11b2-a105-000000000001'

const discovery = (spec: Partial<WatchedDiscovery['spec']> = {}, rest: Partial<WatchedDiscovery> = {}): WatchedDiscovery => ({
  apiVersion: 'video.chrys.cloud/v1beta1',
  kind: 'CameraDiscovery',
  metadata: { namespace: 'shop', name: 'floor', uid: 'u', generation: 2, resourceVersion: '1' },
  spec: { cidrs: ['10.0.20.0/24'], hostNetwork: false, profile: 'main', approve: 'Manual', interval: '60s', ...spec },
  ...rest,
})
const device = (change: Partial<DiscoveredDevice> = {}): DiscoveredDevice => ({
  ...{ uuid: UUID, address: '10.0.20.7', name: 'Eye', maker: 'Acme', reason: 'OnvifFound' },
  profiles: [{ token: 'main', encoding: 'H264', width: 1920, height: 1080 }],
  ...change,
})
const heard = (...devices: DiscoveredDevice[]) => ({ report: { v: 1 as const, uid: 'u', cidrs: ['10.0.20.0/24'], devices }, at: 1_000_000 })
const nobody = new Map<string, string>()

test('an approved device becomes a Camera of its UUID, with the template, the Secret and where to look for it', t => {
  const template = { labels: { site: 'shop' }, spec: { buffer: { duration: '5m' }, source: { transport: 'udp' } } }
  const spec = { approved: [`urn:uuid:${UUID.toUpperCase()}`], credentialsSecretRef: { name: 'login' }, template }
  t.deepEqual(missing(discovery(spec), heard(device()), nobody), [
    {
      apiVersion: 'video.chrys.cloud/v1beta1',
      kind: 'Camera',
      metadata: { namespace: 'shop', name: `onvif-${UUID}`, labels: { site: 'shop', 'video.chrys.cloud/discovery': 'floor' } },
      spec: {
        buffer: { duration: '5m' },
        source: {
          transport: 'udp',
          onvif: { uuid: UUID, cidrs: ['10.0.20.0/24'], profile: 'main' },
          credentialsSecretRef: { name: 'login' },
        },
      },
    },
  ])
})

test('devices that are not approved, cannot be used, or have a Camera become none', t => {
  t.deepEqual(missing(discovery(), heard(device()), nobody), [])
  const auto = discovery({ approve: 'Auto' })
  t.is(missing(auto, heard(device()), nobody).length, 1)
  t.deepEqual(missing(auto, heard(device({ reason: 'OnvifAuthFailed' })), nobody), [])
  const own = watchedCamera({ source: { transport: 'tcp', onvif: { uuid: UUID.toUpperCase(), profile: 'main' } } })
  t.deepEqual(missing(auto, heard(device()), adopted([own], auto)), [])
  const foreign = { ...own, metadata: { ...own.metadata, namespace: 'other' } }
  t.is(missing(auto, heard(device()), adopted([foreign], auto)).length, 1)
})

test('the status lists each device with its Camera, or with what to do', t => {
  const devices = [device(), device({ uuid: 'b', address: '10.0.20.8', reason: 'OnvifAuthFailed', message: 'no' }), device({ uuid: 'c' })]
  const known = { heard: heard(...devices), cameras: new Map([['c', 'door']]), refusal: undefined, isSilent: false }
  const status = discoveryStatus(discovery(), known, 2_000_000)
  t.like(status, { found: 3, cameras: 1, conditions: { 0: { type: 'Ready', status: 'True', reason: 'Searching' } } })
  t.deepEqual(
    status?.devices?.map(({ reason, camera }) => [reason, camera]),
    [
      ['ApprovalMissing', undefined],
      ['OnvifAuthFailed', undefined],
      ['OnvifFound', 'door'],
    ],
  )
  t.deepEqual(status?.devices?.[0]?.profiles, ['main (H264 1920x1080)'])
})

test('a pod that is silent, a search that fails and a template that is refused are reasons', t => {
  const reasonOf = (known: Partial<Parameters<typeof discoveryStatus>[1]>) =>
    discoveryStatus(discovery(), { heard: undefined, cameras: nobody, refusal: undefined, isSilent: false, ...known }, 0)?.conditions?.[0]
      ?.reason
  t.is(reasonOf({}), undefined)
  t.is(reasonOf({ isSilent: true }), 'DiscoverySilent')
  const failed = heard()
  t.is(reasonOf({ heard: { ...failed, report: { ...failed.report, problem: 'there is no network interface eth9' } } }), 'SearchFailed')
  t.is(reasonOf({ heard: heard(), refusal: { reason: 'TemplateInvalid', message: 'x' } }), 'TemplateInvalid')
})

test('the time of a search alone is news every few minutes', t => {
  const known = { heard: heard(device()), cameras: nobody, refusal: undefined, isSilent: false }
  const first = discoveryStatus(discovery(), known, 0)
  if (first === undefined) return t.fail()
  const later = (ms: number) => ({ ...first, lastSearchTime: new Date(1_000_000 + ms).toISOString() })
  t.true(isNews(first, undefined, 300_000))
  t.false(isNews(later(60_000), first, 300_000))
  t.true(isNews(later(300_000), first, 300_000))
  t.true(isNews({ ...first, found: 2 }, first, 300_000))
})

test('the pod fits Pod Security restricted, is in the node’s network where that is asked for alone, and gets credentials as files', t => {
  const { spec: pod } = discoveryDeployment(discovery({ credentialsSecretRef: { name: 'login' } }), SETTINGS).spec?.template ?? {}
  t.like(pod, { automountServiceAccountToken: false, securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } } })
  t.is(pod?.hostNetwork, undefined)
  t.like(pod?.containers[0]?.securityContext, { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } })
  t.like(pod?.volumes?.find(({ name }) => name === 'credentials')?.secret, { secretName: 'login', optional: true })
  const shared = discoveryDeployment(discovery({ hostNetwork: true, interfaces: ['eth0'] }), SETTINGS).spec?.template.spec
  t.like(shared, { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' })
  t.deepEqual([shared?.containers[0]?.ports, shared?.containers[0]?.livenessProbe], [undefined, undefined], 'it takes no port of the node')
})

test('its NATS user is the same for the same CameraDiscovery', t => {
  const keys = newKeys()
  const secret = discoverySecret(keys, discovery(), { days: 90 }, 0)
  t.deepEqual(discoverySecret({ ...keys }, discovery({ approve: 'Auto' }), { days: 90 }, 0), secret)
  t.is(secret.metadata.ownerReferences?.[0]?.kind, 'CameraDiscovery')
})

test('a UUID names a Camera, whatever it looks like', t => {
  t.is(cameraNameOf(UUID), `onvif-${UUID}`)
  for (const uuid of ['A', 'http://x/y', 'x'.repeat(128), '-', '']) t.regex(cameraNameOf(uuid), /^onvif-[0-9a-f]{32}$/)
})

test('a discovery pod reports with a NATS user of its own, and a device gets one login in ten minutes, also from its next process', async t => {
  await using identity = await startIdentity()
  await using nc = await connected(identity)
  await openBucket(nc.nc, 'logins')
  const reports: DiscoveryReport[] = []
  nc.nc.subscribe(DISCOVERY_SUBJECTS, { callback: (_, message) => void reports.push(parseJson(DiscoveryReport, message.data)) })
  await using locked = await startOnvifDevice({
    host: '127.0.14.2',
    discovery: 'unicast',
    uuid: 'aaa',
    auth: { user: 'u', password: 'right' },
  })
  await using open = await startOnvifDevice({
    ...{ host: '127.0.14.3', discovery: 'unicast', uuid: 'bbb' },
    profiles: [{ token: 'main', encoding: 'H264', width: 640, height: 360, url: 'rtsp://127.0.14.3/' }],
  })
  await using folder = await temporaryFolder()
  await writeFile(folder.file('username'), 'u')
  await writeFile(folder.file('password'), 'wrong')
  const env = {
    CHRYS_DISCOVERY_NAMESPACE: 'shop',
    CHRYS_DISCOVERY_NAME: 'floor',
    CHRYS_DISCOVERY_UID: 'u',
    CHRYS_DISCOVERY_SPEC: JSON.stringify({ cidrs: ['127.0.14.0/29'], profile: 'main', interval: '10s' }),
    CHRYS_NATS_URL: identity.nats.url,
    CHRYS_NATS_CREDS_FILE: await identity.discovery({ namespace: 'shop', name: 'floor', uid: 'u' }),
    CHRYS_CREDENTIALS_DIR: folder.path,
    CHRYS_CREDENTIALS_SECRET: 'login',
  }
  const next = async (reason: string) => {
    const count = reports.length
    await using search = startSearch(env)
    await until(() => reports.length > count, { what: `a report; ${search.log()}`, timeoutMs: 60_000 })
    t.deepEqual(
      reports.at(-1)?.devices.map(each => [each.uuid, each.reason]),
      [
        ['aaa', reason],
        ['bbb', 'OnvifFound'],
      ],
      search.log(),
    )
    t.false(search.log().includes('wrong'))
  }
  await next('OnvifAuthFailed')
  await next('OnvifLoginWaits')
  t.deepEqual(
    locked.asked.filter(name => name.endsWith('+')),
    ['GetDeviceInformation+'],
  )
  t.false(open.asked.some(name => name.endsWith('+')))
  t.deepEqual(identity.violations(), [])
})

async function connected(identity: Identity) {
  const nc = await connect({ servers: identity.nats.url, authenticator: identity.admin() })
  return { nc, [Symbol.asyncDispose]: () => nc.close() }
}
