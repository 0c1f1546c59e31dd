// Twenty cameras start at once, as a user of local mode starts them.
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import { sleep } from '../common/abort.ts'
import { startLocal, type LocalMode } from '../test/fixtures/local.ts'
import { startCamera } from '../test/fixtures/rtsp-camera.ts'
import { temporaryFolder } from '../test/fixtures/tmp.ts'
import { until } from '../test/fixtures/wait.ts'
import { PICTURES, videoOf } from './chain.ts'
import type { Measured } from './scenario.ts'
import { median } from './statistics.ts'
import { figure } from './table.ts'

const CAMERAS = 20
const SAMPLE_MS = 250
const ALL_MS = 180_000

type Start = {
  /** From the start of `npm start` until so many cameras stream. */
  firstMs: number
  halfMs: number
  allMs: number
  /** Camera processes that run and do not stream yet. */
  connectingMax: number
  /** Of the whole machine: what runs or waits for a core. */
  runnable: { median: number; max: number }
}

export async function measureStart(): Promise<Measured> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder())
  const file = await videoOf(PICTURES['720p15'])
  const manifests: string[] = []
  for (let i = 1; i <= CAMERAS; i++) {
    const { url } = stack.use(await startCamera({ codec: 'h264', file }))
    manifests.push(
      stringify({ apiVersion: 'video.chrys.cloud/v1beta1', kind: 'Camera', metadata: { name: `bench-${i}` }, spec: { source: { url } } }),
    )
  }
  await writeFile(folder.file('cameras.yaml'), manifests.join('---\n'))
  const startedMs = performance.now()
  const local = stack.use(await startLocal('-f', folder.file('cameras.yaml')))
  const start = await follow(local, startedMs)
  const rows = [
    ['the first streams after', `${figure(start.firstMs / 1000, 1)} s`],
    ['half of them', `${figure(start.halfMs / 1000, 1)} s`],
    ['all', `${figure(start.allMs / 1000, 1)} s`],
    ['processes that do not stream yet, at most', figure(start.connectingMax)],
    ['programs that run or wait for a core, median / at most', `${figure(start.runnable.median)} / ${figure(start.runnable.max)}`],
  ]
  return { tables: [{ title: `${CAMERAS} cameras at 720p15 start at once, in local mode`, rows }], targets: [], figures: start }
}

async function follow(local: LocalMode, startedMs: number): Promise<Start> {
  const streamingSinceMs: number[] = []
  const runnable: number[] = []
  let connectingMax = 0
  const over = new AbortController()
  const watch = async () => {
    while (!over.signal.aborted) {
      const streaming = new Set(local.text().match(/^bench-\d+: running/gm)).size
      while (streamingSinceMs.length < streaming) streamingSinceMs.push(performance.now() - startedMs)
      const processes = local.processes().filter(({ command }) => command.includes('sidecar/main.ts')).length
      connectingMax = Math.max(connectingMax, processes - streaming)
      runnable.push(Number(/^procs_running (\d+)/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]))
      await sleep(SAMPLE_MS, over.signal)
    }
  }
  const watching = watch()
  try {
    await until(() => streamingSinceMs.length === CAMERAS, { what: `${CAMERAS} streaming cameras`, timeoutMs: ALL_MS })
  } finally {
    over.abort()
    await watching
  }
  const since = (index: number) => streamingSinceMs[index] ?? NaN
  return {
    ...{ firstMs: since(0), halfMs: since(CAMERAS / 2 - 1), allMs: since(CAMERAS - 1), connectingMax },
    runnable: { median: median(runnable), max: Math.max(...runnable) },
  }
}
