// The chart on a real API server: what it renders is accepted, in a namespace that enforces Pod Security restricted, and releases are
// installed, upgraded and uninstalled by helm with live Cameras. There are no nodes; Jobs are run by a stand-in, as their ServiceAccounts.
import ava, { type TestFn } from 'ava'
import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { natsServerPath } from '../../deploy/local/locate-nats.ts'
import { messageOf } from '../../common/errors.ts'
import { APPLY_PATCH, isApiError, KubeApi, MERGE_PATCH } from '../../common/kube/client.ts'
import { FINALIZER } from '../../operator/kube/kinds.ts'
import { MATRIX } from '../fixtures/chart-values.ts'
import { pathOf } from '../fixtures/chart-accounts.ts'
import { camerasIn } from '../fixtures/cluster-cameras.ts'
import { CHART, helm, missingHelm, render } from '../fixtures/helm.ts'
import { runJobs, serviceAccount, serviceAccountGroups, type Jobs } from '../fixtures/jobs.ts'
import { missingControlPlane, startKube, type Kube, type Users } from '../fixtures/kube.ts'
import { startNats } from '../fixtures/nats.ts'
import { leading, startOperator, type OperatorProcess } from '../fixtures/operator.ts'
import { temporaryFolder, type TemporaryFolder } from '../fixtures/tmp.ts'
import { until } from '../fixtures/wait.ts'

type Context = { kube: Kube; stack: AsyncDisposableStack }

const missing = missingControlPlane() ?? missingHelm()
const contextual = ava as TestFn<Context>
const test = missing === undefined ? contextual.serial : contextual.serial.skip
const titled = (title: string) => (missing === undefined ? title : `${title} (skipped: ${missing})`)

const NAMESPACE = 'cams'
const RELEASE = 'edge-chrysalis-edge'
const OPERATOR = `${RELEASE}-operator`
const ACCOUNTS = [OPERATOR, `${RELEASE}-make-identity`].map(name => serviceAccount(NAMESPACE, name))
/** Users by name, and the role of the cluster's that they have in one namespace. */
const PEOPLE = { guard: 'view', maker: 'edit', owner: 'admin', program: `${RELEASE}-consumer` }
/** What each of them may do with a Camera there, of all that there is to do. */
const RIGHTS: Record<string, Record<string, boolean>> = {
  'list cameras': { guard: true, maker: true, owner: true, program: false },
  'create cameras': { guard: false, maker: true, owner: true, program: false },
  'get cameras': { guard: true, maker: true, owner: true, program: true },
  'get cameras/frames': { guard: true, maker: true, owner: true, program: true },
  'get cameras/past': { guard: true, maker: true, owner: true, program: true },
  'get cameras/annotations': { guard: true, maker: true, owner: true, program: false },
  'create cameras/annotations': { guard: false, maker: true, owner: true, program: true },
  'update cameras/forwarding': { guard: false, maker: true, owner: true, program: false },
}
const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' }
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const CAMERAS = 'cameras.video.chrys.cloud'

if (missing === undefined) {
  contextual.before(async t => {
    await using stack = new AsyncDisposableStack()
    const users: Users = Object.fromEntries(ACCOUNTS.map(name => [name, serviceAccountGroups(NAMESPACE)]))
    for (const name of Object.keys(PEOPLE)) users[name] = []
    const kube = stack.use(await startKube({ controllers: true, users }))
    for (const name of [NAMESPACE, 'shop']) {
      await kube.api.request('POST', '/api/v1/namespaces', { body: { metadata: { name, labels: RESTRICTED } } })
      await until(() => kube.api.request('GET', `/api/v1/namespaces/${name}/serviceaccounts/default`), { what: 'the ServiceAccount' })
    }
    for (const [group, version, kind] of FOREIGN) await kube.apply(`${CRD}/${kind.toLowerCase()}s.${group}`, standIn(group, version, kind))
    t.context = { kube, stack: stack.move() }
  })
  contextual.after.always(async t => t.context.stack?.disposeAsync())
}

/** Kinds of others: here they take anything. */
const FOREIGN = [
  ['monitoring.coreos.com', 'v1', 'PodMonitor'],
  ['monitoring.coreos.com', 'v1', 'PrometheusRule'],
  ['cert-manager.io', 'v1', 'Certificate'],
] as const

const standIn = (group: string, name: string, kind: string) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${kind.toLowerCase()}s.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: { kind, plural: `${kind.toLowerCase()}s`, singular: kind.toLowerCase(), listKind: `${kind}List` },
    versions: [
      { name, served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } },
    ],
  },
})

