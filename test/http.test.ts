// Frames by URL, as curl and browsers ask for them: a real camera, sidecar, nats-server and gateway.
import anyTest, { type TestFn } from 'ava'
import { spawnSync } from 'node:child_process'
import { request as httpRequest } from 'node:http'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { placeOfFrame } from '../proto/frame-id.ts'
import { startCameras, type Cameras, type FakeCamera } from './fixtures/cameras.ts'
import { startGateway, type Gateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { until } from './fixtures/wait.ts'

type World = { cameras: Cameras; gateway: Gateway; sidecar: Sidecar; url: string; stack: AsyncDisposableStack }
const test = anyTest as TestFn<World>
const DEAD: FakeCamera = { namespace: 'yard', name: 'dead', uid: 'uid-dead' }

test.before(async t => {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const sidecar = stack.use(await startSidecar(nats, { name: 'demo', spec: { source: { url: 'testsrc:?size=320x180&rate=10' } } }))
  const cameras = stack.use(await startCameras(nats.url, [sidecar.camera, DEAD]))
  await cameras.report(DEAD, { connection: 'waiting', reason: 'AuthFailed', message: 'the camera says 401', failingStreak: 3 })
  await cameras.put(sidecar.camera, { labels: { site: 'north' } })
  const gateway = stack.use(await startGateway(nats.url))
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await sidecar.stateWith('packets', ({ connection }) => connection === 'streaming')
  const url = `http://127.0.0.1:${gateway.httpPort}`
  await until(async () => (await (await fetch(`${url}/cameras`)).text()).includes('AuthFailed'), { what: 'the gateway to know why' })
  t.context = { cameras, gateway, sidecar, url, stack: stack.move() }
})
test.after.always(t => t.context.stack?.disposeAsync())

/** The size of a JPEG, as ffmpeg decodes it. */
function sizeOf(jpeg: Uint8Array): string {
  const { stderr } = spawnSync(ffmpegPath(process.env), ['-hide_banner', '-i', 'pipe:0', '-f', 'null', '-'], {
    input: jpeg,
    encoding: 'utf8',
  })
  return /Video: mjpeg.* (\d+x\d+)/.exec(stderr)?.[1] ?? stderr
}

test('a frame by URL is a JPEG of the size that is asked for, with its id and capture time', async t => {
  const { url } = t.context
  const full = await fetch(`${url}/cameras/demo/frame.jpg`)
  t.is(full.status, 200)
  t.is(full.headers.get('content-type'), 'image/jpeg')
  t.is(full.headers.get('cache-control'), 'no-store')
  const id = full.headers.get('x-frame-id') ?? ''
  t.not(placeOfFrame(id), undefined)
  t.is(full.headers.get('etag'), `"${id}"`)
  t.true(Math.abs(Date.parse(full.headers.get('x-capture-time') ?? '') - Date.now()) < 5_000)
  t.is(sizeOf(new Uint8Array(await full.arrayBuffer())), '320x180')

  const small = await fetch(`${url}/cameras/default/demo/frame.jpg?width=160&height=160&fit=letterbox&quality=50`)
  t.is(sizeOf(new Uint8Array(await small.arrayBuffer())), '160x160')
})

test('a client that has the newest frame already is answered with 304', async t => {
  const { url } = t.context
  const one = await until(
    async () => {
      const first = await fetch(`${url}/cameras/demo/frame.jpg`)
      await first.arrayBuffer()
      const again = await fetch(`${url}/cameras/demo/frame.jpg`, { headers: { 'if-none-match': first.headers.get('etag') ?? '' } })
      await again.arrayBuffer()
      return again.status === 304 && again
    },
    { what: 'two requests within one frame', timeoutMs: 60_000 },
  )
  t.is(one.headers.get('content-length'), null)
})

test('a camera without frames is answered with 503, the reason and what to do', async t => {
  const { url } = t.context
  const answer = await fetch(`${url}/cameras/yard/dead/frame.jpg`)
  t.is(answer.status, 503)
  const problem = (await answer.json()) as Record<string, string>
  t.is(problem['reason'], 'AuthFailed')
  t.is(problem['message'], 'the camera says 401')
  t.regex(problem['advice'] ?? '', /username and password/)
  const text = await fetch(`${url}/cameras/yard/dead/frame.jpg`, { headers: { accept: 'text/plain' } })
  t.regex(await text.text(), /^AuthFailed: the camera says 401\n.*username and password/)
  const live = await fetch(`${url}/cameras/yard/dead/live.mjpeg`)
  t.is(live.status, 503)
})

test('the list of cameras says how each is', async t => {
  const { url } = t.context
  const list = (await (await fetch(`${url}/cameras`)).json()) as Record<string, unknown>[]
  t.deepEqual(
    list.map(({ name }) => name),
    ['demo', 'yard/dead'],
  )
  t.like(list[0], { status: 'running', health: 'healthy', codec: 'h264', width: 320, height: 180 })
  t.deepEqual(list[0]?.['labels'], { site: 'north' })
  t.is(list[0]?.['archive'], false)
  const buffer = list[0]?.['buffer'] as { from: number; to: number; bytes: number }
  t.true(buffer.from <= buffer.to && buffer.bytes > 0 && Math.abs(buffer.to - Date.now()) < 20_000)
  t.is(list[1]?.['buffer'], undefined)
  t.like(list[1], { health: 'unhealthy', severity: 'needs-a-person', reason: 'AuthFailed' })
})

test('a live stream is read by ffmpeg as a reader of URLs would, and ends with its client', async t => {
  const { url, gateway } = t.context
  const args = ['-hide_banner', '-f', 'mpjpeg', '-i', `${url}/cameras/demo/live.mjpeg?width=160&fps=5`, '-frames:v', '8', '-f', 'null', '-']
  const { status, stderr } = spawnSync(ffmpegPath(process.env), args, { encoding: 'utf8', timeout: 20_000 })
  t.is(status, 0, stderr)
  t.regex(stderr, /Video: mjpeg.* 160x90/)
  await until(async () => (await gateway.metric('chrysalis_unsent_bytes')) === 0, { what: 'nothing on its way' })
})

test('the past is told as stretches, in the part that is asked for', async t => {
  const { url } = t.context
  const past = async (query = '') => (await (await fetch(`${url}/cameras/demo/past${query}`)).json()) as Past
  type Past = { from: number; to: number; stretches: { from: number; to: number; source: string }[]; gaps: unknown[]; archive: string }
  const all = await until(async () => ((await past()).stretches.length === 1 ? await past() : false), { what: 'packets in the buffer' })
  const [stretch = { from: 0, to: 0, source: '' }] = all.stretches
  t.like(all, { from: stretch.from, archive: 'none', gaps: [] })
  t.is(stretch.source, 'buffer')
  t.true(Math.abs(stretch.to - Date.now()) < 10_000)
  const from = new Date(stretch.from + 100).toISOString()
  t.like((await past(`?from=${from}&to=${stretch.from + 300}`)).stretches[0], { from: stretch.from + 100, to: stretch.from + 300 })
  t.deepEqual((await past('?from=0&to=1000')).stretches, [])
})

for (const [path, status, message] of [
  ['/cameras/nowhere/frame.jpg', 404, 'camera "nowhere" not found'],
  ['/cameras/%2e%2e%2fx/frame.jpg', 400, 'device_id must be a camera name or namespace/name'],
  ['/cameras/../../etc/passwd', 404, 'nothing is served here; see docs/http.md'],
  ['/page.ts', 404, 'nothing is served here; see docs/http.md'],
  ['/page/tsconfig.json', 404, 'nothing is served here; see docs/http.md'],
  ['/page/..%2fserver.ts', 404, 'nothing is served here; see docs/http.md'],
  ['/page/nothing.ts', 404, 'nothing is served here; see docs/http.md'],
  ['/__proto__', 404, 'nothing is served here; see docs/http.md'],
  ['/cameras/demo/frame.jpg?width=0x10', 400, 'width must be a number from 0 to 8192'],
  ['/cameras/demo/frame.jpg?width=99999', 400, 'width must be a number from 0 to 8192'],
  ['/cameras/demo/frame.jpg?width=1.5', 400, 'rendition.width must be a whole number from 0 to 8192'],
  ['/cameras/demo/frame.jpg?fit=cover', 400, 'fit must be one of stretch, letterbox, crop'],
  ['/cameras/demo/frame.jpg?quality=101', 400, 'quality must be a number from 0 to 100'],
  ['/cameras/demo/frame.jpg?width=1&width=2', 400, 'width is given twice'],
  ['/cameras/demo/frame.jpg?fps=1', 400, 'fps is no parameter of frame.jpg; there are width, height, fit, quality, at, max-age, stream'],
  ['/cameras/demo/frame.jpg?at=1e3', 400, 'at must be a time such as 2026-01-31T12:00:00Z, or in ms since 1970'],
  ['/cameras/demo/frame.jpg?at=-1', 400, 'at must be a time such as 2026-01-31T12:00:00Z, or in ms since 1970'],
  [
    '/cameras/demo/frame.jpg?at=2001-01-01T00:00:00Z',
    404,
    'camera "demo" has no frame of the 10 s up to 2001-01-01T00:00:00.000Z, and none before',
  ],
  ['/cameras/demo/clip.mp4?from=1', 400, 'to is required'],
  ['/cameras/demo/clip.mp4?to=1', 400, 'from is required'],
  ['/cameras/demo/clip.mp4?from=2&to=1', 400, 'from must be before to'],
  ['/cameras/demo/clip.mp4?from=1&to=2', 404, 'camera "demo" has no frames in this time; its past says what there is'],
  ['/cameras/demo/live.mp4?fps=1', 400, 'fps is no parameter of live.mp4; there is only stream'],
  ['/cameras/demo/past?from=yesterday', 400, 'from must be a time such as 2026-01-31T12:00:00Z, or in ms since 1970'],
  ['/cameras/demo/past?to=2026-01-31', 400, 'to must be a time such as 2026-01-31T12:00:00Z, or in ms since 1970'],
  ['/cameras/demo/past?from=5&to=4', 400, 'from must be before to'],
  ['/cameras/demo/live.mjpeg?max-age=1', 400, 'max-age is no parameter of live.mjpeg; there are width, height, fit, quality, fps, stream'],
] as const)
  test(`${path} is answered with ${status}`, async t => {
    const answer = await raw(t.context.gateway.httpPort, path)
    t.is(answer.status, status, answer.body)
    t.is((JSON.parse(answer.body) as { message: string }).message, message)
  })

/** As it stands: fetch would tidy the path. */
function raw(port: number, path: string, method = 'GET'): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, path, method, host: '127.0.0.1' }, response => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    request.on('error', reject).end()
  })
}

