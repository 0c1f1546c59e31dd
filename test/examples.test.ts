// The clients under deploy/examples, as users run them, at the product as users run it.
import anyTest, { type TestFn } from 'ava'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { startCloud, type CloudStub } from './fixtures/cloud.ts'
import { startLocal } from './fixtures/local.ts'
import { runPython, startPython, type PythonProcess } from './fixtures/python.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

type World = { cloud: CloudStub; address: string; stack: AsyncDisposableStack }
const test = anyTest as TestFn<World>

test.before(async t => {
  const stack = (t.context.stack = new AsyncDisposableStack()) // at once: it is to be disposed of if the rest fails
  const cloud = stack.use(await startCloud())
  Object.assign(process.env, cloud.env) // as a user's shell would have them
  const local = stack.use(await startLocal())
  await local.line(/demo: running/)
  const address = await local.address()
  Object.assign(t.context, { cloud, address })
})

test.after.always(t => t.context.stack.disposeAsync())

async function node(script: string, args: readonly string[]): Promise<string> {
  const path = fileURLToPath(new URL(`../deploy/examples/typescript/${script}`, import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...args], { timeout: 90_000 })
  return stdout
}
const python = (script: string, args: readonly string[]) => runPython(`../../deploy/examples/python/${script}`, args, { timeoutMs: 90_000 })

/** What the cloud got of these annotations. */
const arrived = (cloud: CloudStub, starts: number[]) =>
  until(
    () => {
      const items = cloud.requests.filter(({ status }) => status === 200).flatMap(({ body }) => body.data ?? [])
      const wanted = items.filter(item => starts.includes(Number(item['start_timestamp'])))
      return wanted.length === starts.length && wanted
    },
    { what: 'the annotations to arrive at the cloud' },
  )

test.serial('the Python client sees what moves, and its annotations reach the cloud', async t => {
  const { cloud, address } = t.context
  const output = await python('motion.py', ['demo', '--address', address, '--frames', '40'])
  const lines = output.trim().split('\n')
  t.true(
    lines.every(line => /^\d{13} moving: \d+x\d+ at \d+,\d+$/.test(line)),
    output,
  )
  const items = await arrived(
    cloud,
    lines.map(line => Number(line.split(' ')[0])),
  )
  for (const item of items) {
    t.like(item, { device_name: 'demo', type: 'moving', width: 640, height: 360 })
    t.truthy(item['object_bouding_box'])
  }
})

test.serial('the Python client reads the past, and saves a picture of it', async t => {
  await using folder = await temporaryFolder()
  const output = await python('past.py', ['demo', '--address', t.context.address, '--seconds', '2', '--save', folder.file('picture.png')])
  t.regex(output, /^\d+ frames, from \d+ to -?\d+ ms ago\n$/)
  t.is((await readFile(folder.file('picture.png'))).subarray(1, 4).toString(), 'PNG')
})

test.serial('the TypeScript client sees what moves, and its annotations reach the cloud', async t => {
  const { cloud, address } = t.context
  const output = await node('motion.ts', ['demo', '--address', address, '--frames', '40'])
  const lines = output.trim().split('\n')
  t.true(
    lines.every(line => /^\d{13} moving: [\d.]+ % of the picture$/.test(line)),
    output,
  )
  const items = await arrived(
    cloud,
    lines.map(line => Number(line.split(' ')[0])),
  )
  for (const item of items) t.like(item, { device_name: 'demo', type: 'moving', object_type: 'motion', width: 640, height: 360 })
})

test.serial('the TypeScript client reads the past', async t => {
  t.regex(await node('past.ts', ['demo', '--address', t.context.address, '--seconds', '2']), /^\d+ frames, from \d+ to -?\d+ ms ago\n$/)
})

