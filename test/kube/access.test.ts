// Who may call what: every RPC and URL, with every kind of token, against a real API server's reviews.
import { Metadata, status, type ServiceError } from '@grpc/grpc-js'
import ava, { type TestFn } from 'ava'
import { readFile } from 'node:fs/promises'
import { chromium } from 'playwright-core'
import { parse } from 'yaml'
import { browserPath, BROWSER_MISSING } from '../../deploy/setup/test-tools.mjs'
import { rightText } from '../../gateway/access/rights.ts'
import { accessClients, ROWS, type Clients } from '../fixtures/access-rows.ts'
import { startCameras, type Cameras, type FakeCamera } from '../fixtures/cameras.ts'
import { startGateway, type Gateway } from '../fixtures/gateway.ts'
import { missingControlPlane, startKube, type Kube } from '../fixtures/kube.ts'
import { BROWSER_FLAGS, openPage } from '../fixtures/page.ts'
import { startNats } from '../fixtures/nats.ts'
import { until } from '../fixtures/wait.ts'

type World = {
  kube: Kube
  cameras: Cameras
  gateway: Gateway
  clients: Clients
  tokens: Record<string, string>
  stack: AsyncDisposableStack
}

const missing = missingControlPlane(['etcd', 'kube-apiserver'])
const contextual = ava as TestFn<World>
const test = missing === undefined ? contextual.serial : contextual.serial.skip
const titled = (title: string) => (missing === undefined ? title : `${title} (skipped: ${missing})`)

const DOOR: FakeCamera = { namespace: 'shop', name: 'door', uid: 'uid-door' }
const GATE: FakeCamera = { namespace: 'shop', name: 'gate', uid: 'uid-gate' }
const BARN: FakeCamera = { namespace: 'farm', name: 'barn', uid: 'uid-barn' }
const AUDIENCE = 'chrysalis-edge'
const RBAC = '/apis/rbac.authorization.k8s.io/v1'

type Rule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }
const rule = (resources: string[], verbs: string[], resourceNames?: string[]): Rule => ({
  ...{ apiGroups: ['video.chrys.cloud'], resources, verbs },
  ...(resourceNames === undefined ? {} : { resourceNames }),
})
const EVERYTHING = ['cameras', 'cameras/frames', 'cameras/past', 'cameras/annotations', 'cameras/forwarding']

/** ServiceAccounts by name: where their Role is, and what it grants. */
const ACCOUNTS: Record<string, { namespace: string; rules: Rule[] }> = {
  nothing: { namespace: 'shop', rules: [] },
  all: { namespace: 'shop', rules: [rule(EVERYTHING, ['get', 'create', 'update'])] },
  door: { namespace: 'shop', rules: [rule(EVERYTHING, ['get', 'create', 'update'], ['door'])] },
  viewer: { namespace: 'shop', rules: [rule(['cameras'], ['get'])] },
  elsewhere: { namespace: 'farm', rules: [rule(EVERYTHING, ['get', 'create', 'update'])] },
}

async function account(kube: Kube, name: string, audiences: string[]): Promise<string> {
  const path = `/api/v1/namespaces/shop/serviceaccounts/${name}/token`
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences, expirationSeconds: 600 } }
  return (await kube.api.request<{ status: { token: string } }>('POST', path, { body })).status.token
}

async function makeAccounts(kube: Kube): Promise<Record<string, string>> {
  for (const namespace of ['shop', 'farm'])
    await kube.api.request('POST', '/api/v1/namespaces', { body: { metadata: { name: namespace } } })
  const tokens: Record<string, string> = { junk: 'junk' }
  for (const [name, { namespace, rules }] of Object.entries(ACCOUNTS)) {
    await kube.api.request('POST', '/api/v1/namespaces/shop/serviceaccounts', { body: { metadata: { name } } })
    await kube.api.request('POST', `${RBAC}/namespaces/${namespace}/roles`, { body: { metadata: { name }, rules } })
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name }
    const subjects = [{ kind: 'ServiceAccount', name, namespace: 'shop' }]
    await kube.api.request('POST', `${RBAC}/namespaces/${namespace}/rolebindings`, { body: { metadata: { name }, roleRef, subjects } })
    tokens[name] = await account(kube, name, [AUDIENCE])
  }
  tokens['audience'] = await account(kube, 'all', ['another'])
  tokens['expired'] = await kube.resigned(tokens['all'] ?? '', { exp: Math.floor(Date.now() / 1_000) - 3_600 })
  return tokens
}

