// The page in a real browser, in front of a real gateway and camera.
import anyTest, { type TestFn } from 'ava'
import type { Browser, Page } from 'playwright-core'
import { mp4File } from '../common/media/mp4/file.ts'
import { mp4Fragment, mp4Head } from '../common/media/mp4/fragments.ts'
import { annotate, annotation } from './fixtures/annotations.ts'
import { startCameras, type Cameras, type FakeCamera } from './fixtures/cameras.ts'
import { grpcClient, startGateway, type Client, type Gateway } from './fixtures/gateway.ts'
import { testVideo } from './fixtures/media.ts'
import { boxesOf, frameEvents } from './fixtures/mp4-boxes.ts'
import { asPackets, asSamples } from './fixtures/mp4-samples.ts'
import { startNats } from './fixtures/nats.ts'
import {
  brightest,
  bufferedSeconds,
  drawn,
  frameNumber,
  isTooWide,
  openPage,
  shownTimes,
  startBrowser,
  type Opened,
} from './fixtures/page.ts'
import { packetsOf } from './fixtures/packets.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { until } from './fixtures/wait.ts'

type World = {
  browser: Browser
  cameras: Cameras
  gateway: Gateway
  client: Client
  sidecar: Sidecar
  url: string
  stack: AsyncDisposableStack
}
const test = (anyTest as TestFn<World>).serial
const DEAD: FakeCamera = { namespace: 'yard', name: 'dead', uid: 'uid-dead' }
const BUFFER = { duration: '120s', maxBytes: '16Mi', storage: 'Memory' }
/** Size of the test picture, and of its squares. */
const SIZE = { width: 320, height: 180 }
const RATE = 20

test.before(async t => {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const source = { url: `testsrc:?size=${SIZE.width}x${SIZE.height}&rate=${RATE}&gop=${RATE}` }
  const sidecar = stack.use(await startSidecar(nats, { name: 'demo', spec: { source, buffer: BUFFER } }))
  const cameras = stack.use(await startCameras(nats.url, [sidecar.camera, DEAD]))
  await cameras.put(sidecar.camera, { labels: { site: 'north' } })
  const report = () =>
    cameras.report(DEAD, { connection: 'waiting', reason: 'AuthFailed', message: 'the camera says 401', failingStreak: 3 })
  await report()
  const reporting = setInterval(() => void report().catch(() => {}), 5_000)
  stack.defer(() => clearInterval(reporting))
  const gateway = stack.use(await startGateway(nats.url))
  const client = stack.use(grpcClient(gateway.port))
  const { browser } = stack.use(await startBrowser())
  await until(() => gateway.ready(), { what: 'the gateway to be ready' })
  await sidecar.stateWith('packets', ({ connection }) => connection === 'streaming')
  t.context = { browser, cameras, gateway, client, sidecar, url: `http://127.0.0.1:${gateway.httpPort}/`, stack: stack.move() }
})
test.after.always(t => t.context.stack?.disposeAsync())

const open = ({ browser, url }: World, options: object = {}): Promise<Opened> => openPage(browser, url, options)
const demo = (page: Page) => page.getByRole('button', { name: /^demo: live$/ })
const playing = (page: Page, inside: string) => page.locator(`${inside} .screen.playing`).waitFor()
async function openDemo(page: Page): Promise<void> {
  await demo(page).click()
  await page.getByRole('dialog').waitFor()
  await playing(page, '#stage')
}
/** The capture time of what the large view shows. */
const shownTime = async (page: Page): Promise<number> => (await drawn(page)).time

test('every camera is a tile, live as it was sent, or with its reason and what to do', async t => {
  await using opened = await open(t.context)
  const { page, problems } = opened
  await demo(page).waitFor()
  await playing(page, '#tiles')
  await page.getByText(/^live · \d+\.\d s old$/).waitFor()
  await page.getByText(/^320×180 · 20 fps · /).waitFor()
  const dead = page.getByRole('button', { name: /^yard\/dead: AuthFailed: the camera says 401$/ })
  await dead.waitFor()
  t.regex((await dead.textContent()) ?? '', /Correct the keys username and password/)
  t.is(await page.locator('#summary').textContent(), '1 of 2 live · 1 need a person')
  t.false(await page.locator('#login').isVisible())
  t.false(await page.locator('#logout').isVisible())
  t.is(await t.context.gateway.metric('chrysalis_decoder_running'), 0)
  t.deepEqual(problems, [])
})

