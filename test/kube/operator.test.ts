// One operator, with its own RBAC rules only, on a real control plane. Each test has a namespace of its own.
import ava, { type TestFn } from 'ava'
import { messageOf } from '../../common/errors.ts'
import { sleep } from '../../common/abort.ts'
import { APPLY_PATCH, MERGE_PATCH } from '../../common/kube/client.ts'
import { CameraRecord } from '../../proto/state.ts'
import { BUCKET, packetStream, packetSubject } from '../../proto/subjects.ts'
import { parseJson } from '../../proto/messages.ts'
import { connect, type NatsConnection } from 'nats'
import { camerasIn, type Cameras, type StoredDeployment } from '../fixtures/cluster-cameras.ts'
import { startIdentity } from '../fixtures/identity.ts'
import { missingControlPlane, startKube, type Kube } from '../fixtures/kube.ts'
import { startNats, type NatsServer } from '../fixtures/nats.ts'
import { allowOperator, operatorRules, permissions } from '../fixtures/operator-rbac.ts'
import { startOnvifDevice } from '../fixtures/onvif-device.ts'
import { startSearch } from '../fixtures/search.ts'
import { leading, startOperator, type OperatorProcess } from '../fixtures/operator.ts'
import { until } from '../fixtures/wait.ts'

type Context = { kube: Kube; nats: NatsServer; nc: NatsConnection; operator: OperatorProcess; stack: AsyncDisposableStack }

const missing = missingControlPlane()
const contextual = ava as TestFn<Context>
const test = missing === undefined ? contextual : contextual.skip
const titled = (title: string) => (missing === undefined ? title : `${title} (skipped: ${missing})`)

if (missing === undefined) {
  contextual.before(async t => {
    await using stack = new AsyncDisposableStack()
    const kube = stack.use(await startKube({ controllers: true, crd: true, users: { operator: [] }, audit: 'operator' }))
    const nats = stack.use(await startNats())
    const nc = await connect({ servers: nats.url })
    stack.defer(() => nc.close())
    await allowOperator(kube, 'operator')
    const { signingDir } = stack.use(await startIdentity())
    const env = { CHRYS_NATS_SIGNING_DIR: signingDir }
    const operator = stack.use(await startOperator({ kubeconfig: await kube.kubeconfig('operator'), natsUrl: nats.url, env }))
    await leading(operator)
    t.context = { kube, nats, nc, operator, stack: stack.move() }
  })
  contextual.after.always(async t => t.context.stack?.disposeAsync())
}

const begin = async (kube: Kube, labels?: Record<string, string>): Promise<Cameras> => camerasIn(kube, await kube.createNamespace(labels))

const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' }

test(titled('a Camera becomes a pod in a namespace that enforces Pod Security restricted, and its deletion leaves nothing'), async t => {
  const { kube, nc } = t.context
  const cameras = await begin(kube, RESTRICTED)
  const { metadata } = await cameras.apply('front', {
    source: { url: 'rtsp://camera.example/', credentialsSecretRef: { name: 'login' } },
    proxy: { enabled: true, urlSecretRef: { name: 'rtmp' } },
    archive: { volume: { emptyDir: {} } },
  })
  const deployment = await cameras.deploymentWith('front', 'at all', () => true)
  t.like(deployment.metadata.ownerReferences?.[0], { kind: 'Camera', name: 'front', uid: metadata.uid })
  const [pod] = await until(async () => ((await cameras.pods()).length > 0 ? cameras.pods() : undefined), { what: 'the pod' })
  t.is(pod?.status.phase, 'Pending')
  const stored = await cameras.ready('front', 'PodPending')
  t.is(stored.status?.observedGeneration, 1)
  t.deepEqual(stored.metadata.finalizers, ['video.chrys.cloud/streams'])

  const kv = await nc.jetstream().views.kv(BUCKET.cameras, { bindOnly: true })
  const key = `${cameras.namespace}.front`
  const record = await until(async () => (await kv.get(key))?.value, { what: 'the record' })
  t.like(parseJson(CameraRecord, record), {
    uid: metadata.uid,
    proxy: { hasTarget: true, enabled: true },
    archive: true,
    pod: { running: false },
  })

  const ref = { namespace: cameras.namespace, name: 'front' }
  const jsm = await nc.jetstreamManager()
  await jsm.streams.add({ name: packetStream(ref), subjects: [packetSubject(ref)] })
  await cameras.delete('front')
  await cameras.gone('front')
  await until(async () => (await cameras.deployments()).length + (await cameras.pods()).length === 0, { what: 'the Deployment to go' })
  t.is((await kv.get(key))?.operation, 'DEL')
  await t.throwsAsync(jsm.streams.info(packetStream(ref)), { message: /stream not found/ })
})

