// Who may call what: every RPC, with every kind of token, against a real API server's reviews.
import { credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js'
import ava, { type TestFn } from 'ava'
import { readFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { parse } from 'yaml'
import type { ImageClient } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/Image.ts'
import { startCameras, type Cameras, type FakeCamera } from '../fixtures/cameras.ts'
import { collect, Image, startGateway, type Gateway } from '../fixtures/gateway.ts'
import { missingControlPlane, startKube, type Kube } from '../fixtures/kube.ts'
import { startNats } from '../fixtures/nats.ts'
import { until } from '../fixtures/wait.ts'

type World = {
  kube: Kube
  cameras: Cameras
  gateway: Gateway
  stub: ImageClient
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
    const stub = new Image(`127.0.0.1:${gateway.port}`, credentials.createInsecure())
    stack.defer(() => stub.close())
    t.context = { kube, cameras, gateway, stub, tokens, stack: stack.move() }
  })
  contextual.after.always(async t => t.context.stack?.disposeAsync())
}

const bearer = (token: string | undefined): Metadata => {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
  return metadata
}

type Call = (stub: ImageClient, metadata: Metadata, device: string) => Promise<unknown>
const unary = <Response>(
  call: (done: (error: ServiceError | null, response?: Response) => void) => unknown,
): Promise<Response | undefined> =>
  new Promise((resolve, reject) => call((error, response) => (error === null ? resolve(response) : reject(error))))

/** Each RPC about a camera, with the right that it needs. */
const CALLS: Record<string, { right: string; call: Call }> = {
  VideoLatestImage: {
    right: 'get cameras/frames',
    call: async (stub, metadata, device_id) => {
      const stream = stub.VideoLatestImage(metadata)
      stream.end({ device_id })
      await collect(stream)
    },
  },
  VideoBufferedImage: {
    right: 'get cameras/past',
    call: (stub, metadata, device_id) =>
      collect(stub.VideoBufferedImage({ device_id, timestamp_from: 0, timestamp_to: Date.now() }, metadata)),
  },
  VideoProbe: { right: 'get cameras', call: (stub, metadata, device_id) => unary(done => stub.VideoProbe({ device_id }, metadata, done)) },
  Annotate: {
    right: 'create cameras/annotations',
    call: (stub, metadata, device_name) =>
      unary(done => stub.Annotate({ device_name, type: 'person', start_timestamp: Date.now() }, metadata, done)),
  },
  Proxy: {
    right: 'update cameras/forwarding',
    call: (stub, metadata, device_id) => unary(done => stub.Proxy({ device_id, passthrough: false }, metadata, done)),
  },
  Storage: {
    right: 'update cameras/forwarding',
    call: (stub, metadata, device_id) => unary(done => stub.Storage({ device_id, start: true }, metadata, done)),
  },
}

async function answer(call: Promise<unknown>): Promise<{ code: status; details: string }> {
  try {
    await call
    return { code: status.OK, details: '' }
  } catch (error) {
    const { code, details } = error as ServiceError
    return { code, details }
  }
}

for (const [name, { right, call }] of Object.entries(CALLS)) {
  for (const token of [undefined, 'junk', 'audience'])
    test(titled(`${name} with ${token ?? 'no token'}: UNAUTHENTICATED`), async t => {
      const { stub, tokens } = t.context
      t.is((await answer(call(stub, bearer(token && tokens[token]), 'door'))).code, status.UNAUTHENTICATED)
    })

  test(titled(`${name} with a token that may do nothing here: the camera does not exist`), async t => {
    const { stub, tokens } = t.context
    for (const token of ['nothing', 'elsewhere']) {
      const refused = await answer(call(stub, bearer(tokens[token]), 'door'))
      t.deepEqual(refused, { code: status.NOT_FOUND, details: 'camera "door" not found' })
      t.deepEqual(await answer(call(stub, bearer(tokens[token]), 'nowhere')), {
        code: status.NOT_FOUND,
        details: 'camera "nowhere" not found',
      })
    }
  })

  test(titled(`${name} with rights on one camera: that one only`), async t => {
    const { stub, tokens } = t.context
    const permitted = await answer(call(stub, bearer(tokens['door']), 'shop/door'))
    t.false([status.UNAUTHENTICATED, status.PERMISSION_DENIED, status.NOT_FOUND].includes(permitted.code), JSON.stringify(permitted))
    t.is((await answer(call(stub, bearer(tokens['door']), 'shop/gate'))).code, status.NOT_FOUND)
    const all = await answer(call(stub, bearer(tokens['all']), 'gate'))
    t.is(all.code, permitted.code)
  })

  if (right !== 'get cameras')
    test(titled(`${name} for a caller that may only see cameras: PERMISSION_DENIED names the right`), async t => {
      const { stub, tokens } = t.context
      t.deepEqual(await answer(call(stub, bearer(tokens['viewer']), 'door')), {
        code: status.PERMISSION_DENIED,
        details: `system:serviceaccount:shop:viewer may not ${right} "door" in namespace "shop"`,
      })
    })
}

