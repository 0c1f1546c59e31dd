// Who may call what: every RPC and URL, with every kind of token, against a real API server's reviews.
import { Metadata, status, type ServiceError } from '@grpc/grpc-js'
import ava, { type TestFn } from 'ava'
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { makeAccounts, rule, tokenOf, type Rule } from '../fixtures/access-accounts.ts'
import { ROWS, type Clients } from '../fixtures/access-rows.ts'
import { problemsOf } from '../fixtures/access-table.ts'
import { startCameras, type Cameras, type FakeCamera } from '../fixtures/cameras.ts'
import { framesClient } from '../fixtures/frames-client.ts'
import { grpcClient, startGateway, type Gateway } from '../fixtures/gateway.ts'
import { missingControlPlane, startKube, type Kube } from '../fixtures/kube.ts'
import { openPage, startBrowser } from '../fixtures/page.ts'
import { startNats } from '../fixtures/nats.ts'
import { until, within } from '../fixtures/wait.ts'

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
const CAST = { namespace: 'shop', door: 'door', gate: 'gate', barn: 'farm/barn' }
const AUDIENCE = 'chrysalis-edge'
const RBAC = '/apis/rbac.authorization.k8s.io/v1'

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
    for (const namespace of ['shop', 'farm'])
      await kube.api.request('POST', '/api/v1/namespaces', { body: { metadata: { name: namespace } } })
    const tokens = await makeAccounts(kube.api, { namespace: 'shop', other: 'farm', door: 'door', audience: AUDIENCE })
    tokens['expired'] = await kube.resigned(tokens['all'] ?? '', { exp: Math.floor(Date.now() / 1_000) - 3_600 })
    const nats = stack.use(await startNats())
    const cameras = stack.use(await startCameras(nats.url, [DOOR, GATE, BARN]))
    const gateway = stack.use(
      await startGateway(nats.url, {
        ...{ CHRYS_ACCESS: 'kubernetes', CHRYS_ACCESS_AUDIENCES: AUDIENCE, CHRYS_NAMESPACE: 'shop' },
        CHRYS_KUBECONFIG: await kube.kubeconfig('gateway'),
      }),
    )
    await until(() => gateway.ready(), { what: 'the gateway to be ready' })
    const image = stack.use(grpcClient(gateway.port)).stub
    const frames = stack.use(framesClient(gateway.port)).stub
    const clients = { image, frames, url: `http://127.0.0.1:${gateway.httpPort}` }
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
for (const name of Object.keys(ROWS)) {
  test(titled(`${name}: who may, and what others are told`), async t => {
    const { clients, tokens } = t.context
    t.deepEqual(await problemsOf(name, clients, tokens, CAST), [])
  })
}

test(titled('the page asks for a token, refuses a wrong one with a sentence, and forgets the right one at logout'), async t => {
  const { gateway, tokens } = t.context
  await using started = await startBrowser()
  await using opened = await openPage(started.browser, `http://127.0.0.1:${gateway.httpPort}/`)
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

test(titled('a revoked right ends a running call and a running stream within a minute'), async t => {
  t.timeout(120_000)
  const { kube, clients, tokens } = t.context
  const stub = clients.image
  const stream = stub.VideoLatestImage(bearer(tokens['viewer']))
  stream.on('error', () => {})
  const grant = (rules: Rule[]) =>
    kube.api.request('PATCH', `${RBAC}/namespaces/shop/roles/viewer`, { body: { rules }, contentType: 'application/merge-patch+json' })
  await grant([rule(['cameras', 'cameras/frames', 'cameras/annotations'], ['get'])])
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
  const url = `${clients.url}/cameras/door/annotations`
  const headers = { authorization: `Bearer ${tokens['viewer']}`, accept: 'text/event-stream' }
  const events = await until(async () => (r => r.status === 200 && r)(await fetch(url, { headers })), {
    ...{ what: 'a stream of annotations', timeoutMs: 30_000, everyMs: 1_000 },
  })
  const isOver = events.text().then(
    () => true,
    () => true,
  )
  const revokedMs = performance.now()
  await grant([rule(['cameras'], ['get'])])
  const { code, details } = await open.ended
  t.is(code, status.PERMISSION_DENIED, details)
  t.true(await within(isOver, { what: 'the end of the stream', timeoutMs: 60_000 }))
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
  const fresh = await tokenOf(kube.api, 'shop', 'all', AUDIENCE)
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
