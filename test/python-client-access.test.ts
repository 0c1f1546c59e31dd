// How the Python client presents itself: tokens, TLS, and the class of exceptions of each refusal. The other side is a gRPC server that says
// what a gateway says.
import {
  Server,
  ServerCredentials,
  status,
  type Metadata,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js'
import test from 'ava'
import { writeFile } from 'node:fs/promises'
import { framesService } from './fixtures/frames-client.ts'
import { selfSigned } from './fixtures/certificate.ts'
import { startPythonClient } from './fixtures/python-client.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until, within } from './fixtures/wait.ts'

type Asked = { wish?: Record<string, unknown> | null; credit?: number; max_age_ms?: number }
type Snapshot = ServerUnaryCall<{ camera: string } & Asked, unknown>
type Watch = ServerDuplexStream<Asked, unknown>

const FRAME = { camera: 'demo', id: 'one', capture_time_ms: 1, width: 1, height: 1, format: 1, data: Buffer.from([1, 2, 3]) }
const tokenOf = (metadata: Metadata) => String(metadata.get('authorization')[0] ?? '')

/** A snapshot of the camera "status-N" fails with that code. Frames come while the call's token is the valid one. */
async function startServer(valid: string) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder())
  const tls = await selfSigned()
  await writeFile(folder.file('ca.crt'), tls.cert)
  const server = new Server()
  const seen: string[] = []
  const asked: Asked[] = []
  const state = { valid, watching: new Set<Watch>() }
  const isValid = (metadata: Metadata) => {
    seen.push(tokenOf(metadata))
    return tokenOf(metadata) === `Bearer ${state.valid}`
  }
  const refusal = (code: status, details: string) => Object.assign(new Error(details), { code, details })
  server.addService(framesService, {
    Snapshot({ request, metadata }: Snapshot, answer: sendUnaryData<unknown>) {
      asked.push(request)
      const code = Number(/^status-(\d+)$/.exec(request.camera)?.[1] ?? 0)
      if (!isValid(metadata)) answer(refusal(status.UNAUTHENTICATED, 'a bearer token is required'))
      else if (code > 0) answer(refusal(code, `what to do about ${request.camera}`))
      else answer(null, { frame: FRAME })
    },
    Watch(call: Watch) {
      call.on('error', () => {})
      call.on('data', (request: Asked) => request.wish && asked.push(request))
      if (!isValid(call.metadata)) {
        call.emit('error', refusal(status.UNAUTHENTICATED, 'the token is not valid'))
        return
      }
      state.watching.add(call)
      call.write({ frame: FRAME })
      call.on('end', () => call.end())
    },
  })
  const credentials = ServerCredentials.createSsl(null, [{ private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) }])
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  )
  stack.defer(() => server.forceShutdown())
  const owned = stack.move()
  return {
    ...{ url: `https://localhost:${port}`, folder, seen, asked },
    /** Of a program that trusts the server. */
    env: { CHRYSALIS_CA: folder.file('ca.crt') },
    renew(token: string) {
      state.valid = token
      for (const call of state.watching) call.emit('error', refusal(status.UNAUTHENTICATED, 'the token has expired'))
      state.watching.clear()
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

test('a token file is read again for each call, and a loop goes on with the token that is in it now', async t => {
  await using server = await startServer('first')
  await writeFile(server.folder.file('token'), 'first\n')
  const env = { ...server.env, CHRYSALIS_TOKEN_FILE: server.folder.file('token') }
  await using program = startPythonClient(server.url, 'watching', env)
  await until(() => program.said.length >= 1, { what: 'a frame', timeoutMs: 60_000 })
  await writeFile(server.folder.file('token'), 'second\n')
  server.renew('second')
  await until(() => program.said.length >= 2, { what: 'a frame with the renewed token', timeoutMs: 60_000 })
  t.deepEqual(
    program.said.map(({ gap }) => gap),
    [false, false],
    'the server says of no gap',
  )
  t.deepEqual(
    server.asked.map(({ wish }) => wish?.['after']),
    [{}, { demo: 'one' }],
    'what it has is not sent again',
  )
  t.deepEqual([...new Set(server.seen)], ['Bearer first', 'Bearer second'])
})

test('a loop whose token is refused ends with the mistake', async t => {
  await using server = await startServer('first')
  const env = { ...server.env, CHRYSALIS_TOKEN: 'wrong' }
  await using program = startPythonClient(server.url, 'watching', env)
  t.not(await within(program.ended, { what: 'the program', timeoutMs: 60_000 }), 0)
  t.regex(program.errors(), /NotAuthenticated: the token is not valid/)
})

test('each refusal has its class of exceptions, with what the gateway says', async t => {
  await using server = await startServer('first')
  const env = { ...server.env, CHRYSALIS_TOKEN: 'first' }
  await using program = startPythonClient(server.url, 'refusals', env)
  t.is(await within(program.ended, { what: 'the program', timeoutMs: 60_000 }), 0, program.errors())
  const got = Object.fromEntries(
    program.said.map(({ code, got, message }) => [String(code), [got, String(message).startsWith('what to do')]]),
  )
  t.deepEqual(got, {
    3: ['BadOption', true],
    5: ['NoSuchCamera', true],
    7: ['NotPermitted', true],
    8: ['LimitReached', true],
    9: ['NotPossible', true],
    11: ['NotInBuffer', true],
    14: ['Unavailable', true],
    16: ['NotAuthenticated', false],
    untrusted: ['Unavailable', false],
  })
})

test('options reach the gateway: group, age, rate, mode, keyframes, names, selector', async t => {
  await using server = await startServer('first')
  const env = { ...server.env, CHRYSALIS_TOKEN: 'first' }
  await using program = startPythonClient(server.url, 'options', env)
  t.is(await within(program.ended, { what: 'the program', timeoutMs: 60_000 }), 0, program.errors())
  const wish = {
    selector: 'site=shop',
    cameras: [],
    keyframes_only: false,
    max_fps: 0,
    max_age_ms: 0,
    group: 'people',
    mode: 'MODE_NEWEST',
  }
  const aged = { ...wish, max_fps: 2, max_age_ms: 500, mode: 'MODE_EVERY' }
  const wanted = [
    { wish: aged, credit: 1 },
    { wish: { ...wish, selector: undefined, group: '', cameras: ['a', 'b'], keyframes_only: true }, credit: 1 },
    { wish, credit: 1 },
    { camera: 'demo', max_age_ms: 250 },
    { wish: aged, credit: 1 },
    { wish, credit: 1 },
  ]
  t.is(server.asked.length, wanted.length)
  for (const [i, asked] of wanted.entries()) t.like(server.asked[i], asked)
})