/** Each URL of a camera, with the right that it needs. */
const URLS = {
  'frame.jpg': 'get cameras/frames',
  'live.mjpeg': 'get cameras/frames',
  'live.mp4': 'get cameras/frames',
  'live.ts': 'get cameras/frames',
  'frame.jpg?at=1': 'get cameras/past',
  'clip.mp4?from=1&to=2': 'get cameras/past',
  past: 'get cameras/past',
}
for (const [path, right] of Object.entries(URLS)) {
  test(titled(`${path} is given to who may ${right}, and to nobody else`), async t => {
    const { gateway, tokens } = t.context
    const get = async (camera: string, name: string | undefined, method = 'GET') => {
      const headers = name === undefined ? {} : { authorization: `Bearer ${tokens[name]}` }
      const answer = await fetch(`http://127.0.0.1:${gateway.httpPort}/cameras/${camera}/${path}`, { headers, method })
      const text = await answer.text()
      const { message = '' } = method === 'HEAD' ? {} : (JSON.parse(text) as { message?: string })
      return { status: answer.status, message }
    }
    for (const name of [undefined, 'junk', 'audience']) t.is((await get('door', name)).status, 401, name)
    for (const [camera, name] of [
      ['door', 'nothing'],
      ['door', 'elsewhere'],
      ['gate', 'door'],
    ] as const) {
      t.deepEqual(await get(camera, name), { status: 404, message: `camera "${camera}" not found` })
      t.is((await get(camera, name, 'HEAD')).status, 404)
    }
    const seen = await get('door', 'viewer')
    t.is(seen.status, 403)
    t.regex(seen.message, new RegExp(`may not ${right} "door" in namespace "shop"$`))
    const mayUse = await get('door', 'door')
    t.false([401, 403].includes(mayUse.status), mayUse.message)
    t.not(mayUse.message, 'camera "door" not found')
  })
}

test(titled('a token in the session’s cookie is as good as one in the header, and a WebSocket needs one too'), async t => {
  const { gateway, tokens } = t.context
  const url = `http://127.0.0.1:${gateway.httpPort}`
  const cookie = (name: string) => ({ cookie: `chrysalis-session=${tokens[name]}` })
  t.is((await fetch(`${url}/cameras/door/past`, { headers: cookie('viewer') })).status, 403)
  t.is((await fetch(`${url}/cameras/door/past`, { headers: cookie('junk') })).status, 401)
  t.is((await fetch(`${url}/cameras/door/past`, { headers: cookie('door') })).status, 200)
  const handshake = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  const upgrade = (headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest({
        port: gateway.httpPort,
        host: '127.0.0.1',
        path: '/cameras/door/live.mp4',
        headers: { ...handshake, ...headers },
      })
      request.on('response', ({ statusCode }) => resolve(statusCode))
      request.on('upgrade', (_answer, socket) => {
        socket.destroy()
        resolve(101)
      })
      request.on('error', reject).end()
    })
  t.is(await upgrade({}), 401)
  t.is(await upgrade(cookie('nothing')), 404)
  t.is(await upgrade(cookie('viewer')), 403)
  t.is(await upgrade(cookie('door')), 101)
})

test(titled('a list shows only what the caller may see'), async t => {
  const { stub, tokens } = t.context
  const names = async (token: string) => (await collect(stub.ListStreams({}, bearer(tokens[token])))).map(({ name }) => name)
  t.deepEqual(await names('all'), ['door', 'gate'])
  t.deepEqual(await names('door'), ['door'])
  t.deepEqual(await names('elsewhere'), ['farm/barn'])
  t.deepEqual(await names('nothing'), [])
  t.is((await answer(collect(stub.ListStreams({}, bearer(undefined))))).code, status.UNAUTHENTICATED)
})

test(titled('a revoked right ends a running call within a minute'), async t => {
  t.timeout(120_000)
  const { kube, stub, tokens } = t.context
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
  const { kube, stub, tokens } = t.context
  const fresh = await account(kube, 'all', [AUDIENCE])
  const probe = CALLS['VideoProbe']
  if (probe === undefined) return t.fail()
  t.is((await answer(probe.call(stub, bearer(tokens['all']), 'door'))).code, status.OK)
  await kube.stopApi()
  try {
    t.is((await answer(probe.call(stub, bearer(tokens['all']), 'door'))).code, status.OK)
    t.is((await answer(probe.call(stub, bearer(fresh), 'door'))).code, status.UNAVAILABLE)
  } finally {
    await kube.startApi()
  }
})
