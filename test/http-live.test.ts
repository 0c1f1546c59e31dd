// Live streams by URL, for everything that opens one: a real camera, sidecar, nats-server and gateway; ffmpeg and OpenCV as readers.
import anyTest, { type TestFn } from 'ava'
import { execFile } from 'node:child_process'
import { request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { placeOfFrame } from '../proto/frame-id.ts'
import { startCameras, type Cameras, type FakeCamera } from './fixtures/cameras.ts'
import { startGateway, type Gateway } from './fixtures/gateway.ts'
import { boxesOf, frameEvents } from './fixtures/mp4-boxes.ts'
import { startNats } from './fixtures/nats.ts'
import { startPython } from './fixtures/python.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { until, within } from './fixtures/wait.ts'

const run = promisify(execFile)

type World = { cameras: Cameras; gateway: Gateway; sidecar: Sidecar; url: string; stack: AsyncDisposableStack }
const test = anyTest as TestFn<World>

const DEAD: FakeCamera = { namespace: 'yard', name: 'dead', uid: 'uid-dead' }
const JPEGS: FakeCamera = { namespace: 'yard', name: 'jpegs', uid: 'uid-jpegs' }
const MJPEG = { name: 'mjpeg', longName: 'JPEG', width: 320, height: 180, pixFmt: 'yuvj420p', extradata: '', reorder: 0 }

test.before(async t => {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const sidecar = stack.use(await startSidecar(nats, { name: 'demo', spec: { source: { url: 'testsrc:?size=320x180&rate=30' } } }))
  const cameras = stack.use(await startCameras(nats.url, [sidecar.camera, DEAD, JPEGS]))
  await cameras.report(DEAD, { connection: 'waiting', reason: 'AuthFailed', message: 'the camera says 401', failingStreak: 3 })
  await cameras.report(JPEGS, { codec: { ...MJPEG, timeBase: [1, 90_000] } })
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

test('a page reads live.mp4 from a WebSocket: its type first, then pieces of whole boxes', async t => {
  const { gateway } = t.context
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.httpPort}/cameras/demo/live.mp4`)
  socket.binaryType = 'arraybuffer'
  const messages: (string | Buffer)[] = []
  socket.addEventListener('message', ({ data }: { data: unknown }) =>
    messages.push(typeof data === 'string' ? data : Buffer.from(data as ArrayBuffer)),
  )
  await until(() => messages.length > 20, { what: 'messages' })
  t.regex((JSON.parse(String(messages[0])) as { type: string }).type, /^video\/mp4; codecs="avc1\.[0-9a-f]{6}"$/)
  for (const piece of messages.slice(1)) {
    const size = boxesOf(Buffer.from(piece)).reduce((sum, { body }) => sum + 8 + body.length, 0)
    t.is(size, piece.length)
  }
  t.true(frameEvents(boxesOf(Buffer.concat(messages.slice(1).map(piece => Buffer.from(piece))))).length >= 18)
  socket.close()
  await until(async () => (await gateway.metric('chrysalis_unsent_bytes')) === 0, { what: 'nothing on its way' })
})

/** What a handshake is answered with. */
function handshake(port: number, path: string, headers: Record<string, string> = {}): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>()
  const asked = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  const request = httpRequest({ port, path, host: '127.0.0.1', headers: { ...asked, ...headers } })
  request.on('upgrade', (_answer, socket) => {
    socket.destroy()
    resolve({ status: 101, body: '' })
  })
  request.on('response', answer => void text(answer).then(body => resolve({ status: answer.statusCode ?? 0, body }), reject))
  request.on('error', reject).end()
  return promise
}

test('a WebSocket is refused to the page of another site, elsewhere, and for a camera that is not there', async t => {
  const { httpPort } = t.context.gateway
  const live = '/cameras/demo/live.mp4'
  t.is((await handshake(httpPort, live)).status, 101)
  t.is((await handshake(httpPort, live, { origin: `http://127.0.0.1:${httpPort}` })).status, 101)
  t.is((await handshake(httpPort, live, { origin: 'http://evil.example' })).status, 403)
  t.is((await handshake(httpPort, live, { origin: 'null' })).status, 403)
  t.is((await handshake(httpPort, live, { 'sec-websocket-version': '1' })).status, 400)
  t.is((await handshake(httpPort, '/cameras/demo/frame.jpg')).status, 400)
  t.is((await handshake(httpPort, '/cameras/nowhere/live.mp4')).status, 404)
  t.is((await handshake(httpPort, '/cameras/demo/live.mp4?x=1')).status, 400)
  t.is((await fetch(`${t.context.url}/cameras`)).status, 200)
})

test('a camera without packets is answered with the reason, on a WebSocket too', async t => {
  const { url, gateway } = t.context
  const answer = await fetch(`${url}/cameras/yard/dead/live.mp4`)
  t.is(answer.status, 503)
  t.is(((await answer.json()) as { reason: string }).reason, 'AuthFailed')
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.httpPort}/cameras/yard/dead/live.mp4`)
  const { promise, resolve } = Promise.withResolvers<string>()
  socket.addEventListener('message', ({ data }: { data: unknown }) => resolve(String(data)))
  const problem = JSON.parse(await within(promise, { what: 'the reason' })) as { reason: string; advice: string }
  t.is(problem.reason, 'AuthFailed')
  t.regex(problem.advice, /username and password/)
})

test('a camera whose codec MP4 is not written of is answered with 409 and what to use', async t => {
  const answer = await fetch(`${t.context.url}/cameras/yard/jpegs/live.mp4`)
  t.is(answer.status, 409)
  t.regex(((await answer.json()) as { message: string }).message, /sends mjpeg.* use live\.mjpeg/)
})

for (const name of ['live.mp4', 'live.ts'] as const) {
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