for (const [title, values] of Object.entries(MATRIX)) {
  test(titled(`the API server accepts every object, and every pod as restricted: ${title}`), async t => {
    const { kube } = t.context
    const query = { dryRun: 'All', fieldManager: 'test', force: true, fieldValidation: 'Strict' }
    for (const object of await render(values)) {
      const accepted = kube.api.request('PATCH', pathOf(object), { query, body: object, contentType: APPLY_PATCH })
      await t.notThrowsAsync(accepted, `${object.kind} ${object.metadata.name}`)
      const template = object.spec?.template
      if (template === undefined) continue
      const { serviceAccountName: _, volumes, ...spec } = template.spec
      const claimed = object.kind === 'StatefulSet' ? [{ name: 'data', emptyDir: {} }] : []
      const body = { metadata: { name: 'pod', labels: template.metadata.labels }, spec: { ...spec, volumes: [...volumes, ...claimed] } }
      const run = kube.api.request('POST', `/api/v1/namespaces/${NAMESPACE}/pods`, {
        query: { dryRun: 'All', fieldValidation: 'Strict' },
        body,
      })
      await t.notThrowsAsync(run, `the pod of ${object.kind} ${object.metadata.name}`)
    }
  })
}

test(
  titled('people and programs with a role for a namespace may do with its Cameras what the role says, and nothing elsewhere'),
  async t => {
    const { kube } = t.context
    const group = 'rbac.authorization.k8s.io'
    const roles = (await render()).filter(({ metadata }) => metadata.namespace === undefined && /-cameras-|-consumer$/.test(metadata.name))
    for (const role of roles) await kube.apply(pathOf(role), role)
    for (const [name, clusterRole] of Object.entries(PEOPLE)) {
      await kube.apply(`/apis/${group}/v1/namespaces/shop/rolebindings/${name}`, {
        ...{ apiVersion: `${group}/v1`, kind: 'RoleBinding', metadata: { name } },
        roleRef: { apiGroup: group, kind: 'ClusterRole', name: clusterRole },
        subjects: [{ apiGroup: group, kind: 'User', name }],
      })
    }
    const may = async (user: string, what: string, namespace = 'shop') => {
      const api = new KubeApi(await kube.kubeconfig(user))
      const [, verb, resource, subresource] = /^(\w+) (\w+)\/?(\w*)$/.exec(what) ?? []
      const body = { spec: { resourceAttributes: { group: 'video.chrys.cloud', resource, subresource, verb, namespace } } }
      const { status } = await api.request<{ status: { allowed: boolean } }>(
        'POST',
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        { body },
      )
      return status.allowed
    }
    const people = Object.keys(PEOPLE)
    for (const user of people) await until(() => may(user, 'get cameras/frames'), { what: `${user} to see Cameras` })
    for (const [what, expected] of Object.entries(RIGHTS)) {
      const allowed = await Promise.all(people.map(async user => [user, await may(user, what)] as const))
      t.deepEqual(Object.fromEntries(allowed), expected, what)
      for (const user of people) t.false(await may(user, what, NAMESPACE), `${what} elsewhere`)
    }
    for (const role of roles) await kube.api.request('DELETE', pathOf(role)) // helm's own come later
  },
)

type Secret = { data: Record<string, string> }
const get = async <T>({ api }: Kube, path: string): Promise<T | undefined> => {
  try {
    return await api.request<T>('GET', path)
  } catch (error) {
    if (isApiError(error, 404)) return undefined
    throw error
  }
}
const keys = async (kube: Kube) => {
  const names = ['server', 'signing', 'operator', 'gateway'].map(part => `${RELEASE}-nats-${part}`)
  return Promise.all(names.map(async name => (await get<Secret>(kube, `/api/v1/namespaces/${NAMESPACE}/secrets/${name}`))?.data))
}
const crd = (kube: Kube) => get<{ metadata: { uid: string }; spec: object }>(kube, `${CRD}/${CAMERAS}`)

/** helm with the release's name and namespace, as an administrator. Rejects with what a failed hook wrote, too. */
async function release(kube: Kube, jobs: Jobs, command: string, values: object = {}, chart = CHART): Promise<string> {
  const what = command === 'uninstall' ? ['edge'] : ['edge', 'CHART']
  const kubeconfig = await kube.kubeconfig('admin')
  try {
    return await helm([command, ...what, '--namespace', NAMESPACE, '--timeout', '150s'], { values, chart, kubeconfig })
  } catch (error) {
    throw new Error([messageOf(error), ...failed(jobs)].join('\n'), { cause: error })
  }
}

const failed = ({ runs }: Jobs) => runs.filter(({ succeeded }) => !succeeded).map(({ output }) => output)