test('the Python example asks for what its test runs with', async t => {
  const pins = async (path: string) => (await readFile(new URL(path, import.meta.url), 'utf8')).match(/^\w\S+/gm) ?? []
  const tested = new Set(await pins('requirements.txt'))
  for (const pin of await pins('../deploy/examples/python/requirements.txt')) t.true(tested.has(pin), pin)
})

/** Starts the client in a document, with this before it prints. */
async function startClientOf(document: string, address: string, file: string, before = ''): Promise<PythonProcess> {
  const text = await readFile(new URL(`../${document}`, import.meta.url), 'utf8')
  const client = /```python\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  await writeFile(file, client.replace('127.0.0.1:50001', address).replace('print(', `${before}print(`))
  return await startPython(pathToFileURL(file).href)
}

/** The first lines that it prints. */
async function firstLines({ lines }: PythonProcess, count: number): Promise<string[]> {
  const first: string[] = []
  for await (const line of lines) if (first.push(line) === count) break
  return first
}

test.serial('the client in the README has six lines at most, and prints frames as they come', async t => {
  await using folder = await temporaryFolder()
  await using running = await startClientOf('README.md', t.context.address, folder.file('client.py'))
  t.true((await readFile(folder.file('client.py'), 'utf8')).trim().split('\n').length <= 6)
  const lines = await firstLines(running, 5)
  t.is(lines.length, 5)
  for (const line of lines) t.regex(line, /^\d+\.\d+ \d+\.\d+ \(640, 640, 3\)$/)
})

const CLIENT_EXAMPLES = '../../clients/python/examples'

test.serial('the examples of the Python client run: people, batches, the past around an annotation', async t => {
  process.env['CHRYSALIS_ADDRESS'] = t.context.address
  await using people = await startPython(`${CLIENT_EXAMPLES}/people.py`, ['demo'])
  for (const line of await firstLines(people, 2)) t.regex(line, /^\d+\.\d{3}: \d+ people$/)
  await using batches = await startPython(`${CLIENT_EXAMPLES}/batches.py`)
  for (const line of await firstLines(batches, 2)) t.regex(line, /^demo \(\d, 320, 320, 3\): brightness \d+$/)
  const around = await runPython(`${CLIENT_EXAMPLES}/around_annotation.py`, ['demo'], { timeoutMs: 90_000 })
  const [, id, last] = /^(\S+): \d+ frames up to (\S+)\n$/.exec(around) ?? []
  t.is(last, id, around)
})

test.serial('the example with PyTorch runs; what it calls of PyTorch, another module does here', async t => {
  const env = { CHRYSALIS_ADDRESS: t.context.address, PYTHONPATH: fileURLToPath(new URL('fixtures/stand-ins', import.meta.url)) }
  await using torch = await startPython(`${CLIENT_EXAMPLES}/torch_frames.py`, ['demo'], { ...env, PYTHONWARNINGS: 'error' })
  for (const line of await firstLines(torch, 2)) t.regex(line, /^\d+\.\d{3}: \(1, 3, 224, 224\), mean 0\.\d{3}$/)
})

test.serial('the client without a package prints frames as they come', async t => {
  await using folder = await temporaryFolder()
  await using running = await startClientOf('docs/grpc.md', t.context.address, folder.file('client.py'))
  const lines = await firstLines(running, 10)
  t.is(lines.length, 10)
  for (const line of lines) t.regex(line, /^\d{13} [IPB] \(360, 640, 3\)$/)
})

test.serial('with a slow model the client without a package still sees the camera as it is now', async t => {
  await using folder = await temporaryFolder()
  await using running = await startClientOf('docs/grpc.md', t.context.address, folder.file('client.py'), "__import__('time').sleep(0.2); ")
  const agesMs: number[] = []
  for await (const line of running.lines) {
    agesMs.push(Date.now() - Number(line.split(' ')[0]))
    if (agesMs.length === 50) break
  }
  // It falls behind by ten frames of fifteen a second, and then goes on at the newest.
  t.true(Math.min(...agesMs.slice(-20)) < 800, agesMs.join(' '))
})
