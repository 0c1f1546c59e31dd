// What a token of the operator can't do: each forbidden thing is tried, on a real API server, with the rights that the chart grants.
import ava, { type TestFn } from 'ava'
import { ApiError, APPLY_PATCH, JSON_PATCH, MERGE_PATCH, type KubeApi, type Method, type RequestOptions } from '../../common/kube/client.ts'
import { accountApi, accountKubeconfig, grantChartRights, NAMESPACE } from '../fixtures/chart-accounts.ts'
import { camerasIn } from '../fixtures/cluster-cameras.ts'
import { missingHelm } from '../fixtures/helm.ts'
import { startIdentity } from '../fixtures/identity.ts'
import { missingControlPlane, startKube, type Kube } from '../fixtures/kube.ts'
import { leading, startOperator } from '../fixtures/operator.ts'
import { temporaryFolder, type TemporaryFolder } from '../fixtures/tmp.ts'
import { until } from '../fixtures/wait.ts'

type Context = { kube: Kube; folder: TemporaryFolder; stack: AsyncDisposableStack }

const missing = missingControlPlane() ?? missingHelm()
const contextual = ava as TestFn<Context>
const test = missing === undefined ? contextual.serial : contextual.serial.skip
const titled = (title: string) => (missing === undefined ? title : `${title} (skipped: ${missing})`)

const OPERATOR = 'edge-chrysalis-edge-operator'
const SHOP = '/api/v1/namespaces/shop'
const APPS = '/apis/apps/v1/namespaces/shop/deployments'
const CAMERA = '/apis/video.chrys.cloud/v1beta1/namespaces/shop/cameras/front'
const DATA = { password: Buffer.from('a password of somebody else').toString('base64') }

const labels = { app: 'other' }
const deployment = (name: string, metadata: object = {}, spec: object = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, ...metadata },
  spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [safe], ...spec } } },
})
const safe = { name: 'c', image: 'i', securityContext: { allowPrivilegeEscalation: false } }
const pod = (name: string) => ({ metadata: { name, labels }, spec: { containers: [safe] } })

if (missing === undefined) {
  contextual.before(async t => {
    await using stack = new AsyncDisposableStack()
    const folder = stack.use(await temporaryFolder())
    const kube = stack.use(await startKube({ controllers: true, crd: true }))
    for (const name of [NAMESPACE, 'shop', 'farm']) {
      await kube.api.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } })
      await until(() => kube.api.request('GET', `/api/v1/namespaces/${name}/serviceaccounts/default`), { what: 'the ServiceAccount' })
    }
    await kube.api.request('POST', `${SHOP}/secrets`, { body: { metadata: { name: 'login' }, data: DATA } })
    await kube.api.request('POST', `${SHOP}/secrets`, { body: { metadata: { name: 'camera-front-nats' }, data: DATA } })
    await kube.api.request('POST', `${SHOP}/pods`, { body: pod('other') })
    await kube.api.request('POST', APPS, { body: deployment('other') })
    await kube.api.request('POST', APPS, { body: deployment('camera-other') })
    t.context = { kube, folder, stack: stack.move() }
  })
  contextual.after.always(async t => t.context.stack?.disposeAsync())
}

/** What it says as it refuses. */
async function refusalOf(api: KubeApi, method: Method, path: string, options: RequestOptions = {}): Promise<string> {
  try {
    return `accepted: ${JSON.stringify(await api.request(method, path, options))}`
  } catch (error) {
    if (error instanceof ApiError) return `${error.code} ${error.message}`
    throw error
  }
}

const STRATEGIC = 'application/strategic-merge-patch+json'
const copied = [{ op: 'copy', from: '/data/password', path: '/metadata/labels' }]

