// The NATS identity of a cluster: how it is made, kept and handed to cameras, on a real kube-apiserver.
import ava, { type TestFn } from 'ava'
import { connect, credsAuthenticator } from 'nats'
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { missingControlPlane, startKube, type Kube } from '../fixtures/kube.ts'
import { startNats } from '../fixtures/nats.ts'
import { permissions, type Rule } from '../fixtures/operator-rbac.ts'

type Context = { kube: Kube; stack: AsyncDisposableStack }

const missing = missingControlPlane()
const contextual = ava as TestFn<Context>
const test = missing === undefined ? contextual.serial : contextual.serial.skip
const titled = (title: string) => (missing === undefined ? title : `${title} (skipped: ${missing})`)
const PREFIX = 'edge'
const JOB = 'identity-job'

if (missing === undefined) {
  contextual.before(async t => {
    await using stack = new AsyncDisposableStack()
    const kube = stack.use(await startKube({ users: { [JOB]: [] }, audit: JOB }))
    t.context = { kube, stack: stack.move() }
  })
  contextual.after.always(async t => t.context.stack?.disposeAsync())
}

const program = (name: string) => fileURLToPath(new URL(`../../operator/${name}.ts`, import.meta.url))

async function rulesOf(job: 'identity' | 'certificates'): Promise<Rule[]> {
  const file = new URL(`../../charts/chrysalis-edge/files/${job}-role.yaml`, import.meta.url)
  return parse((await readFile(file, 'utf8')).replaceAll('PREFIX', PREFIX)) as Rule[]
}

/** A namespace where the Job may do what its Role says. */
async function place(kube: Kube, job: 'identity' | 'certificates' = 'identity'): Promise<string> {
  const namespace = await kube.createNamespace()
  const apiGroup = 'rbac.authorization.k8s.io'
  const path = `/apis/${apiGroup}/v1/namespaces/${namespace}`
  const common = { apiVersion: `${apiGroup}/v1`, metadata: { name: JOB } }
  await kube.apply(`${path}/roles/${JOB}`, { ...common, kind: 'Role', rules: await rulesOf(job) })
  await kube.apply(`${path}/rolebindings/${JOB}`, {
    ...common,
    kind: 'RoleBinding',
    subjects: [{ apiGroup, kind: 'User', name: JOB }],
    roleRef: { apiGroup, kind: 'Role', name: JOB },
  })
  return namespace
}

const makeIdentity = (kube: Kube, namespace: string): Promise<string> => run(kube, namespace, 'make-identity')

async function run(kube: Kube, namespace: string, name: string, env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [program(name)], {
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      CHRYS_KUBECONFIG: await kube.kubeconfig(JOB),
      CHRYS_NAMESPACE: namespace,
      CHRYS_IDENTITY_PREFIX: PREFIX,
      ...env,
    },
  })
  return stdout
}

type Data = Record<string, string>
async function secrets(kube: Kube, namespace: string): Promise<Record<string, Data>> {
  type List = { items: { metadata: { name: string }; data: Data }[] }
  const { items } = await kube.api.request<List>('GET', `/api/v1/namespaces/${namespace}/secrets`)
  const texts = (data: Data) => Object.fromEntries(Object.entries(data).map(([key, value]) => [key, atob(value)]))
  return Object.fromEntries(items.map(({ metadata, data }) => [metadata.name, texts(data)]))
}
const deleteSecret = (kube: Kube, namespace: string, name: string) =>
  kube.api.request('DELETE', `/api/v1/namespaces/${namespace}/secrets/${name}`)

test(titled('two that make an identity at the same time agree, and a third changes nothing'), async t => {
  const { kube } = t.context
  const namespace = await place(kube)
  const logs: string[] = await Promise.all([makeIdentity(kube, namespace), makeIdentity(kube, namespace)])
  const made = await secrets(kube, namespace)
  t.deepEqual(Object.keys(made).sort(), ['edge-nats-gateway', 'edge-nats-operator', 'edge-nats-server', 'edge-nats-signing'])
  logs.push(await makeIdentity(kube, namespace))
  t.deepEqual(await secrets(kube, namespace), made)
  t.is(logs[2]?.match(/"unchanged"/g)?.length, 3)
  for (const text of logs) t.notRegex(text, /\bS[OAU][A-Z2-7]{40}/)
})

test(titled('nats-server takes the configuration that was made, and knows the users'), async t => {
  const { kube } = t.context
  const namespace = await place(kube)
  await makeIdentity(kube, namespace)
  const made = await secrets(kube, namespace)
  await using nats = await startNats({ extraConfig: made['edge-nats-server']?.['accounts.conf'] ?? '' })
  for (const role of ['operator', 'gateway']) {
    const authenticator = credsAuthenticator(Buffer.from(made[`edge-nats-${role}`]?.['user.creds'] ?? ''))
    const nc = await connect({ servers: nats.url, authenticator, inboxPrefix: `_INBOX.${role}` })
    const { limits } = await (await nc.jetstreamManager()).getAccountInfo()
    t.like(limits, { max_memory: -1, max_storage: -1, max_streams: -1, max_consumers: -1 })
    await nc.close()
  }
  await t.throwsAsync(connect({ servers: nats.url, reconnect: false }), { code: 'AUTHORIZATION_VIOLATION' })
})