test(titled('a change of the Camera reaches the pod, suspend stops it, and its end starts it again'), async t => {
  const cameras = await begin(t.context.kube)
  const env = ({ spec }: StoredDeployment, name: string) => spec.template.spec.containers[0]?.env.find(each => each.name === name)?.value
  await cameras.apply('front')
  await cameras.deploymentWith('front', 'of generation 1', each => env(each, 'CHRYS_CAMERA_GENERATION') === '1')
  await cameras.apply('front', { source: { url: 'testsrc:' }, decoding: { maxFps: 5 } })
  const changed = await cameras.deploymentWith('front', 'of generation 2', each => env(each, 'CHRYS_CAMERA_GENERATION') === '2')
  t.is((JSON.parse(env(changed, 'CHRYS_CAMERA_SPEC') ?? '{}') as { decoding: { maxFps: number } }).decoding.maxFps, 5)
  await cameras.apply('front', { source: { url: 'testsrc:' }, suspend: true })
  await cameras.deploymentWith('front', 'that is stopped', each => each.spec.replicas === 0)
  await until(async () => (await cameras.pods()).length === 0, { what: 'the end of the pod' })
  await cameras.ready('front', 'Suspended')
  t.is((await cameras.event('Suspended')).type, 'Normal')
  await cameras.apply('front', { source: { url: 'testsrc:' }, suspend: false })
  await cameras.deploymentWith('front', 'that runs', each => each.spec.replicas === 1)
})

test(titled('what others change of the Deployment is put back, and what they add stays'), async t => {
  const { kube } = t.context
  const cameras = await begin(kube)
  await cameras.apply('front')
  const { metadata } = await cameras.deploymentWith('front', 'at all', () => true)
  const path = `/apis/apps/v1/namespaces/${cameras.namespace}/deployments/camera-front`
  const edit = { spec: { replicas: 7, paused: true, template: { spec: { containers: [{ name: 'sidecar', image: 'evil' }] } } } }
  await kube.api.request('PATCH', path, { body: edit, contentType: 'application/strategic-merge-patch+json' })
  const mended = await cameras.deploymentWith('front', 'as it was', each => each.spec.replicas === 1)
  t.is(mended.spec.template.spec.containers[0]?.image, 'chrysalis-edge:test')
  t.is((mended.spec as { paused?: boolean }).paused, true)

  const label = { 'video.chrys.cloud/camera': 'other' }
  await kube.api.request('PATCH', path, { body: { metadata: { labels: label } }, contentType: MERGE_PATCH })
  await cameras.deploymentWith('front', 'with its label', each => each.metadata.labels['video.chrys.cloud/camera'] === 'front')
  await kube.api.request('PATCH', path, { body: { metadata: { ownerReferences: null } }, contentType: MERGE_PATCH })
  await cameras.deploymentWith('front', 'with its owner', each => each.metadata.ownerReferences?.length === 1)
  await kube.api.request('DELETE', path)
  const made = await cameras.deploymentWith('front', 'made anew', each => each.metadata.uid !== metadata.uid)
  t.is(made.spec.replicas, 1)
})

test(titled('a pod that somebody took out by its label and deleted does not keep its Camera'), async t => {
  const { kube } = t.context
  const cameras = await begin(kube)
  await cameras.apply('front')
  const podWithout = (uid?: string) =>
    until(async () => (await cameras.pods()).find(({ metadata }) => metadata.uid !== uid), { what: 'a pod' })
  const { metadata } = await podWithout()
  const path = `/api/v1/namespaces/${cameras.namespace}/pods/${metadata.name}`
  const labels = { 'video.chrys.cloud/camera': null }
  await kube.api.request('PATCH', path, { body: { metadata: { labels } }, contentType: MERGE_PATCH })
  await podWithout(metadata.uid)
  await kube.api.request('DELETE', path)
  await cameras.delete('front')
  await cameras.gone('front')
  t.pass()
})