/** Ways to a Secret of somebody else. */
const WAYS: [Method, string, RequestOptions?][] = [
  ['GET', `${SHOP}/secrets/login`],
  ['GET', `${SHOP}/secrets`],
  ['GET', '/api/v1/secrets'],
  ...[MERGE_PATCH, STRATEGIC].map((contentType): [Method, string, RequestOptions] => [
    'PATCH',
    `${SHOP}/secrets/login`,
    { body: {}, contentType },
  ]),
  ['PATCH', `${SHOP}/secrets/login`, { body: copied, contentType: JSON_PATCH }],
  [
    'PATCH',
    `${SHOP}/secrets/camera-front-nats`,
    { body: { apiVersion: 'v1', kind: 'Secret' }, contentType: APPLY_PATCH, query: { fieldManager: 'x', force: true } },
  ],
  ['PUT', `${SHOP}/secrets/login`, { body: { metadata: { name: 'login' }, data: {} } }],
  // Answered with the whole object, since a finalizer is added.
  ['DELETE', `${SHOP}/secrets/login`, { body: { propagationPolicy: 'Orphan' } }],
  ['DELETE', `${SHOP}/secrets`],
  ['POST', `${SHOP}/serviceaccounts/default/token`, { body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} } }],
  ['POST', `${SHOP}/pods`, { body: pod('mine') }],
  ['POST', `${SHOP}/pods/other/exec?command=id`],
  ['POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles', { body: { metadata: { name: 'mine' }, rules: [] } }],
  ['DELETE', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/edge-chrysalis-edge-operator'],
]

const secret = (type: string, more: object = {}) => ({ body: { metadata: { name: 'mine', ...more }, type } })
const ofCamera = {
  ownerReferences: [{ apiVersion: 'video.chrys.cloud/v1beta1', kind: 'Camera', name: 'front', uid: 'a-uid', controller: true }],
}
const patched = { body: { spec: { replicas: 3 } }, contentType: MERGE_PATCH }

/** What RBAC alone would allow. */
const BEYOND: [title: string, Method, string, RequestOptions, RegExp][] = [
  ['a Secret of any type', 'POST', `${SHOP}/secrets`, secret('Opaque', ofCamera), /only create Secrets with NATS users/],
  [
    'a token of a ServiceAccount',
    'POST',
    `${SHOP}/secrets`,
    secret('kubernetes.io/service-account-token', { annotations: { 'kubernetes.io/service-account.name': 'default' } }),
    /only create Secrets with NATS users/,
  ],
  ['a Secret that no Camera owns', 'POST', `${SHOP}/secrets`, secret('video.chrys.cloud/nats-user'), /only create Secrets with NATS users/],
  ['another Deployment', 'PATCH', `${APPS}/other`, patched, /only write Deployments of Cameras/],
  ['another Deployment of such a name', 'PATCH', `${APPS}/camera-other`, patched, /only write Deployments of Cameras/],
  ['another Deployment’s end', 'DELETE', `${APPS}/other`, {}, /only write Deployments of Cameras/],
  ['a Deployment that no Camera owns', 'POST', APPS, { body: deployment('camera-x') }, /only write Deployments of Cameras/],
  [
    'a pod with a ServiceAccount',
    'POST',
    APPS,
    { body: deployment('camera-x', ofCamera, { serviceAccountName: 'admin', automountServiceAccountToken: false }) },
    /may not create pods with a ServiceAccount/,
  ],
  [
    'a pod on the node’s network',
    'POST',
    APPS,
    { body: deployment('camera-x', ofCamera, { hostNetwork: true, automountServiceAccountToken: false }) },
    /a host namespace/,
  ],
  [
    'a privileged pod',
    'POST',
    APPS,
    {
      body: deployment('camera-x', ofCamera, {
        automountServiceAccountToken: false,
        containers: [{ name: 'c', image: 'i', securityContext: { privileged: true } }],
      }),
    },
    /or privileges/,
  ],
  ['another pod’s end', 'DELETE', `${SHOP}/pods/other`, {}, /only delete pods of Cameras/],
  ['another spec of a Camera', 'PATCH', CAMERA, { body: { spec: { suspend: true } }, contentType: MERGE_PATCH }, /may not change the spec/],
]

const stateOf = async ({ api }: Kube) => {
  const paths = [
    `${SHOP}/secrets/login`,
    `${SHOP}/secrets/camera-front-nats`,
    `${SHOP}/pods/other`,
    `${APPS}/other`,
    `${APPS}/camera-other`,
  ]
  type Object = { metadata: { uid: string; labels?: object; ownerReferences?: object[] }; data?: object; spec?: object }
  const objects = await Promise.all(paths.map(path => api.request<Object>('GET', path)))
  return objects.map(({ metadata: { uid, labels: own, ownerReferences }, data, spec }) => ({ uid, own, ownerReferences, data, spec }))
}