/** What the chart grants the gateway, and no more. */
async function grantReviews(kube: Kube): Promise<void> {
  const text = await readFile(new URL('../../charts/chrysalis-edge/files/gateway-role.yaml', import.meta.url), 'utf8')
  const rules = (parse(text) as { rules: Rule[] }).rules
  await kube.api.request('POST', `${RBAC}/clusterroles`, { body: { metadata: { name: 'gateway' }, rules } })
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'gateway' }
  const body = { metadata: { name: 'gateway' }, roleRef, subjects: [{ kind: 'User', name: 'gateway' }] }
  await kube.api.request('POST', `${RBAC}/clusterrolebindings`, { body })
}

if (missing === undefined) {
  contextual.before(async t => {
    await using stack = new AsyncDisposableStack()
    const kube = stack.use(await startKube({ users: { gateway: [] }, audit: 'gateway' }))
    await grantReviews(kube)
    const tokens = await makeAccounts(kube)
    const nats = stack.use(await startNats())
    const cameras = stack.use(await startCameras(nats.url, [DOOR, GATE, BARN]))
    const gateway = stack.use(
      await startGateway(nats.url, {
        ...{ CHRYS_ACCESS: 'kubernetes', CHRYS_ACCESS_AUDIENCES: AUDIENCE, CHRYS_NAMESPACE: 'shop' },
        CHRYS_KUBECONFIG: await kube.kubeconfig('gateway'),
      }),
    )
    await until(() => gateway.ready(), { what: 'the gateway to be ready' })
    const clients = stack.use(accessClients(gateway))
    t.context = { kube, cameras, gateway, clients, tokens, stack: stack.move() }
  })
  contextual.after.always(async t => t.context.stack?.disposeAsync())
}

const bearer = (token: string | undefined): Metadata => {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
  return metadata
}

/** Every RPC and URL × (no token, junk, expired, for another audience, rights in another namespace, on one camera, on all). */
for (const [name, { right, call }] of Object.entries(ROWS)) {
  test(titled(`${name}: who may, and what others are told`), async t => {
    const { clients, tokens } = t.context
    const ask = (token: string | undefined, device: string) => call(clients, token && tokens[token], device)
    if (right === 'open') return void t.is((await ask(undefined, 'door')).outcome, 'permitted')
    const unknown = [undefined, 'junk', 'expired', 'audience']
    const answers = await Promise.all(unknown.map(token => ask(token, 'door')))
    t.deepEqual(
      answers.map(({ outcome }) => outcome),
      Array(unknown.length).fill('unauthenticated'),
    )
    if (right === 'anyone') return void t.is((await ask('nothing', 'door')).outcome, 'permitted')
    if (right === 'list') {
      const lists = await Promise.all(['all', 'door', 'elsewhere', 'nothing'].map(token => ask(token, '')))
      t.deepEqual(
        lists.map(({ body = '' }) => ['"door"', '"gate"', 'farm/barn'].filter(camera => body.includes(camera))),
        [['"door"', '"gate"'], ['"door"'], ['farm/barn'], []],
      )
      return
    }
    const cases = { 'nothing door': 'not found', 'elsewhere door': 'not found', 'door gate': 'not found', 'nothing nowhere': 'not found' }
    const allowed = { 'door door': 'permitted', 'all door': 'permitted', 'all gate': 'permitted', 'elsewhere farm/barn': 'permitted' }
    for (const [what, expected] of Object.entries({ ...cases, ...allowed })) {
      const [token = '', device = ''] = what.split(' ')
      const { outcome, says } = await ask(token, device)
      t.true(outcome === expected, `${what}: ${outcome}: ${says}`)
      if (expected === 'not found') t.is(says, `camera "${device}" not found`)
    }
    const seen = await ask('viewer', 'door')
    if (right === 'camera') return void t.is(seen.outcome, 'permitted')
    t.is(seen.outcome, 'denied')
    if (!name.includes('HEAD')) t.is(seen.says, `system:serviceaccount:shop:viewer may not ${rightText(right)} "door" in namespace "shop"`)
  })
}