test(titled('a NATS user that somebody deleted is made again when a new pod waits for it'), async t => {
  const { kube } = t.context
  const cameras = await begin(kube)
  await cameras.apply('front')
  const pod = await until(async () => (await cameras.pods())[0], { what: 'the pod' })
  const secret = `/api/v1/namespaces/${cameras.namespace}/secrets/${pod.spec.volumes?.find(({ name }) => name === 'nats')?.secret?.secretName}`
  await kube.api.request('DELETE', secret)
  await sleep(11_000, new AbortController().signal) // a pod that comes sooner has a user that was just made
  const state = { waiting: { reason: 'ContainerCreating' } }
  const container = { name: 'sidecar', ready: false, restartCount: 0, image: 'i', imageID: '', state }
  const path = `/api/v1/namespaces/${cameras.namespace}/pods/${pod.metadata.name}/status`
  await kube.api.request('PATCH', path, { body: { status: { containerStatuses: [container] } }, contentType: MERGE_PATCH })
  await until(() => kube.api.request('GET', secret), { what: 'the user' })
  t.pass()
})

test(titled('a Deployment of somebody else that has the name is left alone, and the Camera says so'), async t => {
  const { kube } = t.context
  const cameras = await begin(kube)
  const labels = { app: 'other' }
  const other = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'camera-front', namespace: cameras.namespace },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    },
  }
  const path = `/apis/apps/v1/namespaces/${cameras.namespace}/deployments/camera-front`
  await kube.apply(path, other)
  await cameras.apply('front')
  const { status } = await cameras.ready('front', 'NameTaken')
  t.regex(status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '', /Rename the Deployment, or the Camera/)
  t.is((await cameras.deployment('front'))?.spec.replicas, 0)
  await kube.api.request('DELETE', path)
  await cameras.apply('front', { source: { url: 'testsrc:' }, decoding: { maxFps: 1 } }) // not waiting for the next try by itself
  await cameras.ready('front', 'PodPending')
})

test(titled('a spec.pod that the API server refuses is said, with its own words'), async t => {
  const cameras = await begin(t.context.kube)
  const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchThings: [] }] } } }
  await cameras.apply('front', { source: { url: 'testsrc:' }, pod: { affinity } })
  const { status } = await cameras.ready('front', 'DeploymentRefused')
  t.regex(status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '', /matchThings.*Correct spec\.pod/)
  t.is((await cameras.event('DeploymentRefused')).type, 'Warning')
  await cameras.apply('front', { source: { url: 'testsrc:' } })
  await cameras.ready('front', 'PodPending')
})

test(titled('a webhook that is away keeps the Deployment from being made, and the Camera says so until it is made'), async t => {
  const { kube } = t.context
  const cameras = await begin(kube, { guarded: 'yes' })
  const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/guard'
  const rules = [{ apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['deployments'] }]
  await kube.apply(path, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'guard' },
    webhooks: [
      {
        name: 'guard.example.com',
        clientConfig: { url: 'https://127.0.0.1:1/' },
        namespaceSelector: { matchLabels: { guarded: 'yes' } },
        rules,
        failurePolicy: 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
      },
    ],
  })
  const labels = { app: 'probe' }
  const body = {
    metadata: { name: 'probe' },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } } },
  }
  const probe = kube.api.request.bind(kube.api, 'POST', `/apis/apps/v1/namespaces/${cameras.namespace}/deployments`)
  const refused = () =>
    probe({ query: { dryRun: 'All' }, body }).then(
      () => false,
      error => /failed calling webhook/.test(messageOf(error)),
    )
  await until(refused, { what: 'the webhook' })

  await cameras.apply('front')
  const { status } = await cameras.ready('front', 'DeploymentRefused')
  t.regex(status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '', /failed calling webhook "guard\.example\.com"/)
  await kube.api.request('DELETE', path)
  await cameras.ready('front', 'PodPending')
})