test(titled('the operator’s token reads no Secret of the cluster, and changes nothing that is not a Camera’s'), async t => {
  const { kube, folder } = t.context
  const { revoke } = await grantChartRights(kube, {})
  const api = await accountApi(kube, OPERATOR, folder.file('all'))
  await camerasIn(kube, 'shop').apply('front')
  const before = await stateOf(kube)
  // Once the policy is in force, which takes the API server a moment.
  await until(async () => (await refusalOf(api, 'DELETE', `${SHOP}/pods/other`, { query: { dryRun: 'All' } })).startsWith('4'), {
    what: 'the admission policy',
  })
  for (const [method, path, options] of WAYS) {
    const refusal = await refusalOf(api, method, path, options)
    t.regex(refusal, /^403 .*(cannot|is forbidden)/, `${method} ${path}`)
    t.false(refusal.includes(DATA.password))
  }
  for (const [title, method, path, options, why] of BEYOND) t.regex(await refusalOf(api, method, path, options), why, title)
  t.deepEqual(await stateOf(kube), before)
  await revoke()
  await camerasIn(kube, 'shop').delete('front')
})

test(titled('with cameraNamespaces the operator has rights and Cameras in those namespaces only, and does its work there'), async t => {
  const { kube, folder } = t.context
  const { revoke } = await grantChartRights(kube, { operator: { cameraNamespaces: ['shop'] } })
  const api = await accountApi(kube, OPERATOR, folder.file('some'))
  for (const path of [
    '/apis/video.chrys.cloud/v1beta1/cameras',
    '/api/v1/pods',
    '/apis/apps/v1/deployments',
    '/api/v1/namespaces/farm/pods',
  ])
    t.regex(await refusalOf(api, 'GET', path), /^403 /, path)
  t.regex(await refusalOf(api, 'POST', '/api/v1/namespaces/farm/secrets', secret('video.chrys.cloud/nats-user', ofCamera)), /^403 /)

  await using identity = await startIdentity()
  await using operator = await startOperator({
    kubeconfig: await accountKubeconfig(kube, OPERATOR, folder.file('operator')),
    natsUrl: identity.nats.url,
    env: {
      CHRYS_NAMESPACE: NAMESPACE,
      CHRYS_CAMERA_NAMESPACES: 'shop',
      CHRYS_DENY_FIELDS: 'image,env,hostPath',
      CHRYS_NATS_SIGNING_DIR: identity.signingDir,
      CHRYS_NATS_CREDS_FILE: await identity.role('operator'),
    },
  })
  await leading(operator)
  const [shop, farm] = [camerasIn(kube, 'shop'), camerasIn(kube, 'farm')]
  await farm.apply('barn')
  await shop.apply('front')
  const stored = await shop.deploymentWith('front', 'at all', () => true)
  await shop.ready('front', 'PodPending')
  // A Secret of that name was there before.
  const name = stored.spec.template.spec.volumes?.find(volume => volume.name === 'nats')?.secret?.secretName
  t.regex(name ?? '', /^camera-front-nats-[0-9a-f]{10}$/)
  t.like(await kube.api.request('GET', `${SHOP}/secrets/camera-front-nats`), { data: DATA })
  t.like(await kube.api.request('GET', `${SHOP}/secrets/${name}`), { type: 'video.chrys.cloud/nats-user', immutable: true })

  await shop.apply('other')
  await shop.ready('other', 'NameTaken')
  await shop.apply('image', { source: { url: 'testsrc:' }, pod: { image: 'mine', env: [{ name: 'A', value: 'b' }] } })
  const { status } = await shop.ready('image', 'FieldDenied')
  t.regex(status?.conditions?.[0]?.message ?? '', /^Spec\.pod\.image, spec\.pod\.env may not be used in this cluster/)
  t.is(await shop.deployment('image'), undefined)
  // One that runs is stopped.
  await shop.apply('front', { source: { url: 'testsrc:' }, archive: { volume: { hostPath: { path: '/' } } } })
  await shop.ready('front', 'FieldDenied')
  await shop.deploymentWith('front', 'without a pod', ({ spec }) => spec.replicas === 0)

  t.is((await farm.camera('barn'))?.status, undefined)
  t.deepEqual(await farm.deployments(), [])
  for (const each of ['front', 'image', 'other']) {
    await shop.delete(each)
    await shop.gone(each)
  }
  t.deepEqual(
    operator.complaints().filter(({ msg, error }) => /forbidden|denied/.test(`${msg} ${error}`)),
    [],
  )
  await revoke()
})
