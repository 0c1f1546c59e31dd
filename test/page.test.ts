// The page in a real browser, in front of a real gateway and camera.
import anyTest, { type TestFn } from 'ava'
import { chromium, type Browser, type Page } from 'playwright-core'
import { browserPath, BROWSER_MISSING } from '../deploy/setup/test-tools.mjs'
import { startCameras, type Cameras, type FakeCamera } from './fixtures/cameras.ts'
import { startGateway, type Gateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { until } from './fixtures/wait.ts'

type World = { browser: Browser; cameras: Cameras; gateway: Gateway; sidecar: Sidecar; url: string; stack: AsyncDisposableStack }
const test = (anyTest as TestFn<World>).serial
const DEAD: FakeCamera = { namespace: 'yard', name: 'dead', uid: 'uid-dead' }
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

test.before(async t => {
  await using stack = new AsyncDisposableStack()
  const executablePath = browserPath()
  if (executablePath === undefined) throw new Error(BROWSER_MISSING)
  const nats = stack.use(await startNats())
  const sidecar = stack.use(await startSidecar(nats, { name: 'demo', spec: { source: { url: 'testsrc:?size=320x180&rate=10' } } }))
  const cameras = stack.use(await startCameras(nats.url, [sidecar.camera, DEAD]))
  await cameras.report(DEAD, { connection: 'waiting', reason: 'AuthFailed', message: 'the camera says 401', failingStreak: 3 })
  const gateway = stack.use(await startGateway(nats.url))
  const browser = await chromium.launch({ executablePath, args: FLAGS })
  stack.defer(() => browser.close())
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await sidecar.stateWith('packets', ({ connection }) => connection === 'streaming')
  t.context = { browser, cameras, gateway, sidecar, url: `http://127.0.0.1:${gateway.httpPort}/`, stack: stack.move() }
})
test.after.always(t => t.context.stack?.disposeAsync())

/** A page in a window of this size; `problems` collects what the browser complains of. */
async function open(
  { browser, url }: World,
  viewport = { width: 1280, height: 800 },
): Promise<AsyncDisposable & { page: Page; problems: string[] }> {
  const context = await browser.newContext({ viewport })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const problems: string[] = []
  page.on('console', message => message.type() === 'error' && problems.push(message.text()))
  page.on('pageerror', error => problems.push(error.message))
  page.on(
    'request',
    request => !request.url().startsWith(url) && !request.url().startsWith('data:') && problems.push(`asked for ${request.url()}`),
  )
  await page.goto(url)
  return { page, problems, [Symbol.asyncDispose]: () => context.close() }
}

const pixels = (page: Page, selector: string) =>
  until(() => page.locator(selector).evaluate(image => (image as unknown as { naturalWidth: number }).naturalWidth > 0), {
    what: `a frame in ${selector}`,
  })

test('every camera is a tile, live or with its reason and what to do', async t => {
  await using opened = await open(t.context)
  const { page, problems } = opened
  const live = page.getByRole('button', { name: /^demo: live · \d+ fps · 320×180$/ })
  await live.waitFor()
  await pixels(page, '.tile img >> nth=0')
  const dead = page.getByRole('button', { name: /^yard\/dead: AuthFailed: the camera says 401$/ })
  await dead.waitFor()
  t.regex((await dead.textContent()) ?? '', /Correct the keys username and password/)
  t.is(await page.locator('#summary').textContent(), '1 of 2 live')
  t.false(await page.locator('#login').isVisible())
  t.deepEqual(problems, [])
})

test('a camera is opened and closed by keyboard, large and with its facts', async t => {
  await using opened = await open(t.context)
  const { page } = opened
  const tile = page.getByRole('button', { name: /^demo/ })
  await tile.waitFor()
  await tile.focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await pixels(page, '#frame')
  t.regex((await page.locator('#facts').textContent()) ?? '', /h264, 320×180.*frame\.jpg/)
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
})

test('the filter hides tiles, by name and by state', async t => {
  await using opened = await open(t.context)
  const { page } = opened
  await page.getByRole('button', { name: /^demo/ }).waitFor()
  await page.getByLabel('Filter').fill('authfailed')
  await page.getByRole('button', { name: /^demo/ }).waitFor({ state: 'hidden' })
  t.true(await page.getByRole('button', { name: /^yard\/dead/ }).isVisible())
})

test('a camera that dies shows its reason, is not shown as live, and comes back by itself', async t => {
  const { cameras } = t.context
  const camera: FakeCamera = { namespace: 'default', name: 'flaky', uid: 'uid-flaky' }
  await cameras.put(camera)
  await cameras.report(camera)
  await using opened = await open(t.context)
  const { page } = opened
  await page.getByRole('button', { name: /^flaky: live/ }).waitFor()
  await cameras.report(camera, { connection: 'waiting', reason: 'ConnectionRefused', failingStreak: 1 })
  const dead = page.getByRole('button', { name: /^flaky: ConnectionRefused/ })
  await dead.waitFor()
  t.true(await dead.locator('.screen').evaluate(screen => (screen as unknown as { className: string }).className.includes('stale')))
  await cameras.report(camera)
  await page.getByRole('button', { name: /^flaky: live/ }).waitFor()
})

test('on a phone nothing is wider than the screen', async t => {
  await using opened = await open(t.context, { width: 390, height: 800 })
  const { page } = opened
  await page.getByRole('button', { name: /^demo/ }).waitFor()
  const { scrollWidth, clientWidth } = await page.evaluate(() => {
    const { documentElement: root } = (
      globalThis as unknown as { document: { documentElement: { scrollWidth: number; clientWidth: number } } }
    ).document
    return { scrollWidth: root.scrollWidth, clientWidth: root.clientWidth }
  })
  t.true(scrollWidth <= clientWidth, `${scrollWidth} of ${clientWidth}`)
})

test('200 cameras: only tiles in view have a stream', async t => {
  const { cameras, gateway } = t.context
  const many = Array.from({ length: 200 }, (_, i): FakeCamera => ({ namespace: 'many', name: `cam-${i}`, uid: `uid-many-${i}` }))
  await Promise.all(many.map(camera => cameras.put(camera).then(() => cameras.report(camera))))
  await using opened = await open(t.context)
  const { page } = opened
  await page.getByRole('button', { name: /^many\/cam-199/ }).waitFor({ state: 'attached' })
  t.is(await page.locator('.tile').count(), 203)
  const streams = await page
    .locator('.tile img')
    .evaluateAll(images => (images as unknown as { src: string }[]).filter(({ src }) => src.includes('live.mjpeg')).length)
  t.true(streams > 0 && streams < 40, String(streams))
  await Promise.all(many.map(camera => cameras.remove(camera)))
  await until(async () => (await gateway.metric('chrysalis_cameras')) <= 3, { what: 'the cameras to be gone' })
})