test(titled('whichever Secret is lost, an upgrade makes it anew and the account, whose streams there are, stays'), async t => {
  const { kube } = t.context
  const namespace = await place(kube)
  await makeIdentity(kube, namespace)
  const before = await secrets(kube, namespace)
  for (const lost of ['server', 'operator', 'gateway']) {
    await deleteSecret(kube, namespace, `edge-nats-${lost}`)
    await makeIdentity(kube, namespace)
    t.deepEqual(await secrets(kube, namespace), before, lost)
  }
  await deleteSecret(kube, namespace, 'edge-nats-signing')
  await makeIdentity(kube, namespace)
  const after = await secrets(kube, namespace)
  t.is(after['edge-nats-signing']?.['account.pub'], before['edge-nats-signing']?.['account.pub'])
  for (const [name, data] of Object.entries(after)) t.notDeepEqual(data, before[name], name)
})

test(titled('a signing key that is removed is replaced, and nothing else of what was kept'), async t => {
  const { kube } = t.context
  const namespace = await place(kube)
  await makeIdentity(kube, namespace)
  const before = (await secrets(kube, namespace))['edge-nats-signing'] as Data
  await kube.api.request('PATCH', `/api/v1/namespaces/${namespace}/secrets/edge-nats-signing`, {
    body: { data: { 'signing.seed': null } },
    contentType: 'application/merge-patch+json',
  })
  await makeIdentity(kube, namespace)
  const { 'signing.seed': seed, ...rest } = (await secrets(kube, namespace))['edge-nats-signing'] as Data
  const { 'signing.seed': seedBefore, ...restBefore } = before
  t.deepEqual(rest, restBefore)
  t.not(seed, seedBefore)
})

test(titled('without the rights it needs it says which, and fails'), async t => {
  const { kube } = t.context
  const namespace = await kube.createNamespace()
  const { stderr } = await t.throwsAsync<Error & { stderr: string }>(makeIdentity(kube, namespace))
  t.regex(stderr, /needs create on secrets, and get and patch on edge-nats-server, .* in namespace/)
})

test(titled('its Role allows what it does, and nothing else'), async t => {
  const { kube } = t.context
  const namespace = await place(kube)
  await makeIdentity(kube, namespace)
  await deleteSecret(kube, namespace, 'edge-nats-gateway')
  await kube.api.request('PATCH', `/api/v1/namespaces/${namespace}/secrets/edge-nats-operator`, {
    body: { data: { 'user.creds': '' } },
    contentType: 'application/merge-patch+json',
  })
  await makeIdentity(kube, namespace)
  const done = (await kube.audit()).filter(({ code }) => code < 300).map(({ verb, resource }) => `${verb} ${resource}`)
  t.deepEqual([...new Set(done)].sort(), permissions(await rulesOf('identity')).sort())
})

test(
  titled('the chart’s own authority signs a certificate, which is renewed for other names; its Role lets it do nothing else'),
  async t => {
    const { kube } = t.context
    const namespace = await place(kube, 'certificates')
    const make = (names: string, more = {}) => run(kube, namespace, 'make-certificates', { CHRYS_CERTIFICATE_NAMES: names, ...more })
    const log = await make('edge,edge.cams.svc')
    const made = await secrets(kube, namespace)
    t.deepEqual(Object.keys(made).sort(), ['edge-ca', 'edge-gateway-tls'])
    t.is(made['edge-gateway-tls']?.['ca.crt'], made['edge-ca']?.['tls.crt'])
    t.false(log.includes('PRIVATE KEY'))
    await make('edge,edge.cams.svc')
    t.deepEqual(await secrets(kube, namespace), made)
    await make('edge,10.0.0.9')
    const renewed = await secrets(kube, namespace)
    t.deepEqual(renewed['edge-ca'], made['edge-ca'])
    const certificate = new X509Certificate(renewed['edge-gateway-tls']?.['tls.crt'] ?? '')
    t.is(certificate.checkIP('10.0.0.9'), '10.0.0.9')
    t.true(certificate.verify(new X509Certificate(made['edge-ca']?.['tls.crt'] ?? '').publicKey))
    await make('edge,10.0.0.9', { CHRYS_NATS_CERTIFICATE_NAMES: 'edge-nats.cams.svc' })
    const both = await secrets(kube, namespace)
    t.deepEqual(both['edge-gateway-tls'], renewed['edge-gateway-tls'])
    t.is(new X509Certificate(both['edge-nats-tls']?.['tls.crt'] ?? '').checkHost('edge-nats.cams.svc'), 'edge-nats.cams.svc')
    t.deepEqual(permissions(await rulesOf('certificates')).sort(), permissions(await rulesOf('identity')).sort())
  },
)
