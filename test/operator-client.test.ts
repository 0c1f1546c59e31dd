import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'ava'
import { Registry } from 'prom-client'
import { ApiAway, ApiError, KubeApi, type WatchEvent } from '../common/kube/client.ts'
import { clientMetrics } from '../operator/metrics.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A server that speaks HTTP as the test likes, and a client of it. */
async function start(handler: Handler) {
  const folder = await temporaryFolder()
  const server = createServer(handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const file = folder.file('kubeconfig')
  const config = {
    clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${port}/`, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: { token: 'secret-token' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  }
  await writeFile(file, JSON.stringify(config))
  const registry = new Registry()
  return {
    api: new KubeApi(file, clientMetrics(registry)),
    registry,
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

test('calls carry the token, and are counted', async t => {
  const tokens = new Set<string | undefined>()
  await using run = await start((request, response) => {
    tokens.add(request.headers.authorization)
    response.setHeader('content-type', 'application/json').end('{"ok":true}')
  })
  for (let i = 0; i < 40; i++) t.deepEqual(await run.api.request('GET', `/things/${i}`), { ok: true })
  t.deepEqual([...tokens], ['Bearer secret-token'])
  t.regex(await run.registry.metrics(), /rest_client_requests_total\{code="200",method="GET",host="127\.0\.0\.1:\d+"\} 40/)
})

test('the body, its type and the query arrive as given', async t => {
  await using run = await start((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', text => (body += text))
    request.on('end', () => response.end(JSON.stringify({ url: request.url, type: request.headers['content-type'], body })))
  })
  const query = { force: true, absent: undefined, labelSelector: 'a=b,c' }
  t.deepEqual(
    await run.api.request('PATCH', '/x', { query, body: { unknown: { field: 1 } }, contentType: 'application/apply-patch+yaml' }),
    {
      url: '/x?force=true&labelSelector=a%3Db%2Cc',
      type: 'application/apply-patch+yaml',
      body: '{"unknown":{"field":1}}',
    },
  )
})

test('a refusal says what the server said, and how long to wait', async t => {
  await using run = await start((request, response) => {
    if (request.url === '/page') response.writeHead(502).end('<html>bad gateway</html>')
    else {
      const status = { kind: 'Status', reason: 'TooManyRequests', message: 'slow down' }
      response.writeHead(429, { 'retry-after': '7' }).end(JSON.stringify(status))
    }
  })
  const error = await t.throwsAsync(run.api.request('GET', '/'), { instanceOf: ApiError, message: 'slow down' })
  t.like(error, { code: 429, reason: 'TooManyRequests', retryAfterMs: 7_000 })
  const page = await t.throwsAsync(run.api.request('GET', '/page'), { instanceOf: ApiError, message: '<html>bad gateway</html>' })
  t.like(page, { code: 502, retryAfterMs: 0 })
})

test('no answer in time, and nobody there, are the same: away; after that it works again', async t => {
  let hang = true
  await using run = await start((_, response) => void (hang || response.end('{}')))
  await t.throwsAsync(run.api.request('GET', '/', { timeoutMs: 50 }), { instanceOf: ApiAway })
  hang = false
  t.deepEqual(await run.api.request('GET', '/'), {})
  run.server.closeAllConnections()
  run.server.close()
  await once(run.server, 'close')
  await t.throwsAsync(run.api.request('GET', '/'), { instanceOf: ApiAway, message: /ECONNREFUSED/ })
})

const line = (name: string) => `${JSON.stringify({ type: 'ADDED', object: { metadata: { name } } })}\n`
const nameOf = ({ object }: WatchEvent) => (object as { metadata: { name: string } }).metadata.name

test('a watch gives its events, and ends when the server closes it', async t => {
  await using run = await start((request, response) => {
    t.is(new URL(request.url ?? '', 'http://x').searchParams.get('watch'), 'true')
    response.write(line('a'))
    response.end(line('b'))
  })
  const names: string[] = []
  t.is(await run.api.watch('/things', {}, event => names.push(nameOf(event)), new AbortController().signal), 'closed')
  t.deepEqual(names, ['a', 'b'])
})

test('a watch that was told to end calls nobody any more', async t => {
  let response: ServerResponse | undefined
  await using run = await start((_, each) => {
    response = each
    each.write(line('a'))
  })
  const names: string[] = []
  const stop = new AbortController()
  const ended = run.api.watch('/things', {}, event => names.push(nameOf(event)), stop.signal)
  await until(() => names.length === 1, { what: 'the first event' })
  stop.abort()
  response?.write(line('late'))
  t.is(await ended, 'closed')
  await until(() => response?.closed, { what: 'the end of the connection' })
  t.deepEqual(names, ['a'])
})

test('a watch that is refused, that breaks, and whose events can’t be taken in, end with the cause', async t => {
  await using run = await start((request, response) => {
    if (request.url?.startsWith('/gone')) response.writeHead(410).end('{}')
    else response.write(line('a'), () => request.url?.startsWith('/cut') && response.destroy())
  })
  const { signal } = new AbortController()
  const ignore = () => {}
  t.like(await run.api.watch('/gone', {}, ignore, signal), { code: 410 })
  t.true((await run.api.watch('/cut', {}, ignore, signal)) instanceof ApiAway)
  const thrown = new Error('cannot')
  t.is(
    await run.api.watch(
      '/throw',
      {},
      () => {
        throw thrown
      },
      signal,
    ),
    thrown,
  )
})

test('a watch on a link that is dead ends within 35 s', async t => {
  await using run = await start((_, response) => void response.write(line('a')))
  const begun = performance.now()
  const end = await run.api.watch('/things', {}, () => {}, new AbortController().signal)
  t.true(end instanceof ApiAway)
  t.true(performance.now() - begun < 35_000)
})