/** The operator as the chart runs it: its ServiceAccount, its namespace, the Secrets that are mounted and the keys of them that are. */
async function chartsOperator(kube: Kube, folder: TemporaryFolder, natsUrl: string) {
  const kubeconfig = await kube.kubeconfig(serviceAccount(NAMESPACE, OPERATOR))
  const [, signing, operatorsOwn] = await keys(kube)
  await mkdir(folder.file('signing'))
  for (const key of ['account.pub', 'signing.seed'])
    await writeFile(folder.file(`signing/${key}`), Buffer.from(signing?.[key] ?? '', 'base64'))
  await writeFile(folder.file('user.creds'), Buffer.from(operatorsOwn?.['user.creds'] ?? '', 'base64'))
  const operator = await startOperator({
    kubeconfig,
    natsUrl,
    env: {
      CHRYS_NAMESPACE: NAMESPACE,
      CHRYS_NATS_CREDS_FILE: folder.file('user.creds'),
      CHRYS_NATS_SIGNING_DIR: folder.file('signing'),
    },
  })
  await leading(operator)
  return operator
}

/** An earlier chart: its CRD lacks a field, it has another version. */
async function earlierChart(folder: string): Promise<string> {
  const chart = `${folder}/chrysalis-edge`
  await cp(CHART, chart, { recursive: true })
  const change = async (file: string, from: RegExp, to: string) => {
    const text = await readFile(`${chart}/${file}`, 'utf8')
    if (!from.test(text)) throw new Error(`${file} has no ${from}`)
    await writeFile(`${chart}/${file}`, text.replace(from, to))
  }
  await change('Chart.yaml', /^version: .*$/m, 'version: 0.0.9')
  await change('Chart.yaml', /^appVersion: .*$/m, 'appVersion: 0.0.9')
  await change('files/cameras.video.chrys.cloud.yaml', /^( +)onNodeFailure:\n(?:\1 .*\n)+/m, '')
  return chart
}

/** nats-server as the StatefulSet starts it: what the ConfigMap says, with the accounts that the hook made. */
async function natsTakes(folder: TemporaryFolder, kube: Kube, accounts: string): Promise<void> {
  const config = await get<{ data: Record<string, string> }>(kube, `/api/v1/namespaces/${NAMESPACE}/configmaps/${RELEASE}-nats`)
  for (const name of ['nats', 'nats-keys']) await mkdir(folder.file(name))
  await writeFile(folder.file('nats/nats.conf'), config?.data['nats.conf'] ?? '')
  await writeFile(folder.file('nats-keys/accounts.conf'), accounts)
  await promisify(execFile)(natsServerPath(process.env), ['-t', '-c', folder.file('nats/nats.conf')])
}

/** By what it writes there: a record of the Camera. */
const connectedToNats = async (operator: OperatorProcess) =>
  /^chrysalis_operator_records_written_total [1-9]/m.test(await operator.metrics())

const hasField = (found: { spec: object } | undefined) => JSON.stringify(found?.spec).includes('"onNodeFailure":{')