test(titled('the page asks for a token, refuses a wrong one with a sentence, and forgets the right one at logout'), async t => {
  const { gateway, tokens } = t.context
  const executablePath = browserPath()
  if (executablePath === undefined) throw new Error(BROWSER_MISSING)
  const browser = await chromium.launch({ executablePath, args: BROWSER_FLAGS })
  await using _ = { [Symbol.asyncDispose]: () => browser.close() }
  await using opened = await openPage(browser, `http://127.0.0.1:${gateway.httpPort}/`)
  const { page } = opened
  const login = async (token = '') => {
    await page.getByLabel('Token').fill(token)
    await page.getByRole('button', { name: 'Log in' }).click()
  }
  await login('junk')
  await page.getByText('the token is not valid').waitFor()
  t.is(await page.getByLabel('Token').inputValue(), '')
  await login(tokens['door'])
  await page.getByRole('button', { name: /^door: / }).waitFor()
  t.is(await page.locator('.tile').count(), 1)
  t.is(await page.locator('#user').textContent(), 'system:serviceaccount:shop:door')
  t.is(await page.evaluate('document.cookie'), '')
  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByLabel('Token').waitFor()
  t.is(await page.locator('.tile').count(), 0)
})

test(titled('a revoked right ends a running call within a minute'), async t => {
  t.timeout(120_000)
  const { kube, clients, tokens } = t.context
  const stub = clients.image
  const stream = stub.VideoLatestImage(bearer(tokens['viewer']))
  stream.on('error', () => {})
  const grant = (rules: Rule[]) =>
    kube.api.request('PATCH', `${RBAC}/namespaces/shop/roles/viewer`, { body: { rules }, contentType: 'application/merge-patch+json' })
  await grant([rule(['cameras', 'cameras/frames'], ['get'])])
  // The refusals of the tests before are kept for ten seconds.
  const open = await until(
    async () => {
      const call = stub.VideoLatestImage(bearer(tokens['viewer']))
      const ended = new Promise<ServiceError>(resolve => call.on('error', resolve))
      const first = new Promise<boolean>(resolve => call.once('data', () => resolve(true)))
      call.write({ device_id: 'door' })
      return (await Promise.race([first, ended.then(() => false)])) && { ended }
    },
    { what: 'the granted right', timeoutMs: 30_000, everyMs: 1_000 },
  )
  const revokedMs = performance.now()
  await grant([rule(['cameras'], ['get'])])
  const { code, details } = await open.ended
  t.is(code, status.PERMISSION_DENIED, details)
  t.true(performance.now() - revokedMs < 60_000)
  stream.cancel()
})

test(titled('the gateway asks the API server for reviews alone, and its log holds no token'), async t => {
  const { kube, gateway, tokens } = t.context
  const asked = new Set((await kube.audit()).map(({ verb, resource }) => `${verb} ${resource}`))
  t.deepEqual([...asked].toSorted(), ['create authentication.k8s.io/tokenreviews', 'create authorization.k8s.io/subjectaccessreviews'])
  for (const token of Object.values(tokens).filter(text => text !== 'junk')) t.false(gateway.log().includes(token))
  t.true(gateway.log().includes('"event":"access"'))
})

test(titled('while the API server is down, known callers go on and unknown ones are UNAVAILABLE'), async t => {
  const { kube, clients, tokens } = t.context
  const fresh = await account(kube, 'all', [AUDIENCE])
  const probe = (token: string | undefined) =>
    new Promise<status>(resolve =>
      clients.image.VideoProbe({ device_id: 'door' }, bearer(token), error => resolve(error?.code ?? status.OK)),
    )
  t.is(await probe(tokens['all']), status.OK)
  await kube.stopApi()
  try {
    t.is(await probe(tokens['all']), status.OK)
    t.is(await probe(fresh), status.UNAVAILABLE)
  } finally {
    await kube.startApi()
  }
})
