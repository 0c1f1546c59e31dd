import test from 'ava'
import pino from 'pino'
import { Registry } from 'prom-client'
import { ApiAway, ApiError, type Query, type WatchEnd, type WatchEvent } from '../common/kube/client.ts'
import { operatorMetrics } from '../operator/metrics.ts'
import { Reflector, type KubeObject } from '../operator/kube/reflector.ts'
import { until } from './fixtures/wait.ts'

const log = pino({ level: 'silent' })

const object = (name: string, version: number, uid = name): KubeObject => ({
  metadata: { namespace: 'n', name, uid, resourceVersion: String(version) },
})

type Watching = { query: Query; send: (event: WatchEvent) => void; end: (end: WatchEnd) => void }

/** An API server whose every answer the test gives. */
class Server {
  lists: Query[] = []
  watches: Watching[] = []
  answer: (query: Query) => unknown = () => ({ metadata: { resourceVersion: '1' }, items: [] })

  async request<T>(_method: string, _path: string, { query = {} }: { query?: Query } = {}): Promise<T> {
    this.lists.push(query)
    return (await this.answer(query)) as T
  }

  watch(_path: string, query: Query, onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<WatchEnd> {
    return new Promise(resolve => {
      signal.addEventListener('abort', () => resolve('closed'))
      this.watches.push({
        query,
        send(event) {
          try {
            onEvent(event)
          } catch (error) {
            resolve(error as Error)
          }
        },
        end: resolve,
      })
    })
  }

  async watching(count: number): Promise<Watching> {
    return until(() => this.watches[count - 1], { what: `watch ${count}` })
  }
}

function start(server: Server, relistMs?: number) {
  const changes: string[] = []
  const metrics = operatorMetrics(new Registry())
  const reflector = new Reflector<KubeObject>({
    ...{ api: server, path: '/api/v1/things', keep: each => each, metrics, log },
    ...(relistMs === undefined ? {} : { relistMs }),
    onChange: (now, before) =>
      changes.push(`${before?.metadata.resourceVersion ?? '-'}→${now?.metadata.resourceVersion ?? '-'} ${(now ?? before)?.metadata.name}`),
  })
  const stop = new AbortController()
  const running = reflector.run(stop.signal)
  return {
    reflector,
    changes,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

const list = (version: number, items: KubeObject[], next?: string) => ({
  metadata: { resourceVersion: String(version), ...(next === undefined ? {} : { continue: next }) },
  items,
})

test('pages are put together, and only then is it synced', async t => {
  const server = new Server()
  const second = Promise.withResolvers<unknown>()
  server.answer = ({ continue: next }) => (next === undefined ? list(7, [object('a', 1)], 'more') : second.promise)
  await using run = start(server)
  await until(() => server.lists.length === 2, { what: 'the second page' })
  t.false(run.reflector.isSynced)
  t.is(run.reflector.size, 0)
  second.resolve(list(7, [object('b', 2)]))
  await run.reflector.synced
  t.deepEqual([...run.reflector.keys()], ['n/a', 'n/b'])
  t.deepEqual(
    server.lists.map(({ limit, continue: next }) => [limit, next]),
    [
      [500, undefined],
      [500, 'more'],
    ],
  )
})

test('pages whose version has expired are read again in one piece', async t => {
  const server = new Server()
  server.answer = ({ continue: next, limit }) => {
    if (next !== undefined) throw new ApiError(410, 'Expired', 'too old')
    return limit === undefined ? list(9, [object('b', 8)]) : list(7, [object('a', 1)], 'more')
  }
  await using run = start(server)
  await run.reflector.synced
  t.deepEqual([...run.reflector.keys()], ['n/b'])
})

test('a watch begins at the version of the list, asks for bookmarks, and goes on from the last event', async t => {
  const server = new Server()
  server.answer = () => list(7, [object('a', 1)])
  await using run = start(server)
  const watch = await server.watching(1)
  t.like(watch.query, { resourceVersion: '7', allowWatchBookmarks: true })
  watch.send({ type: 'MODIFIED', object: object('a', 8) })
  watch.send({ type: 'ADDED', object: object('b', 9) })
  watch.send({ type: 'DELETED', object: object('a', 10) })
  watch.send({ type: 'BOOKMARK', object: object('', 42) })
  t.deepEqual(run.changes, ['-→1 a', '1→8 a', '-→9 b', '8→- a'])
  watch.end(new ApiAway('cut'))
  t.like((await server.watching(2)).query, { resourceVersion: '42' })
  t.is(server.lists.length, 1)
})

test('an event that is already known calls nobody', async t => {
  const server = new Server()
  server.answer = () => list(7, [object('a', 1)])
  await using run = start(server)
  const watch = await server.watching(1)
  watch.send({ type: 'ADDED', object: object('a', 1) })
  watch.send({ type: 'DELETED', object: object('x', 9) })
  t.deepEqual(run.changes, ['-→1 a'])
})

for (const [how, gone] of [
  ['as an event', (watch: Watching) => watch.send({ type: 'ERROR', object: { code: 410, reason: 'Expired', message: 'too old' } })],
  ['as a refusal', (watch: Watching) => watch.end(new ApiError(410, 'Gone', 'too old'))],
] as const) {
  test(`410 ${how} makes it list again, and what happened meanwhile is found`, async t => {
    const server = new Server()
    server.answer = () => list(7, [object('a', 1), object('b', 2), object('c', 3, 'old')])
    await using run = start(server)
    const watch = await server.watching(1)
    server.answer = () => list(99, [object('b', 2), object('c', 50, 'new'), object('d', 51)])
    gone(watch)
    t.like((await server.watching(2)).query, { resourceVersion: '99' })
    t.deepEqual(run.changes.slice(3), ['1→- a', '3→50 c', '-→51 d'])
  })
}

test('while the API server is unreachable it keeps what it knows, and tries again', async t => {
  const server = new Server()
  server.answer = () => list(7, [object('a', 1)])
  await using run = start(server)
  const watch = await server.watching(1)
  server.answer = () => {
    throw new ApiAway('away')
  }
  watch.end(new ApiError(410, 'Gone', 'too old'))
  await until(() => server.lists.length >= 3, { what: 'two more attempts' })
  t.true(run.reflector.isSynced)
  t.is(run.reflector.size, 1)
  server.answer = () => list(8, [])
  await until(() => run.reflector.size === 0, { what: 'the new list' })
  t.is(run.changes.length, 2)
})

test('from time to time everything is listed again', async t => {
  const server = new Server()
  server.answer = () => list(7, [])
  await using run = start(server, 1)
  const watch = await server.watching(1)
  server.answer = () => list(8, [object('missed', 8)])
  await new Promise(resolve => setTimeout(resolve, 1_100)) // a watch that is closed sooner counts as refused
  watch.end('closed')
  await until(() => run.reflector.size === 1, { what: 'the missed object' })
  t.is(server.lists.length, 2)
})

test('a failed first list is tried again', async t => {
  const server = new Server()
  server.answer = () => {
    server.answer = () => list(1, [object('a', 1)])
    throw new ApiError(500, 'InternalError', 'not yet')
  }
  await using run = start(server)
  await run.reflector.synced
  t.is(run.reflector.size, 1)
})
