// Live streams by URL, for everything that opens one: a real camera, sidecar, nats-server and gateway; ffmpeg and OpenCV as readers.
import anyTest, { type TestFn } from 'ava'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { placeOfFrame } from '../proto/frame-id.ts'
import { startCameras, type Cameras } from './fixtures/cameras.ts'
import { startGateway, type Gateway } from './fixtures/gateway.ts'
import { boxesOf, frameEvents } from './fixtures/mp4-boxes.ts'
import { startNats } from './fixtures/nats.ts'
import { startPython } from './fixtures/python.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { until, within } from './fixtures/wait.ts'

const run = promisify(execFile)

type World = { cameras: Cameras; gateway: Gateway; sidecar: Sidecar; url: string; stack: AsyncDisposableStack }
const test = anyTest as TestFn<World>

test.before(async t => {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const sidecar = stack.use(await startSidecar(nats, { name: 'demo', spec: { source: { url: 'testsrc:?size=320x180&rate=30' } } }))
  const cameras = stack.use(await startCameras(nats.url, [sidecar.camera]))
  const gateway = stack.use(await startGateway(nats.url))
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await sidecar.stateWith('packets', ({ connection }) => connection === 'streaming')
  t.context = { cameras, gateway, sidecar, url: `http://127.0.0.1:${gateway.httpPort}`, stack: stack.move() }
})
test.after.always(t => t.context.stack?.disposeAsync())

/** What comes of an endless answer, until it is enough. */
async function read(url: string, isEnough: (bytes: Buffer) => boolean): Promise<{ bytes: Buffer; type: string }> {
  const over = new AbortController()
  const answer = await fetch(url, { signal: AbortSignal.any([over.signal, AbortSignal.timeout(30_000)]) })
  let bytes = Buffer.alloc(0)
  for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
    bytes = Buffer.concat([bytes, chunk])
    if (isEnough(bytes)) break
  }
  over.abort()
  return { bytes, type: answer.headers.get('content-type') ?? '' }
}

test('live.mp4 begins with a head and a keyframe, names its codec, and tells of each frame its id and capture time', async t => {
  const { bytes, type } = await read(`${t.context.url}/cameras/demo/live.mp4`, got => frameEvents(boxesOf(got)).length > 40)
  t.regex(type, /^video\/mp4; codecs="avc1\.[0-9a-f]{6}"$/)
  const boxes = boxesOf(bytes)
  t.deepEqual(
    boxes.slice(0, 3).map(({ type: name }) => name),
    ['ftyp', 'moov', 'emsg'],
  )
  const events = frameEvents(boxes)
  t.is(placeOfFrame(events[0]?.id ?? '')?.index, 0)
  for (const [i, { id, captureTime, mediaTime }] of events.entries()) {
    t.not(placeOfFrame(id), undefined)
    t.true(Math.abs(captureTime - Date.now()) < 10_000)
    const [first = { captureTime, mediaTime }] = events
    t.true(Math.abs(captureTime - first.captureTime - (mediaTime - first.mediaTime) * 1000) < 100, `frame ${i} is at its time`)
  }
  t.true(Date.now() - (events.at(-1)?.captureTime ?? 0) < 1_500)
})

for (const name of ['live.mp4'] as const) {
  test(`ffmpeg reads ${name} without a complaint`, async t => {
    const { url, gateway } = t.context
    const args = ['-nostdin', '-hide_banner', '-v', 'warning', '-i', `${url}/cameras/demo/${name}`, '-frames:v', '60']
    const { stderr } = await run(ffmpegPath(process.env), [...args, '-f', 'null', '-'], { timeout: 30_000 })
    t.is(stderr, '')
    await until(async () => (await gateway.metric('chrysalis_unsent_bytes')) === 0, { what: 'nothing on its way' })
  })

  test(`OpenCV opens ${name} and has frames`, async t => {
    await using python = await startPython('first_frames.py', [`${t.context.url}/cameras/demo/${name}`, '30'])
    const lines: string[] = []
    for await (const line of python.lines) lines.push(line)
    await within(python.finished, { what: 'OpenCV' })
    t.log(lines[0], lines[1])
    t.regex(lines[1] ?? '', / 320 180$/)
    t.is(lines.length, 31)
  })
}
