// A tab that is left open for a day, in minutes: a day of a stream as fast as the browser takes it, and an hour of polls by a clock that is put forward.
import type { Browser, CDPSession, Page, WebSocketRoute } from 'playwright-core'
import { TIMESCALE } from '../common/media/media-timeline.ts'
import { mp4Fragment, mp4Head } from '../common/media/mp4/fragments.ts'
import { mp4Type } from '../common/media/mp4/track.ts'
import { testVideo } from '../test/fixtures/media.ts'
import { asPackets, asSamples } from '../test/fixtures/mp4-samples.ts'
import { packetsOf } from '../test/fixtures/packets.ts'
import { bufferedSeconds, openPage, startBrowser } from '../test/fixtures/page.ts'
import { until } from '../test/fixtures/wait.ts'
import { PICTURES } from './chain.ts'
import { startStage } from './stage.ts'
import { figure } from './table.ts'
import type { Measured } from './scenario.ts'

const HOURS = 24
const VIDEO = { width: 320, height: 180, fps: 5, seconds: 20, gop: 100, bitrate: 40_000 }
/** What the page may have been sent and not taken, in seconds of the stream. */
const AHEAD_S = 120
const POLL_MS = 2_000
const POLLS = 1_800
const HEAP_GROWTH_MAX = 3e6
const NODES_GROWTH_MAX = 100
const BUFFERED_MAX_S = 30

type Size = { heap: number; nodes: number; listeners: number }

export async function measureDay(): Promise<Measured> {
  await using started = await startBrowser()
  const { browser } = started
  await using stage = await startStage({ picture: PICTURES['720p15'], env: {} })
  await stage.addCamera()
  const url = `http://127.0.0.1:${stage.gateway.httpPort}/`
  const stream = await dayOfStream(browser, url)
  const polls = await hourOfPolls(browser, url)
  const row = (what: string, [before, after]: readonly [Size, Size]) => [
    ...[what, `${figure(before.heap / 1e6, 1)} → ${figure(after.heap / 1e6, 1)} MB`],
    ...[`${before.nodes} → ${after.nodes}`, `${before.listeners} → ${after.listeners}`],
  ]
  const isSteady = ([before, after]: readonly [Size, Size]) =>
    after.heap - before.heap < HEAP_GROWTH_MAX && after.nodes - before.nodes < NODES_GROWTH_MAX
  return {
    tables: [
      {
        title: 'A tab that is left open',
        rows: [
          ['', 'heap of scripts', 'DOM nodes', 'listeners'],
          row(`${HOURS} h of a stream, seen large; ${figure(stream.bufferedS, 1)} s in the SourceBuffer`, stream.sizes),
          row(`${POLLS} polls of the list, the state and the past, streams begun again`, polls),
        ],
      },
    ],
    targets: [
      {
        what: `a tab does not grow in ${HOURS} h of a stream`,
        measured: '',
        met: isSteady(stream.sizes) && stream.bufferedS < BUFFERED_MAX_S,
      },
      { what: `a tab does not grow in ${POLLS} polls`, measured: '', met: isSteady(polls) },
    ].map(target => ({ ...target, measured: target.met ? 'steady' : 'grows' })),
    figures: { stream, polls },
  }
}

async function dayOfStream(browser: Browser, url: string) {
  await using opened = await openPage(browser, url)
  const { page } = opened
  const routes: WebSocketRoute[] = []
  await page.routeWebSocket(/live\.mp4$/, route => void routes.push(route))
  await page.reload()
  await page.locator('.tile').first().click()
  await until(() => routes.length >= 2, { what: 'the stream of the large view', timeoutMs: 60_000 })
  const { head, type, gopAt, gopS } = await loopedStream()
  const route = routes.at(-1)
  route?.send(JSON.stringify({ type }))
  route?.send(head)
  const video = page.locator('#stage video:not(.past)')
  const devtools = await session(page)
  let before: Size | undefined
  const gops = (HOURS * 3_600) / gopS
  for (let i = 0; i < gops; i++) {
    route?.send(gopAt(i))
    if (i % 6 !== 5) continue
    await until(async () => (i + 1) * gopS - (await endOf(page)) < AHEAD_S, {
      what: 'the page to take the stream',
      timeoutMs: 30_000,
      everyMs: 5,
    })
    if (i > gops / 50) before ??= await sizeOf(devtools)
  }
  const after = await sizeOf(devtools)
  return { sizes: [before ?? after, after] as const, bufferedS: await bufferedSeconds(video) }
}

const endOf = (page: Page): Promise<number> =>
  page.evaluate(
    `(({ buffered }) => (buffered.length === 0 ? 0 : buffered.end(buffered.length - 1)))(document.querySelector('#stage video:not(.past)'))`,
  )

/** GOPs of a video that goes on and on, each a fragment. */
async function loopedStream() {
  const { packets, codec } = asPackets(await packetsOf(await testVideo(VIDEO)))
  const { track, samples } = asSamples(packets.slice(0, VIDEO.gop), codec)
  const gopS = VIDEO.gop / VIDEO.fps
  const startMs = Date.now()
  const gopAt = (i: number): Buffer => {
    const ticks = i * gopS * TIMESCALE
    const later = samples.map(({ packet, ...sample }) => ({
      ...{ ...sample, show: sample.show + ticks, decode: sample.decode + ticks },
      packet: { ...packet, epoch: startMs, keyframe: i + 1, timestamp: startMs + i * gopS * 1000 + (packet.index * 1000) / VIDEO.fps },
    }))
    return mp4Fragment(i + 1, later)
  }
  return { head: mp4Head(track), type: mp4Type(track), gopAt, gopS }
}

async function hourOfPolls(browser: Browser, url: string): Promise<readonly [Size, Size]> {
  await using opened = await openPage(browser, url)
  const { page } = opened
  await page.clock.install()
  await page.reload()
  const open = page.locator('.tile').first()
  await until(
    async () => {
      await page.clock.runFor(500)
      return (await open.count()) > 0
    },
    { what: 'the tile', timeoutMs: 60_000 },
  )
  await open.click()
  const devtools = await session(page)
  let before: Size | undefined
  for (let i = 0; i < POLLS; i++) {
    const answered = page.waitForResponse(answer => answer.url().endsWith('/cameras'))
    await page.clock.runFor(POLL_MS)
    await answered
    if (i > POLLS / 10) before ??= await sizeOf(devtools)
  }
  const after = await sizeOf(devtools)
  return [before ?? after, after]
}

async function session(page: Page): Promise<CDPSession> {
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('Performance.enable')
  return devtools
}

async function sizeOf(devtools: CDPSession): Promise<Size> {
  await devtools.send('HeapProfiler.collectGarbage')
  const { metrics } = await devtools.send('Performance.getMetrics')
  const {
    JSHeapUsedSize: heap = NaN,
    Nodes: nodes = NaN,
    JSEventListeners: listeners = NaN,
  } = Object.fromEntries(metrics.map(({ name, value }) => [name, value])) as Record<string, number>
  return { heap, nodes, listeners }
}
