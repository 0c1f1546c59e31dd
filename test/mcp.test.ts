// The MCP server, as a program that lets a language model look uses it: the SDK's own client, over stdin and stdout.
import test from 'ava'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { annotate, annotation } from './fixtures/annotations.ts'
import { startCameras, type FakeCamera } from './fixtures/cameras.ts'
import { grpcClient, startGateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { until } from './fixtures/wait.ts'

type Content = { type: string; text?: string; data?: string; mimeType?: string }[]

test('a model lists cameras, looks now and then, and asks what happened; what is refused has its reason', async t => {
  await using nats = await startNats()
  const buffer = { duration: '60s', maxBytes: '16Mi', storage: 'Memory' }
  await using sidecar = await startSidecar(nats, { name: 'demo', spec: { source: { url: 'testsrc:?size=320x180&rate=10' }, buffer } })
  const dead: FakeCamera = { namespace: 'yard', name: 'dead', uid: 'uid-dead' }
  await using cameras = await startCameras(nats.url, [sidecar.camera, dead])
  await cameras.report(dead, { connection: 'waiting', reason: 'AuthFailed', message: 'the camera says 401', failingStreak: 3 })
  await using gateway = await startGateway(nats.url)
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await sidecar.stateWith('packets', ({ connection }) => connection === 'streaming')
  await using stub = grpcClient(gateway.port)
  const client = new Client({ name: 'test', version: '1' })
  await client.connect(
    new StdioClientTransport({ command: process.execPath, args: ['clients/mcp/main.ts', `http://127.0.0.1:${gateway.httpPort}`] }),
  )
  await using _ = { [Symbol.asyncDispose]: () => client.close() }
  const call = async (name: string, args: Record<string, unknown> = {}) => {
    const { content, isError } = await client.callTool({ name, arguments: args })
    return { content: content as Content, isError: isError === true }
  }

  const { tools } = await client.listTools()
  t.deepEqual(
    tools.map(({ name, annotations }) => [name, annotations?.readOnlyHint]),
    [
      ['list_cameras', true],
      ['look', true],
      ['what_happened', true],
    ],
  )
  const list = JSON.parse((await call('list_cameras')).content[0]?.text ?? '') as { name: string; reason?: string }[]
  t.deepEqual(
    list.map(({ name, reason }) => [name, reason]),
    [
      ['demo', undefined],
      ['yard/dead', 'AuthFailed'],
    ],
  )

  const now = await call('look', { camera: 'demo', width: 160 })
  t.regex(now.content[0]?.text ?? '', /^camera demo, captured \d{4}-.*Z, frame id [0-9a-z-]+$/)
  t.is(now.content[1]?.mimeType, 'image/jpeg')
  t.deepEqual([...Buffer.from(now.content[1]?.data ?? '', 'base64').subarray(0, 2)], [0xff, 0xd8])
  const captured = /captured (\S+),/.exec(now.content[0]?.text ?? '')?.[1] ?? ''
  const then = await until(
    async () => {
      const found = await call('look', { camera: 'demo', at: captured })
      return !found.isError && found
    },
    { what: 'the frame in the buffer' },
  )
  t.true(then.content[0]?.text?.includes(`captured ${captured}`), then.content[0]?.text)

  await annotate(stub, annotation({ device_name: 'demo', type: 'person', confidence: 0.5, start_timestamp: Date.parse(captured) }))
  const seen = await until(
    async () => {
      const said = (await call('what_happened', { camera: 'demo', from: captured })).content[0]?.text ?? ''
      return said.includes('person') && said
    },
    { what: 'the annotation' },
  )
  t.like(JSON.parse(seen), { annotations: [{ time: captured, type: 'person', confidence: 0.5 }], isComplete: true })

  const refused = await call('look', { camera: 'yard/dead' })
  t.true(refused.isError)
  t.regex(refused.content[0]?.text ?? '', /^AuthFailed: the camera says 401\. .*username/)
  t.true((await call('look', { camera: '../login' })).isError)
})