test(
  titled('an upgrade from an earlier chart keeps live Cameras, their decoders and the keys; uninstalling leaves the Cameras'),
  async t => {
    const { kube } = t.context
    await using folder = await temporaryFolder()
    await using jobs = runJobs(kube, NAMESPACE)
    const notes = await release(kube, jobs, 'install', {}, await earlierChart(folder.path))
    t.regex(notes, /kubectl get cameras -n cams/)
    t.regex(
      notes,
      /are restricted in: cams\. Camera pods in any other namespace may\nconnect anywhere until networkPolicy\.cameraNamespaces lists it/,
    )
    t.false(hasField(await crd(kube)))
    const made = await keys(kube)
    t.true(made.every(data => data !== undefined))
    const accounts = Buffer.from(made[0]?.['accounts.conf'] ?? '', 'base64').toString()
    await natsTakes(folder, kube, accounts)
    await using nats = await startNats({ extraConfig: accounts })

    await using operator = await chartsOperator(kube, folder, nats.url)
    const cameras = camerasIn(kube, 'shop')
    const { metadata } = await cameras.apply('front')
    const before = await cameras.deploymentWith('front', 'at all', () => true)
    await cameras.ready('front', 'PodPending')
    const users = () => kube.api.request<{ items: Secret[] }>('GET', '/api/v1/namespaces/shop/secrets')
    await until(async () => (await users()).items.some(({ data }) => data['user.creds'] !== undefined), { what: 'the camera’s NATS user' })
    await until(() => connectedToNats(operator), { what: 'an operator that reaches NATS' })

    const larger = { nats: { persistence: { size: '6Gi' } } }
    await t.throwsAsync(release(kube, jobs, 'upgrade', larger), {
      message: /a volume of size 5Gi and storageClass "", and an upgrade can't change these/,
    })
    await release(kube, jobs, 'upgrade', { nats: { persistence: { size: '5120Mi' } } })
    const statefulSet = `/apis/apps/v1/namespaces/${NAMESPACE}/statefulsets/${RELEASE}-nats`
    await kube.api.request('DELETE', statefulSet, { body: { propagationPolicy: 'Orphan' } })
    await until(async () => (await get(kube, statefulSet)) === undefined, { what: 'the end of the StatefulSet' })
    await release(kube, jobs, 'upgrade', larger)
    t.true(hasField(await crd(kube)))
    t.deepEqual(await keys(kube), made)
    const after = await cameras.camera('front')
    t.is(after?.metadata.uid, metadata.uid)
    t.is((await cameras.deployment('front'))?.metadata.uid, before.metadata.uid)
    await cameras.apply('front', { source: { url: 'testsrc:' }, onNodeFailure: 'Move' })

    const { ending } = await tie(kube, () => operator.kill('SIGTERM'))
    await release(kube, jobs, 'uninstall')
    await ending
    t.deepEqual(failed(jobs), [])
    const left = await cameras.camera('front')
    t.deepEqual(left?.metadata.finalizers ?? [], [])
    t.is(left?.status?.reason, 'Uninstalled')
    t.deepEqual([...new Set(left?.status?.conditions?.map(({ status, reason }) => `${status} ${reason}`))], ['False Uninstalled'])
    t.true((await keys(kube)).every(data => data !== undefined))
    await until(async () => (await cameras.deployments()).length + (await cameras.pods()).length === 0, { what: 'the end of the decoder' })
    await cameras.delete('front')
    await cameras.gone('front', 5_000)
    t.deepEqual(
      operator.complaints().filter(({ msg }) => /forbidden/.test(msg)),
      [],
    )
  },
)

type Pod = { metadata: { name: string; labels: Record<string, string>; deletionTimestamp?: string } }

/** Ties the operator's pod to its process, as a kubelet would: told to end, it goes when the process has ended. */
async function tie(kube: Kube, endProcess: () => Promise<void>): Promise<{ ending: Promise<void> }> {
  const pods = `/api/v1/namespaces/${NAMESPACE}/pods`
  const find = async () => {
    const { items } = await kube.api.request<{ items: Pod[] }>('GET', pods)
    return items.find(({ metadata }) => metadata.labels['app.kubernetes.io/component'] === 'operator')
  }
  const { metadata } = await until(find, { what: 'the operator’s pod' })
  const finalizers = (names: string[]) =>
    kube.api.request('PATCH', `${pods}/${metadata.name}`, { body: { metadata: { finalizers: names } }, contentType: MERGE_PATCH })
  await finalizers(['test.example/process'])
  const end = async () => {
    await until(async () => (await find())?.metadata.deletionTimestamp !== undefined, { what: 'the operator to be told to end' })
    await endProcess()
    await finalizers([])
  }
  return { ending: end() }
}

test(titled('uninstalling deletes CRD, Cameras and keys when told to, in time, with no operator that runs and no NATS'), async t => {
  const { kube } = t.context
  await kube.api.request('DELETE', `${CRD}/${CAMERAS}`)
  await until(async () => (await crd(kube)) === undefined, { what: 'the end of the CRD' })
  await using jobs = runJobs(kube, NAMESPACE)
  await release(kube, jobs, 'install', { crds: { keep: false }, nats: { persistence: { keep: false } } })
  const cameras = camerasIn(kube, 'shop')
  await until(() => cameras.apply('front'), { what: 'a Camera' })
  const path = '/apis/video.chrys.cloud/v1beta1/namespaces/shop/cameras/front'
  await kube.api.request('PATCH', path, { body: { metadata: { finalizers: [FINALIZER] } }, contentType: MERGE_PATCH })
  await cameras.delete('front') // it waits for an operator that never comes

  const begun = performance.now()
  await release(kube, jobs, 'uninstall')
  await until(async () => (await crd(kube)) === undefined, { what: 'the end of the CRD' })
  t.true(performance.now() - begun < 60_000)
  t.deepEqual(failed(jobs), [])
  t.deepEqual(await keys(kube), [undefined, undefined, undefined, undefined])
  const left = await kube.api.request<{ items: { metadata: { name: string } }[] }>(
    'GET',
    `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`,
  )
  t.deepEqual(left.items, [])
})
