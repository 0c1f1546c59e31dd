// The fixtures are what other tests stand on, so they are tested themselves.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import test from 'ava'
import { connect } from 'nats'
import { decodeBgr24, ffprobeFrames, ffprobePackets, testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { freePort } from './fixtures/ports.ts'
import { descendants, noneLeft } from './fixtures/processes.ts'
import { runPython, startPython } from './fixtures/python.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

test('a nats-server that was killed comes back on its port with what was stored', async t => {
  await using server = await startNats()
  const first = await connect({ servers: server.url, reconnect: false })
  const manager = await first.jetstreamManager()
  await manager.streams.add({ name: 'kept', subjects: ['kept.>'] })
  await first.jetstream().publish('kept.a', 'one')
  await server.kill()
  await first.closed()
  await server.restart()
  const second = await connect({ servers: server.url })
  const { state } = await (await second.jetstreamManager()).streams.info('kept')
  t.is(state.messages, 1)
  await second.close()
})

test('a nats-server takes the limits and the lines of configuration that it is given', async t => {
  await using server = await startNats({ maxPayload: 1 << 21, jetstreamLimits: { memory: 1 << 22 }, extraConfig: 'server_name: tested' })
  const nats = await connect({ servers: server.url })
  t.is(nats.info?.max_payload, 1 << 21)
  t.is(nats.info?.server_name, 'tested')
  const { limits } = await (await nats.jetstreamManager()).getAccountInfo()
  t.is(limits.max_memory, -1) // the server's limits bind, not the account's
  await t.throwsAsync(
    async () =>
      (await nats.jetstreamManager()).streams.add({ name: 'big', subjects: ['big'], storage: 'memory' as never, max_bytes: 1 << 23 }),
    {
      message: /insufficient memory/,
    },
  )
  await nats.close()
})

test('a nats-server that cannot start says why', async t => {
  await t.throwsAsync(startNats({ extraConfig: 'no_such_setting: 1' }), { message: /no_such_setting/ })
})

test('a test video has the frames, sizes and keyframes that were asked for, and its decoding is the reference', async t => {
  const file = await testVideo({ seconds: 2, fps: 15, gop: 15, bFrames: 2 })
  const frames = await ffprobeFrames(file)
  t.is(frames.length, 30)
  t.deepEqual(
    frames.flatMap(({ keyframe }, index) => (keyframe ? [index] : [])),
    [0, 15],
  )
  t.true(frames.some(({ type }) => type === 'B'))
  t.is((await ffprobePackets(file)).length, 30)
  const pictures = new Set<string>()
  for await (const { data, width, height } of decodeBgr24(file)) {
    t.is(data.length, width * height * 3)
    pictures.add(createHash('sha256').update(data).digest('hex'))
  }
  t.is(pictures.size, 30)
})

test('a Python client may use stubs of our proto, and its failure tells what it said', async t => {
  await using folder = await temporaryFolder()
  const good = folder.file('good.py')
  const line = 'print(pb.VideoFrameRequest(device_id=sys.argv[1]).SerializeToString(), grpc.ImageStub.__name__)'
  await writeFile(good, `import sys\nimport video_streaming_pb2 as pb, video_streaming_pb2_grpc as grpc\n${line}\n`)
  t.is(await runPython(good, ['front']), `b'\\x12\\x05front' ImageStub\n`)
  const bad = folder.file('bad.py')
  await writeFile(bad, 'import sys\nsys.exit("no frames today")\n')
  await t.throwsAsync(runPython(bad), { message: /no frames today/ })
})

test('a Python client that goes on forever is read line by line, and ends with its scope', async t => {
  await using folder = await temporaryFolder()
  const script = folder.file('forever.py')
  await writeFile(script, 'import time\nwhile True:\n    print("tick")\n    time.sleep(0.01)\n')
  let pid: number
  {
    await using python = await startPython(script)
    pid = python.pid
    for await (const line of python.lines) {
      t.is(line, 'tick')
      break
    }
    t.true(descendants().some(process => process.pid === pid))
  }
  await noneLeft(process => process.pid === pid)
})

test('what a test starts dies with the test, even where that is killed', async t => {
  const module = JSON.stringify(new URL('fixtures/processes.ts', import.meta.url).href)
  const program = `const { spawnMortal } = await import(${module}); console.log(spawnMortal('sleep', ['1000'], {}).pid); process.stdin.on('end', () => process.exit()).resume()`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'ignore'] })
  let output = ''
  parent.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const pid = Number(await until(() => /^\d+\n/.exec(output)?.[0], { what: 'the pid of the child' }))
  await until(() => descendants().some(process => process.pid === pid && process.command === 'sleep 1000'), { what: 'the child' })
  parent.kill('SIGKILL')
  await until(() => !isAlive(pid), { what: "the child's end" })
  t.pass()
})

test('a process that is left is named', async t => {
  const child = spawn('sleep', ['1001'])
  await t.throwsAsync(
    noneLeft(({ command }) => command === 'sleep 1001', { timeoutMs: 100 }),
    { message: `still running: ${child.pid} sleep 1001` },
  )
  child.kill('SIGKILL')
  await noneLeft(({ command }) => command === 'sleep 1001')
})

test('a wait in vain says for what, and why', async t => {
  const error = await t.throwsAsync(
    until(
      () => {
        throw new Error('not yet')
      },
      { what: 'better times', timeoutMs: 50 },
    ),
    { message: 'waited 0.05 s in vain for better times' },
  )
  t.like(error?.cause, { message: 'not yet' })
})

test('nobody gets a port that another has', async t => {
  const ports = await Promise.all(Array.from({ length: 20 }, freePort))
  t.is(new Set(ports).size, 20)
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