test('the first frame comes within a second of a click, and frames are fresh', async t => {
  await using opened = await open(t.context)
  const { page } = opened
  await demo(page).waitFor()
  const clickedMs = performance.now()
  await openDemo(page)
  const firstMs = performance.now() - clickedMs
  await page.locator('#show-boxes').uncheck()
  const base = await t.context.sidecar.packets()
  const [last] = base.slice(-1)
  if (last === undefined) throw new Error('no packets')
  const captured = (number: number) => last.timestamp + ((number - last.pts) * 1000) / RATE
  const ages: number[] = []
  for (let i = 0; i < 40; i++) {
    const { number, atMs } = await frameNumber(page, '#stage video:not(.past)', SIZE)
    ages.push(atMs - captured(number))
    await page.waitForTimeout(45)
  }
  ages.sort((a, b) => a - b)
  const p95 = ages[Math.floor(ages.length * 0.95)] ?? Infinity
  t.log(`first frame after ${firstMs.toFixed(0)} ms; age p50 ${ages[20]?.toFixed(0)} ms, p95 ${p95.toFixed(0)} ms`)
  t.true((ages[0] ?? 0) > -100, 'the time code is of the future')
  // What is promised is a second and 400 ms; this machine may have other things to do.
  t.true(firstMs < 4_000 && p95 < 2_000, `${firstMs} ms, ${p95} ms`)
})

test('a camera is opened and closed by keyboard, large and with its facts', async t => {
  await using opened = await open(t.context)
  const { page, problems } = opened
  await demo(page).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog', { name: 'demo' }).waitFor()
  await playing(page, '#stage')
  await page.locator('#facts').getByText('Clients', { exact: true }).waitFor()
  const facts = (await page.locator('#facts').textContent()) ?? ''
  for (const fact of [/Codech264/, /320×180 · 20 fps/, /Clients\d/, /Dropped\d+ frames/, /Decodednowhere/, /frame\.jpg/])
    t.regex(facts, fact)
  t.regex((await page.locator('#zone').textContent()) ?? '', /^Times in \S+/)
  await page.keyboard.press('b')
  t.false(await page.locator('#show-boxes').isChecked())
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  await playing(page, '#tiles')
  t.deepEqual(problems, [])
})

test('the past is dragged to, stepped through by frame, played, saved and left again', async t => {
  const { sidecar } = t.context
  await until(
    async () => {
      const [first, ...rest] = await sidecar.packets()
      return (rest.at(-1)?.timestamp ?? 0) - (first?.timestamp ?? 0) > 12_000
    },
    { what: 'twelve seconds in the buffer', timeoutMs: 60_000 },
  )
  await using opened = await open(t.context)
  const { page, problems } = opened
  await openDemo(page)
  await page.locator('#facts').getByText('Clients', { exact: true }).waitFor()
  const strip = await page.locator('#timeline').boundingBox()
  if (strip === null) throw new Error('no timeline')
  await page.mouse.move(strip.x + strip.width - 5, strip.y + 20)
  await page.mouse.down()
  await page.mouse.move(strip.x + strip.width * 0.8, strip.y + 20, { steps: 3 })
  await page.mouse.up()
  const isPast = async () => (await page.locator('#live').getAttribute('aria-pressed')) === 'false'
  await until(async () => (await isPast()) && Date.now() - (await shownTime(page)) > 3_000, { what: 'a frame of the past' })
  const settled = async () => {
    const before = await shownTime(page)
    await page.waitForTimeout(500)
    return (await shownTime(page)) === before
  }
  await until(settled, { what: 'the frame of where the drag ended' })
  const stepped = async (key: string) => {
    const before = await shownTime(page)
    await page.keyboard.press(key)
    return await until(async () => (await shownTime(page)) - before || false, { what: `another frame after ${key}` })
  }
  await page.locator('#moment').click()
  const steps: number[] = []
  for (const key of ['.', '.', ',']) steps.push(await stepped(key))
  const isNeighbour = (ms: number) => Math.abs(Math.abs(ms) - 1000 / RATE) <= 3
  t.true(steps.every(isNeighbour) && steps.map(Math.sign).join() === '1,1,-1', steps.join(' ms, '))

  const from = await shownTime(page)
  await page.getByRole('button', { name: 'Play' }).click()
  await page.locator('#stage .screen.replaying').waitFor()
  await until(async () => (await shownTime(page)) > from + 1_000, { what: 'the past to go on' })
  await page.getByRole('button', { name: 'Pause' }).click()
  const saved = async (button: string) => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: button }).click()])
    return download.suggestedFilename()
  }
  t.regex(await saved('Save JPEG'), /^demo-.*\.jpg$/)
  t.regex(await saved('Save clip'), /^demo-.*\.mp4$/)
  await page.getByRole('button', { name: 'Live', exact: true }).click()
  await playing(page, '#stage')
  await until(async () => Date.now() - (await shownTime(page)) < 3_000, { what: 'live frames' })
  t.is(await page.locator('#problem').textContent(), '')
  t.deepEqual(problems, [])
})

