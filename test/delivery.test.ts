// Annotations from the queue to the cloud. The cloud is a stand-in that checks signatures; everything else is real.
import type { ServiceDefinition } from '@grpc/proto-loader'
import test from 'ava'
import { connect } from 'nats'
import { writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { retryAfter, type Outcome } from '../gateway/annotations/cloud.ts'
import { pauseMs, verdictOn } from '../gateway/annotations/delivery-outcome.ts'
import { ANNOTATION_STREAM, DEAD_LETTER_STREAM } from '../proto/subjects.ts'
import { annotate, annotation, emptyQueue, serialized, stored } from './fixtures/annotations.ts'
import { startCameras } from './fixtures/cameras.ts'
import { selfSigned } from './fixtures/certificate.ts'
import { startCloud, type CloudRequest, type CloudStub } from './fixtures/cloud.ts'
import { grpcClient, imagePackage, startGateway, type Client, type Gateway } from './fixtures/gateway.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

type World = AsyncDisposable & { nats: NatsServer; cloud: CloudStub; gateway: Gateway; client: Client }

async function world(env: Record<string, string> = {}, made?: CloudStub): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const cloud = made ?? stack.use(await startCloud())
  const nats = stack.use(await startNats())
  stack.use(await startCameras(nats.url))
  const gateway = stack.use(await startGateway(nats.url, { ...cloud.env, ...env }))
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  const client = stack.use(grpcClient(gateway.port))
  const owned = stack.move()
  return { nats, cloud, gateway, client, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const ids = (count: number, name = 'id') => Array.from({ length: count }, (_, i) => `${name}-${i}`)
const idsIn = ({ body }: CloudRequest) => (body.data ?? []).map(item => item.idempotency_key)

/** One after the other, so that their order is known. */
async function annotateAll({ client }: World, all: string[]): Promise<void> {
  for (const id of all) await annotate(client, annotation({ object_id: id }), id)
}

const isEmpty = ({ nats }: World) => emptyQueue(nats)

test('annotations arrive in order, each once, in batches of at most 299, and leave the queue', async t => {
  await using w = await world()
  w.cloud.answer(() => ({ status: 503, headers: { 'retry-after': '1' } }))
  const all = ids(700)
  await annotateAll(w, all)
  t.is((await stored(w.nats, ANNOTATION_STREAM)).length, 700)
  w.cloud.answer(() => ({ status: 200 }))
  await isEmpty(w)
  t.deepEqual(w.cloud.accepted(), all)
  const taken = w.cloud.requests.filter(({ status }) => status === 200)
  t.deepEqual(taken.flatMap(idsIn), all)
  t.true(taken.every(({ body }) => (body.data?.length ?? 0) <= 299))
  t.true(taken.length <= 5)
  t.true(taken.every(({ method, path }) => method === 'POST' && path === '/annotations'))
  t.deepEqual(taken[0]?.body.data?.[0]?.['object_id'], 'id-0')
  t.is(await w.gateway.metric('chrysalis_annotations_delivered_total'), 700)
  t.is(await w.gateway.metric('chrysalis_cloud_calls_total', 'outcome="200"'), taken.length)
  t.is(await w.gateway.metric('chrysalis_annotations_batch_seconds_count'), taken.length)
  t.true((await w.gateway.metric('chrysalis_annotations_retried_total')) > 0)
})

test('what is sent again has the key it had', async t => {
  await using w = await world()
  let left = 2
  w.cloud.answer(() => (left-- > 0 ? { status: 500, body: 'oops' } : { status: 200 }))
  await annotateAll(w, ids(3))
  await isEmpty(w)
  const [first, second, third] = w.cloud.requests
  t.deepEqual([first?.status, second?.status, third?.status], [500, 500, 200])
  t.regex(first?.key ?? '', /^[0-9a-f]{32}$/)
  t.is(first?.key, third?.key)
  t.deepEqual(first?.body, third?.body)
  t.regex(w.gateway.log(), /the cloud answered 500: oops; trying again in \d+ s/)
})

test('Retry-After is waited for', async t => {
  await using w = await world()
  let isFirst = true
  w.cloud.answer(() => {
    const answer = isFirst ? { status: 429, headers: { 'retry-after': '3' } } : { status: 200 }
    isFirst = false
    return answer
  })
  await annotateAll(w, ids(1))
  await isEmpty(w)
  const [first, second] = w.cloud.requests
  t.true((second?.atMs ?? 0) - (first?.atMs ?? 0) >= 2_950)
})

test('a cloud that refuses connections, hangs or hangs up gets everything in the end', async t => {
  await using w = await world({ CHRYS_CLOUD_TIMEOUT_MS: '1000' })
  await w.cloud.refuse()
  await annotateAll(w, ids(5, 'refused'))
  await until(() => /cannot be reached: ECONNREFUSED/.test(w.gateway.log()), { what: 'the log to say why' })
  await w.cloud.listen()
  await isEmpty(w)
  const answers = ['hang', 'drop'] as const
  let next = 0
  w.cloud.answer(() => answers[next++] ?? { status: 200 })
  await annotateAll(w, ids(5, 'hung'))
  await isEmpty(w)
  t.deepEqual(w.cloud.accepted(), [...ids(5, 'refused'), ...ids(5, 'hung')])
  t.true((await w.gateway.metric('chrysalis_cloud_calls_total', 'outcome="timeout"')) >= 1)
  t.true((await w.gateway.metric('chrysalis_cloud_calls_total', 'outcome="unreachable"')) >= 2)
})

test('an answer that breaks off or never ends counts by its status', async t => {
  await using w = await world({ CHRYS_CLOUD_TIMEOUT_MS: '1000' })
  const endings = ['drop', 'hang'] as const
  w.cloud.answer(({ body }) => {
    const [number = 0] = (body.data ?? []).map(item => Number(item['object_id']))
    return { status: number % 2 === 0 ? 200 : 422, body: '{"ok":', ending: endings[number % 4 < 2 ? 0 : 1] ?? 'drop' }
  })
  for (const number of [4, 5, 6, 7]) {
    await annotate(w.client, annotation({ object_id: String(number) }), `id-${number}`)
    await isEmpty(w)
  }
  t.deepEqual(
    w.cloud.requests.map(({ body, status }) => [body.data?.[0]?.idempotency_key, status]),
    [
      ['id-4', 200],
      ['id-5', 422],
      ['id-6', 200],
      ['id-7', 422],
    ],
  )
  t.is((await stored(w.nats, DEAD_LETTER_STREAM)).length, 2)
})

test('a batch that is refused is halved until the bad ones are found; they are dead letters, the others arrive', async t => {
  await using w = await world()
  const bad = new Set(['id-7', 'id-8', 'id-39'])
  const check = (request: CloudRequest) => {
    const isBad = idsIn(request).some(id => bad.has(id))
    return isBad ? { status: 422, body: 'no such thing\r\nX-Evil: 1' } : { status: 200 }
  }
  w.cloud.answer(() => ({ status: 503 }))
  const all = ids(40)
  await annotateAll(w, all)
  w.cloud.answer(check)
  await isEmpty(w)
  t.deepEqual(
    w.cloud.accepted(),
    all.filter(id => !bad.has(id)),
  )
  const dead = await stored(w.nats, DEAD_LETTER_STREAM)
  t.deepEqual(
    dead.map(({ header }) => header.get('Nats-Msg-Id')),
    [...bad],
  )
  t.is(dead[0]?.header.get('Chrys-Reason'), 'the cloud answered 422: no such thing X-Evil: 1')
  t.is(dead[0]?.header.get('Chrys-Subject'), 'chrys.annotations.other')
  t.true((dead[0]?.data.length ?? 0) > 10)
  t.is(await w.gateway.metric('chrysalis_annotations_dead_total', 'reason="422"'), 3)
  t.is(await w.gateway.metric('chrysalis_annotations_delivered_total'), 37)
  await until(async () => (await w.gateway.metric('chrysalis_annotations_dead_letters')) === 3, { what: 'the gauge of dead letters' })
})

test('an annotation is delivered that was in time when it was accepted, and by the clock of NATS is not', async t => {
  await using w = await world()
  const nc = await connect({ servers: w.nats.url })
  const { Annotate } = imagePackage['chrys.cloud.videostreaming.v1beta1.Image'] as ServiceDefinition
  const late = Annotate?.requestSerialize(annotation({ start_timestamp: Date.now() - 7 * 86_400_000 - 60_000 }))
  await nc.jetstream().publish('chrys.annotations.other', late, { msgID: 'late' })
  await nc.close()
  await isEmpty(w)
  t.deepEqual(w.cloud.accepted(), ['late'])
  t.deepEqual(await stored(w.nats, DEAD_LETTER_STREAM), [])
})

test('what is no annotation is a dead letter and holds nothing up', async t => {
  await using w = await world()
  await annotateAll(w, ['before'])
  const nc = await connect({ servers: w.nats.url })
  const js = nc.jetstream()
  await js.publish('chrys.annotations.other', Buffer.from([0xff, 0xff, 0xff]))
  await js.publish('chrys.annotations.a.b')
  await js.publish('chrys.annotations.other', Buffer.from('\x0a\x03abc'), { msgID: 'no-type' })
  await nc.close()
  await annotateAll(w, ['after'])
  await isEmpty(w)
  t.deepEqual(w.cloud.accepted(), ['before', 'after'])
  const dead = await stored(w.nats, DEAD_LETTER_STREAM)
  t.is(dead.length, 3)
  t.regex(dead[0]?.header.get('Chrys-Reason') ?? '', /^no AnnotateRequest: /)
  t.is(dead[1]?.header.get('Chrys-Reason'), 'device_name is required')
  t.is(dead[2]?.header.get('Chrys-Reason'), 'type is required')
  t.is(await w.gateway.metric('chrysalis_annotations_dead_total', 'reason="malformed"'), 3)
})

test('a dead letter that is sent again weeks later is delivered', async t => {
  await using w = await world()
  const nc = await connect({ servers: w.nats.url })
  const old = annotation({ object_id: 'old', start_timestamp: Date.now() - 30 * 86_400_000 })
  await nc.jetstream().publish('chrys.annotations.other', serialized(old), { msgID: 'sent again' })
  await nc.close()
  await isEmpty(w)
  t.deepEqual(w.cloud.accepted(), ['sent again'])
})

test('a wrong key is nobody’s fault but the key’s: annotations wait for the right one, which is read without a restart', async t => {
  await using w = await world()
  w.cloud.expect('new-key', 'new-secret-9f3')
  await annotateAll(w, ids(4))
  await until(() => w.cloud.requests.length >= 2, { what: 'a second try' })
  t.true(w.cloud.requests.every(({ status }) => status === 401))
  t.is((await stored(w.nats, ANNOTATION_STREAM)).length, 4)
  await w.cloud.setCredentials('', '')
  await until(async () => (await w.gateway.metric('chrysalis_cloud_calls_total', 'outcome="credentials"')) >= 1, {
    what: 'a try without a key',
  })
  await w.cloud.setCredentials('new-key', 'new-secret-9f3')
  await isEmpty(w)
  t.deepEqual(w.cloud.accepted(), ids(4))
  t.is((await stored(w.nats, DEAD_LETTER_STREAM)).length, 0)
  const log = w.gateway.log()
  t.is(log.match(/the cloud does not accept annotations/g)?.length, 1)
  t.notRegex(log, /edge-secret|new-secret/)
  t.notRegex(await w.gateway.metrics(), /edge-key|edge-secret|new-key|new-secret/)
})

test('a server with a certificate of its own making gets nothing, unless it is trusted by name; redirects are not followed', async t => {
  const tls = await selfSigned()
  await using cloud = await startCloud({ tls })
  await using other = await startCloud()
  {
    await using w = await world({}, cloud)
    await annotateAll(w, ids(1, 'distrusted'))
    await until(() => /cannot be reached: .*SELF_SIGNED_CERT/.test(w.gateway.log()), { what: 'the log to say why' })
    t.is(cloud.requests.length, 0)
  }
  await using folder = await temporaryFolder()
  await writeFile(folder.file('ca.pem'), tls.cert)
  await using w = await world({ NODE_EXTRA_CA_CERTS: folder.file('ca.pem') }, cloud)
  cloud.answer(() => ({ status: 307, headers: { location: `${other.url}/annotations` } }))
  await annotateAll(w, ids(1, 'redirected'))
  await until(() => cloud.requests.length >= 2, { what: 'a second try' })
  t.is(other.requests.length, 0)
  cloud.answer(() => ({ status: 200 }))
  await isEmpty(w)
  t.deepEqual(cloud.accepted(), ids(1, 'redirected'))
})

test('two gateways send one batch at a time, however slow the cloud is; when one dies the other goes on', async t => {
  await using w = await world({ CHRYS_CLOUD_TIMEOUT_MS: '60000' })
  await using second = await startGateway(w.nats.url, { ...w.cloud.env, CHRYS_CLOUD_TIMEOUT_MS: '60000' })
  await until(() => second.ready(), { what: 'the second gateway' })
  const all = ids(20)
  // Longer than a gateway's turn lasts if it isn't kept up.
  w.cloud.answer(() => 'hang')
  await annotateAll(w, all.slice(0, 10))
  await until(() => w.cloud.requests.length === 1, { what: 'the first try' })
  await annotateAll(w, all.slice(10))
  await delay(16_000)
  t.is(w.cloud.requests.length, 1)
  w.cloud.answer(() => ({ status: 200 }))
  const delivering = await w.gateway.metric('chrysalis_annotations_delivering')
  await (delivering > 0 ? w.gateway : second).stop('SIGKILL')
  await isEmpty(w)
  t.deepEqual(w.cloud.accepted(), all)
})

test('a gateway that is asked to stop gives its batch away at once', async t => {
  await using w = await world({ CHRYS_CLOUD_TIMEOUT_MS: '60000' })
  w.cloud.answer(() => 'hang')
  await annotateAll(w, ids(10))
  await until(() => w.cloud.requests.length === 1, { what: 'the first try' })
  w.cloud.answer(() => ({ status: 200 }))
  t.is(await w.gateway.stop(), 0)
  await using next = await startGateway(w.nats.url, w.cloud.env)
  const startMs = performance.now()
  await isEmpty(w)
  t.true(performance.now() - startMs < 11_000) // before its turn would have ended
  t.deepEqual(w.cloud.accepted(), ids(10))
  t.is(await next.metric('chrysalis_annotations_delivered_total'), 10)
})

test('a queue that is lost and made anew is delivered too', async t => {
  await using w = await world()
  await annotateAll(w, ids(3, 'old'))
  await isEmpty(w)
  const nc = await connect({ servers: w.nats.url })
  await (await nc.jetstreamManager()).streams.delete(ANNOTATION_STREAM)
  await nc.close()
  await annotateAll(w, ids(3, 'new'))
  await until(() => w.cloud.accepted().length === 6, { what: 'the new annotations', timeoutMs: 60_000 })
  t.deepEqual(w.cloud.accepted(), [...ids(3, 'old'), ...ids(3, 'new')])
})

const answered = (status: number, retryAfterMs?: number): Outcome => ({ kind: 'answered', status, text: '', retryAfterMs })

test('which answers mean what', t => {
  for (const status of [200, 201, 204]) t.is(verdictOn(answered(status)), 'accepted')
  for (const status of [400, 409, 413, 422]) t.is(verdictOn(answered(status)), 'refused')
  for (const status of [301, 307, 401, 403, 404, 405, 408, 429, 500, 503]) t.is(verdictOn(answered(status)), 'later')
  for (const cause of ['timeout', 'unreachable', 'credentials', 'cancelled'] as const) {
    t.is(verdictOn({ kind: 'failed', cause, text: '' }), 'later')
  }
})

test('pauses grow from 1 s to 5 min, at random, and are never shorter than the server wants', t => {
  const most = (attempt: number) => pauseMs(attempt, answered(500), () => 1)
  t.deepEqual([0, 1, 2, 8, 9, 1_000].map(most), [1_000, 2_000, 4_000, 256_000, 300_000, 300_000])
  t.is(
    pauseMs(9, answered(500), () => 0.5),
    150_000,
  )
  t.is(
    pauseMs(0, answered(429, 60_000), () => 1),
    60_000,
  )
})

test('Retry-After is seconds or a date, and at most an hour', t => {
  const now = Date.UTC(2026, 0, 1)
  t.is(retryAfter('7', now), 7_000)
  t.is(retryAfter(new Date(now + 30_000).toUTCString(), now), 30_000)
  t.is(retryAfter(new Date(now - 30_000).toUTCString(), now), 0)
  t.is(retryAfter('999999999', now), 3_600_000)
  for (const header of [null, '', 'soon']) t.is(retryAfter(header, now), undefined)
})