test(titled('pods that Pod Security refuses are said to be'), async t => {
  const cameras = await begin(t.context.kube, RESTRICTED)
  await cameras.apply('front', { source: { url: 'testsrc:' }, archive: { volume: { hostPath: { path: '/data' } } } })
  const { status } = await cameras.ready('front', 'PodRefused')
  t.regex(status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '', /violates PodSecurity "restricted/)
})

test(titled('a Camera made anew at once after its deletion gets a Deployment of its own'), async t => {
  const cameras = await begin(t.context.kube)
  await cameras.apply('front')
  const first = await cameras.deploymentWith('front', 'at all', () => true)
  await cameras.delete('front')
  await cameras.gone('front')
  const { metadata } = await cameras.apply('front')
  const second = await cameras.deploymentWith(
    'front',
    'of the new Camera',
    each => each.metadata.ownerReferences?.[0]?.uid === metadata.uid,
  )
  t.not(second.metadata.uid, first.metadata.uid)
  await cameras.ready('front', 'PodPending')
  t.false((await cameras.events()).some(({ reason }) => reason === 'NameTaken'))
})

test(titled('pods that fail are deleted, and a camera whose pods keep failing is held for a while'), async t => {
  const { kube } = t.context
  const cameras = await begin(kube)
  await cameras.apply('front')
  const fail = async () => {
    const pod = await until(async () => (await cameras.pods()).find(({ status }) => status.phase === 'Pending'), { what: 'a pending pod' })
    const path = `/api/v1/namespaces/${cameras.namespace}/pods/${pod.metadata.name}`
    const status = { phase: 'Failed', reason: 'UnexpectedAdmissionError', message: 'no device left' }
    await kube.api.request('PATCH', `${path}/status`, { body: { status }, contentType: MERGE_PATCH })
    await until(async () => !(await cameras.pods()).some(({ metadata }) => metadata.uid === pod.metadata.uid), { what: 'its removal' })
  }
  await fail()
  await fail()
  await cameras.deploymentWith('front', 'that is held', each => each.spec.replicas === 0)
  await cameras.deploymentWith('front', 'that is tried again', each => each.spec.replicas === 1)
  const event = await cameras.event('NodeRejectedPod')
  t.regex(event.message, /UnexpectedAdmissionError: no device left/)
})

test(titled('a finalizer that others took over in their own applies is removed nonetheless'), async t => {
  const { kube } = t.context
  const cameras = await begin(kube)
  await cameras.apply('front')
  const stored = await until(
    async () => {
      const found = await cameras.camera('front')
      return found?.metadata.finalizers !== undefined && found
    },
    { what: 'the finalizer' },
  )
  await kube.api.request('PATCH', `/apis/video.chrys.cloud/v1beta1/namespaces/${cameras.namespace}/cameras/front`, {
    query: { fieldManager: 'somebody', force: true },
    body: {
      apiVersion: 'video.chrys.cloud/v1beta1',
      kind: 'Camera',
      metadata: { name: 'front', namespace: cameras.namespace, finalizers: stored.metadata.finalizers },
      spec: { source: { url: 'testsrc:' } },
    },
    contentType: APPLY_PATCH,
  })
  await cameras.delete('front')
  await cameras.gone('front')
  t.pass()
})

test(titled('a namespace that is deleted takes its Cameras with it'), async t => {
  const { kube } = t.context
  const cameras = await begin(kube)
  await cameras.apply('one')
  await cameras.apply('two')
  await cameras.deploymentWith('two', 'at all', () => true)
  await kube.api.request('DELETE', `/api/v1/namespaces/${cameras.namespace}`)
  await cameras.gone('one')
  await cameras.gone('two')
  t.pass()
})

test(titled('the status is written at most every 10 s, and its times move only when something changed'), async t => {
  const cameras = await begin(t.context.kube)
  await cameras.apply('front')
  const first = await cameras.ready('front', 'PodPending')
  await cameras.apply('front', { source: { url: 'testsrc:' }, suspend: true })
  const second = await cameras.ready('front', 'Suspended')
  const writtenAt = ({ metadata }: typeof first) =>
    Date.parse(metadata.managedFields.find(({ subresource }) => subresource === 'status')?.time ?? '')
  const apart = writtenAt(second) - writtenAt(first)
  t.true(apart >= 9_000 && apart <= 15_000, `${apart} ms apart`) // the API server counts whole seconds
  const time = (of: typeof first) => of.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime
  t.is(time(second), time(first)) // False before and after
  t.is(second.status?.observedGeneration, 2)
})

test(titled('the metrics have the names that dashboards know'), async t => {
  const cameras = await begin(t.context.kube)
  await cameras.apply('front')
  await cameras.ready('front', 'PodPending')
  const text = await t.context.operator.metrics()
  for (const name of [
    'controller_runtime_reconcile_total{controller="camera",result="success"}',
    'controller_runtime_reconcile_time_seconds_bucket',
    'controller_runtime_max_concurrent_reconciles{controller="camera"} 8',
    'workqueue_depth{name="camera"}',
    'workqueue_adds_total{name="camera"}',
    'workqueue_queue_duration_seconds_count{name="camera"}',
    'workqueue_work_duration_seconds_count{name="camera"}',
    'workqueue_unfinished_work_seconds{name="camera"}',
    'workqueue_longest_running_processor_seconds{name="camera"}',
    'rest_client_requests_total{code="200",method="PATCH"',
    'leader_election_master_status{name="chrysalis-edge-operator"} 1',
    'chrysalis_operator_cameras{reason="PodPending"}',
  ]) {
    t.true(text.includes(name), `${name} is missing`)
  }
  t.true(await t.context.operator.isReady())
})

test(titled('a CameraDiscovery gets a pod, lists what it finds, and makes Cameras that outlive it'), async t => {
  const { kube, nats } = t.context
  const cameras = await begin(kube, RESTRICTED)
  const { namespace } = cameras
  const path = `/apis/video.chrys.cloud/v1beta1/namespaces/${namespace}/cameradiscoveries/floor`
  const base = { apiVersion: 'video.chrys.cloud/v1beta1', kind: 'CameraDiscovery', metadata: { name: 'floor', namespace } }
  const apply = (spec: object) => kube.apply(path, { ...base, spec: { cidrs: ['127.0.15.0/29'], interval: '10s', ...spec } })
  const { spec: stored } = (await apply({})) as { spec: { approve: string } }
  t.is(stored.approve, 'Manual')
  type Pod = { spec: { template: { spec: { containers: { env: { name: string; value: string }[] }[] } } } }
  const deployment = `/apis/apps/v1/namespaces/${namespace}/deployments/discovery-floor`
  const made = await until(() => kube.api.request<Pod>('GET', deployment), { what: 'the discovery pod’s Deployment', everyMs: 50 })
  const env = Object.fromEntries(made.spec.template.spec.containers[0]?.env.map(({ name, value }) => [name, value]) ?? [])
  const { CHRYS_NATS_CREDS_FILE: creds, CHRYS_NATS_URL: _, CHRYS_DENY_CIDRS: denied = '', ...told } = env
  t.is(creds, '/run/chrysalis/nats/user.creds')
  t.regex(denied, /127\.0\.0\.0\/8/)

  const profiles = [{ token: 'main', encoding: 'H264', width: 640, height: 360, url: 'rtsp://127.0.15.2/' }]
  await using _device = await startOnvifDevice({ host: '127.0.15.2', discovery: 'unicast', uuid: 'dev-1', profiles })
  await using _locked = await startOnvifDevice({
    host: '127.0.15.3',
    discovery: 'unicast',
    uuid: 'dev-2',
    auth: { user: 'u', password: 'p' },
  })
  await using _search = startSearch({ ...told, CHRYS_NATS_URL: nats.url })
  type Status = {
    found: number
    cameras: number
    devices: { uuid: string; reason: string; camera?: string }[]
    conditions: { reason: string }[]
  }
  const statusWith = (what: string, holds: (status: Status) => boolean) =>
    until(
      async () => {
        const { status } = await kube.api.request<{ status?: Status }>('GET', path)
        if (status !== undefined && holds(status)) return status
        throw new Error(JSON.stringify(status))
      },
      { what, everyMs: 50, timeoutMs: 60_000 },
    )
  const found = await statusWith('two devices', ({ devices }) => devices.length === 2)
  t.deepEqual(
    found.devices.map(({ uuid, reason }) => [uuid, reason]),
    [
      ['dev-1', 'ApprovalMissing'],
      ['dev-2', 'OnvifAuthFailed'],
    ],
  )
  t.is(found.conditions[0]?.reason, 'Searching')

  await apply({ approved: ['dev-1'], template: { spec: { nonsense: 1 } } })
  await statusWith('a refused template', ({ conditions }) => conditions[0]?.reason === 'TemplateInvalid')
  await apply({ approved: ['dev-1'], template: { labels: { site: 'a' }, spec: { suspend: true } } })
  const { devices } = await statusWith('a Camera', status => status.cameras === 1)
  t.is(devices[0]?.camera, 'onvif-dev-1')
  type Made = { metadata: { labels: object; ownerReferences?: unknown }; spec: { suspend: boolean; source: { onvif: object } } }
  const { metadata, spec } = (await cameras.camera('onvif-dev-1')) as unknown as Made
  t.deepEqual(metadata.labels, { site: 'a', 'video.chrys.cloud/discovery': 'floor' })
  t.is(metadata.ownerReferences, undefined)
  t.like(spec, { suspend: true, source: { onvif: { uuid: 'dev-1', cidrs: ['127.0.15.0/29'], profile: 'main' } } })
  await kube.api.request('DELETE', path)
  await until(async () => (await cameras.deployments()).every(each => each.metadata.name !== 'discovery-floor'), { what: 'the pod to go' })
  t.truthy(await cameras.camera('onvif-dev-1'))
})

test(titled('a CameraDiscovery that searches nowhere, or in no range, is refused'), async t => {
  const { kube } = t.context
  const { namespace } = await begin(kube)
  const refused = async (spec: object, message: RegExp) => {
    const object = { apiVersion: 'video.chrys.cloud/v1beta1', kind: 'CameraDiscovery', metadata: { name: 'bad', namespace }, spec }
    await t.throwsAsync(kube.apply(`/apis/video.chrys.cloud/v1beta1/namespaces/${namespace}/cameradiscoveries/bad`, object), { message })
  }
  await refused({}, /cidrs or interfaces are required/)
  await refused({ cidrs: [] }, /cidrs or interfaces are required/)
  await refused({ cidrs: ['10.0.0.0/8'] }, /must be an IPv4 range/)
  await refused({ cidrs: ['10.0.0.0/24'], interval: 'soon' }, /must be a duration/)
  await refused({ interfaces: ['eth 0'] }, /name of a network interface/)
})

/** Runs last, when the others have made the operator do everything it does. */
if (missing === undefined) {
  contextual.after('the operator’s rules allow what it does, and nothing else', async t => {
    const { kube, operator } = t.context
    const entries = await kube.audit()
    const refused = entries.filter(({ code }) => code === 403)
    // An apply that created something needed create too.
    const used = new Set(
      entries.flatMap(({ verb, resource, code }) => [
        `${verb} ${resource}`,
        ...(verb === 'patch' && code === 201 ? [`create ${resource}`] : []),
      ]),
    )
    const { cluster, namespace } = await operatorRules()
    const granted = permissions([...cluster, ...namespace])
    const askedByAdmission = [
      'update video.chrys.cloud/cameras/finalizers',
      'update video.chrys.cloud/cameradiscoveries/finalizers',
      'delete apps/deployments',
    ]
    t.deepEqual(
      granted.filter(each => !used.has(each) && !askedByAdmission.includes(each)),
      [],
      'granted and not used',
    )
    t.deepEqual(
      [...used].filter(each => !granted.includes(each)),
      [],
      'used and not granted',
    )
    t.true(
      refused.every(({ resource }) => ['events', 'secrets'].includes(resource) || resource.startsWith('apps/')),
      JSON.stringify(refused),
    )
    // A write may meet an object that changed or went away in between, a patch a finalizer that moved (the last of these); nothing else goes wrong here.
    // This NATS has no accounts, so that none of its servers can be told which users are revoked: 503.
    const unexpected = operator
      .complaints()
      .filter(({ error = '' }) => !/uid mismatch|being terminated|being deleted|not found|rejected our request|^503$/.test(error))
    t.deepEqual(unexpected, [])
  })
}
