// common/patches: every reach into a library's internals still reaches. What each is for is tested where common/patches/README.md says.
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { createUser } from '@nats-io/nkeys'
import test from 'ava'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer, type AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { http2ServersOf, sessionsOf, setHttp2Options } from '../common/patches/grpc-server.ts'
import { reconnectOnce } from '../common/patches/nats-reconnect.ts'
import { bytesOfSeed, userSeedOf } from '../common/patches/nkeys-codec.ts'
import { queuedBytes } from '../common/patches/node-socket.ts'
import { until } from './fixtures/wait.ts'

const FOLDER = new URL('../common/patches/', import.meta.url)
const files = (await readdir(FOLDER)).filter(name => name.endsWith('.ts'))

async function installed(library: string): Promise<string> {
  if (library === 'node') return process.versions.node.split('.')[0] ?? ''
  const text = await readFile(new URL(`../node_modules/${library}/package.json`, import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

for (const file of files) {
  test(`${file} names its upstream, and was tried with the version that is installed`, async t => {
    const text = await readFile(new URL(file, FOLDER), 'utf8')
    t.regex(text, /^[/][/] Upstream: https:[/][/]/m)
    const [, library = '', version] = /^[/][/] Tried with: (\S+) (\S+)$/m.exec(text) ?? []
    t.is(
      version,
      await installed(library),
      `run the tests in common/patches/README.md, then write the new version of ${library} into ${file}`,
    )
  })
}

test('the list in common/patches has every patch, and tests that exist', async t => {
  const text = await readFile(new URL('README.md', FOLDER), 'utf8')
  t.deepEqual(
    [...text.matchAll(/^\| \[`([\w-]+\.ts)`\]/gm)].map(([, name]) => name).toSorted((a = '', b = '') => (a < b ? -1 : 1)),
    files.toSorted((a, b) => (a < b ? -1 : 1)),
  )
  const tests = await readdir(new URL('.', import.meta.url))
  for (const [, name = ''] of text.matchAll(/`([\w-]+\.test\.ts)`/g)) t.true(tests.includes(name), name)
})

test('this grpc-js takes options of Node’s server, and shows that server and its sessions', async t => {
  const server = new Server()
  t.true(setHttp2Options(server, { maxSessionMemory: 7 }))
  const port = await promisify(server.bindAsync.bind(server))('127.0.0.1:0', ServerCredentials.createInsecure())
  t.is([...http2ServersOf(server)].length, 1)
  const client = connectHttp2(`http://127.0.0.1:${port}`)
  await once(client, 'connect')
  await until(() => [...sessionsOf(server)].length === 1, { what: 'the session' })
  client.destroy()
  server.forceShutdown()
})

test('this Node shows how many bytes of a socket wait for the network', async t => {
  const server = createServer(socket => void socket.pause()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  t.is(queuedBytes(socket), 0)
  socket.write(Buffer.alloc(64 << 20))
  t.true((queuedBytes(socket) ?? 0) > 1 << 20)
  socket.destroy()
  server.close()
})

test('this nats.js can be made to wait once', t => {
  t.true(reconnectOnce())
})

test('a seed of NATS and its bytes are each other’s', t => {
  const seed = Buffer.from(createUser().getSeed()).toString()
  const bytes = bytesOfSeed(seed)
  t.is(bytes.length, 32)
  t.is(Buffer.from(userSeedOf(bytes)).toString(), seed)
})

test('this V8 knows the flag that counts buffers as heap', async t => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--v8-options'], { maxBuffer: 16 << 20 })
  t.regex(stdout, /--external-memory-accounted-in-global-limit /)
})