test('boxes are on the very frame that they are about, live and in the past, and the list leads there', async t => {
  const { client, sidecar } = t.context
  await using opened = await open(t.context)
  const { page, problems } = opened
  // A model that is 300 ms late, and sees every fifth frame: the box's id is the capture time of its frame.
  let going = true
  const model = (async () => {
    for (let done = 0; going;) {
      const packets = await sidecar.packets()
      for (const { timestamp, pts } of packets) {
        if (timestamp <= done || pts % 5 !== 0 || Date.now() - timestamp < 300) continue
        done = timestamp
        if (Date.now() - timestamp > 3_000) continue
        const box = { left: 10, top: 20, width: 100, height: 80 }
        const seen = {
          device_name: 'demo',
          type: 'person',
          confidence: 0.9,
          start_timestamp: timestamp,
          object_bouding_box: box,
          ml_model: 'yolo',
        }
        await annotate(client, annotation({ ...seen, ...SIZE }), `box-${timestamp}`)
      }
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  })()
  t.teardown(() => (going = false))
  await openDemo(page)
  await page.getByText(/behind so that boxes fit$/).waitFor()
  const exact = await until(
    async () => {
      const found = await drawn(page)
      return found.boxes !== '' && found
    },
    { what: 'a live frame with its box', everyMs: 5 },
  )
  t.is(exact.boxes, `box-${exact.time}`)

  const item = page.locator('#seen button').nth(3)
  await item.waitFor()
  t.regex((await item.textContent()) ?? '', /^person 90 %/)
  await item.click()
  const past = await until(
    async () => {
      const found = await drawn(page)
      const isStill = (await page.locator('#live').getAttribute('aria-pressed')) === 'false'
      return isStill && found.boxes !== '' && found
    },
    { what: 'a frame of the past with its box' },
  )
  t.is(past.boxes, `box-${past.time}`)
  await page.locator('#show-boxes').uncheck()
  await page.locator('.boxes[data-boxes=""]').waitFor()
  going = false
  await model
  t.deepEqual(problems, [])
})

test('what the browser cannot play comes as JPEGs of the size that is shown, and the page says so', async t => {
  await using opened = await open(t.context)
  const { page, problems } = opened
  await page.addInitScript('MediaSource.isTypeSupported = () => false')
  await page.reload()
  await page.getByText('h264 as JPEG').waitFor()
  await page.getByText(/^live · \d+\.\d s old$/).waitFor()
  t.true((await brightest(page.locator('#tiles canvas').first())) > 100)
  await demo(page).click()
  await page.getByText('as JPEG, since this browser cannot play h264').waitFor()
  const before = await until(async () => (await shownTime(page)) || false, { what: 'a frame' })
  await until(async () => (await shownTime(page)) > before + 500, { what: 'newer frames' })
  t.deepEqual(problems, [])
})

test('filters hide tiles: by name, state, label and namespace', async t => {
  await using opened = await open(t.context)
  const { page } = opened
  const [live, dead] = [page.getByRole('button', { name: /^demo/ }), page.getByRole('button', { name: /^yard\/dead/ })]
  await live.waitFor()
  const shown = async () => [await live.isVisible(), await dead.isVisible()]
  await page.getByLabel('Filter').fill('authfailed')
  t.deepEqual(await shown(), [false, true])
  await page.getByLabel('Filter').fill('site=north')
  t.deepEqual(await shown(), [true, false])
  await page.getByLabel('Filter').fill('')
  await page.getByLabel('Namespace').selectOption('yard')
  t.deepEqual(await shown(), [false, true])
  await page.getByLabel('State').selectOption('live')
  t.deepEqual(await shown(), [false, false])
  await page.getByText('No camera matches the filter.').waitFor()
})

test('a camera that dies shows its reason, and its last frame dimmed with its age, and comes back by itself', async t => {
  const { cameras, sidecar } = t.context
  await using opened = await open(t.context)
  const { page } = opened
  await demo(page).waitFor()
  await playing(page, '#tiles')
  const { pid } = sidecar
  process.kill(pid, 'SIGSTOP')
  try {
    const diedMs = performance.now()
    await cameras.report(sidecar.camera, { connection: 'waiting', reason: 'ConnectionRefused', failingStreak: 1 })
    const dead = page.getByRole('button', { name: /^demo: ConnectionRefused/ })
    await dead.waitFor()
    await dead.locator('.screen.stale:not(.playing)').waitFor()
    await page.getByText(/^ConnectionRefused · last frame \d.* ago$/).waitFor()
    t.true(performance.now() - diedMs < 5_000, `${performance.now() - diedMs} ms`)
    // The last frame is there, and not black.
    t.true((await brightest(dead.locator('canvas'))) > 100)
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await demo(page).waitFor()
  await playing(page, '#tiles')
})

for (const colorScheme of ['light', 'dark'] as const)
  test(`on a phone nothing is wider than the screen, ${colorScheme}`, async t => {
    await using opened = await open(t.context, { viewport: { width: 390, height: 800 }, colorScheme })
    const { page } = opened
    await openDemo(page)
    for (const selector of ['html', 'dialog']) t.false(await isTooWide(page.locator(selector)), selector)
  })

test('200 cameras: only tiles in view have a stream', async t => {
  const { cameras, gateway } = t.context
  const many = Array.from({ length: 200 }, (_, i): FakeCamera => ({ namespace: 'many', name: `cam-${i}`, uid: `uid-many-${i}` }))
  await Promise.all(many.map(camera => cameras.put(camera).then(() => cameras.report(camera))))
  await using opened = await open(t.context)
  const { page, sockets } = opened
  await page.getByRole('button', { name: /^many\/cam-199/ }).waitFor({ state: 'attached' })
  t.is(await page.locator('.tile').count(), 202)
  await until(() => sockets.size > 3, { what: 'streams' })
  t.true(sockets.size < 40, String(sockets.size))
  await Promise.all(many.map(camera => cameras.remove(camera)))
  await until(async () => (await gateway.metric('chrysalis_cameras')) <= 3, { what: 'the cameras to be gone' })
})

for (const [what, codec, bFrames] of [
  ['H.264 with B-frames', 'h264', 2],
  ['AV1', 'av1', 0],
] as const)
  test(`the browser shows a clip of ${what} at the times that its events say, plain and in fragments`, async t => {
    await using opened = await open(t.context)
    const video = await testVideo({ codec, bFrames, width: 320, height: 192, seconds: 1, gop: 10 })
    const { packets, codec: described } = asPackets(await packetsOf(video))
    const { track, samples } = asSamples(packets, described)
    const firstShow = samples[0]?.show ?? 0
    const fragments = [mp4Head(track, firstShow), mp4Fragment(1, samples, firstShow)]
    for (const bytes of [mp4File(track, samples), fragments].map(parts => Buffer.concat(parts))) {
      const shown = await shownTimes(opened.page, bytes)
      const said = frameEvents(boxesOf(bytes)).map(({ mediaTime }) => mediaTime)
      t.true(shown.length > 10, `${shown.length} frames`)
      for (const time of shown) t.true(Math.min(...said.map(each => Math.abs(each - time))) < 0.004, `${time}: ${said.join(' ')}`)
      t.true(Math.min(...shown) < 0.07)
    }
  })

test('a page that is left open does not grow', async t => {
  await using opened = await open(t.context)
  const { page } = opened
  await openDemo(page)
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('Performance.enable')
  const measured = async () => {
    await devtools.send('HeapProfiler.collectGarbage')
    const { metrics } = await devtools.send('Performance.getMetrics')
    return Object.fromEntries(metrics.map(({ name, value }) => [name, value])) as Record<string, number>
  }
  await page.waitForTimeout(4_000)
  const before = await measured()
  await page.waitForTimeout(12_000)
  const after = await measured()
  const seconds = await bufferedSeconds(page.locator('#stage video:not(.past)'))
  t.true(seconds < 12, `${seconds} s in the SourceBuffer`)
  t.true((after['Nodes'] ?? Infinity) < (before['Nodes'] ?? 0) + 60, `${before['Nodes']} → ${after['Nodes']} nodes`)
  t.true(
    (after['JSHeapUsedSize'] ?? Infinity) < (before['JSHeapUsedSize'] ?? 0) + 1.5e6,
    `${before['JSHeapUsedSize']} → ${after['JSHeapUsedSize']} bytes`,
  )
})
