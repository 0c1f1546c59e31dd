// The page in a browser: nine tiles at once, and cameras that a browser cannot play.
import { setTimeout as delay } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { BENCHMARK_VIDEO, testVideo } from '../test/fixtures/media.ts'
import { openPage, startBrowser } from '../test/fixtures/page.ts'
import { until } from '../test/fixtures/wait.ts'
import { PICTURES } from './chain.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { startStage, type Stage } from './stage.ts'
import { percentile } from './statistics.ts'
import { figure } from './table.ts'
import { measureUsage } from './usage.ts'

const TILES = 9
const PICTURE = PICTURES['720p15']
const WARM_UP_MS = 8_000

type Tile = { fps: number; gapsMs: number[] }

export async function measurePage(options: Options): Promise<Measured> {
  await using started = await startBrowser()
  const { browser } = started
  const tiles = await measureTiles(browser, options)
  const stills = [await measureStills(browser, 'h265', options), await measureStills(browser, 'mjpeg', options)]
  const fps = Math.min(...tiles.tiles.map(tile => tile.fps))
  const gapMs = percentile(
    tiles.tiles.flatMap(({ gapsMs }) => gapsMs),
    0.99,
  )
  return {
    tables: [
      {
        title: `${TILES} tiles of ${PICTURE.name} in Chromium, which decodes without a GPU`,
        rows: [
          ['frames/s, least of a tile', 'between frames, p99 ms', 'CPU % of the gateway', 'noise %, the browser included'],
          [figure(fps, 1), figure(gapMs), figure(tiles.cpu, 1), figure(tiles.noise)],
        ],
      },
      {
        title: 'A camera that the browser cannot play, as JPEGs in a tile',
        rows: [
          ['codec', 'JPEGs/s', 'age p95 ms', 'CPU % of gateway and ffmpeg'],
          ...stills.map(({ codec, perSecond, ageMs, cpu }) => [codec, figure(perSecond, 1), figure(ageMs), figure(cpu, 1)]),
        ],
      },
    ],
    targets: [
      { what: `${TILES} tiles: ≥ 0.95 of the frames are shown`, measured: figure(fps / PICTURE.fps, 2), met: fps >= 0.95 * PICTURE.fps },
    ],
    figures: { tiles, stills },
  }
}

async function measureTiles(browser: Browser, { env, seconds }: Options) {
  await using stage = await startStage({ picture: PICTURE, env })
  for (let i = 0; i < TILES; i++) await stage.addCamera()
  await using opened = await openPage(browser, urlOf(stage), { viewport: { width: 1600, height: 1200 } })
  const { page } = opened
  const playing = page.locator('#tiles .screen.playing')
  await until(async () => (await playing.count()) === TILES, { what: `${TILES} tiles that play`, timeoutMs: 90_000 })
  await delay(WARM_UP_MS)
  const [tiles, usage] = await Promise.all([shownIn(page, seconds), measureUsage(stage.cast, seconds)])
  return { tiles, cpu: usage.roles.gateway?.cpu ?? NaN, noise: usage.noise }
}

/** What each video of the page shows in so many seconds. */
const shownIn = (page: Page, seconds: number): Promise<Tile[]> =>
  page.evaluate(`Promise.all([...document.querySelectorAll('#tiles video')].map(video => new Promise(resolve => {
    const [gapsMs, startMs] = [[], performance.now()]
    let lastMs = startMs
    const shown = nowMs => {
      gapsMs.push(nowMs - lastMs)
      lastMs = nowMs
      if (nowMs - startMs < ${seconds * 1000}) video.requestVideoFrameCallback(shown)
      else resolve({ fps: (1000 * gapsMs.length) / (nowMs - startMs), gapsMs: gapsMs.slice(1) })
    }
    video.requestVideoFrameCallback(shown)
  })))`)

async function measureStills(browser: Browser, codec: 'h265' | 'mjpeg', { env, seconds }: Options) {
  await using stage = await startStage({ picture: PICTURE, env })
  await stage.addCamera(await testVideo({ ...BENCHMARK_VIDEO, ...PICTURE, codec, gop: 2 * PICTURE.fps }), codec)
  await using opened = await openPage(browser, urlOf(stage))
  const { page } = opened
  await page.getByText(/ as JPEG$/).waitFor({ timeout: 60_000 })
  await delay(WARM_UP_MS)
  const agesMs: number[] = []
  page.on('response', answer => {
    const { 'x-capture-time': captured } = answer.headers()
    if (captured !== undefined && answer.status() === 200) agesMs.push(Date.now() - Date.parse(captured))
  })
  const { roles } = await measureUsage(stage.cast, seconds)
  const cpu = (roles.gateway?.cpu ?? NaN) + (roles['gateway ffmpeg']?.cpu ?? 0)
  return { codec, perSecond: agesMs.length / seconds, ageMs: percentile(agesMs, 0.95), cpu }
}

const urlOf = ({ gateway }: Stage): string => `http://127.0.0.1:${gateway.httpPort}/`