test('other methods are refused', async t => {
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) t.is((await raw(t.context.gateway.httpPort, '/cameras', method)).status, 405)
  t.is((await raw(t.context.gateway.httpPort, '/login')).status, 405)
})

test('the page is served without anything from elsewhere, under a strict policy', async t => {
  const { url } = t.context
  const page = await fetch(url)
  t.regex(page.headers.get('content-security-policy') ?? '', /^default-src 'none'; script-src 'self';/)
  const html = await page.text()
  t.notRegex(html, /https?:\/\/|<script>|style=| on\w+=/)
  const script = await fetch(`${url}/page/main.ts`)
  t.regex(script.headers.get('content-type') ?? '', /^text\/javascript/)
  t.notRegex(await script.text(), /: Camera\b/)
  t.is((await fetch(`${url}/page/page.css`)).status, 200)
})

test.serial('one address has at most 64 requests at once, and others are served', async t => {
  const { url } = t.context
  const over = new AbortController()
  const streams = Array.from({ length: 64 }, () => fetch(`${url}/cameras/demo/live.mjpeg?width=64&fps=1`, { signal: over.signal }))
  await Promise.all(streams)
  const refused = await fetch(`${url}/cameras`)
  t.is(refused.status, 429)
  t.regex(((await refused.json()) as { message: string }).message, /too many requests from one address, at most 64/)
  over.abort()
  await until(async () => (await fetch(`${url}/cameras`)).status === 200, { what: 'room for requests' })
})
