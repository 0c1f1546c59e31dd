// What people who look at a camera's own stream cost the gateway, the first one and each further one; and how soon a frame of the past comes.
import { setTimeout as delay } from 'node:timers/promises'
import { PICTURES } from './chain.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { startStage, type Stage } from './stage.ts'
import { percentile } from './statistics.ts'
import { figure } from './table.ts'
import { measureUsage } from './usage.ts'

const FORMATS = ['live.mp4', 'live.ts'] as const
const COUNTS = [1, 5]
const FIRST_CPU_MAX = 2
const PAST_MS_MAX = 500
const PAST_REQUESTS = 40
/** Of the buffer, what is asked for. */
const PAST_SPAN_MS = 20_000
/** Until programs have compiled what they run often: what runs thirty times a second takes its time. */
const WARM_UP_MS = 40_000

type Row = { format: string; viewers: number; cpu: number; firstMs: number; noise: number }

export async function measureViewers({ seconds, env }: Options): Promise<Measured> {
  await using stage = await startStage({ picture: PICTURES['1080p30'], env })
  const { device } = await stage.addCamera()
  await delay(WARM_UP_MS)
  const idle = await gatewayCpu(stage, seconds)
  const rows: Row[] = []
  for (const format of FORMATS) rows.push(...(await measureFormat(stage, `${device}/${format}`, format, seconds)))
  const past = await measurePast(`http://127.0.0.1:${stage.gateway.httpPort}/cameras/${device}/frame.jpg`)
  const first = (format: string) => (rows.find(row => row.format === format && row.viewers === 1)?.cpu ?? NaN) - idle.cpu
  return {
    tables: [
      {
        title: 'Viewers of 1080p30 at 4 Mbit/s: CPU % of the gateway',
        rows: [
          ['', 'viewers', 'gateway, CPU %', 'first bytes, ms', 'noise %'],
          ['', '0', figure(idle.cpu, 2), '', figure(idle.noise)],
          ...rows.map(({ format, viewers, cpu, firstMs, noise }) => [
            ...[format, String(viewers), figure(cpu, 2), figure(firstMs), figure(noise)],
          ]),
        ],
      },
    ],
    targets: [
      ...FORMATS.map(format => ({
        what: `${format}: the first viewer ≤ ${FIRST_CPU_MAX} % of a core in the gateway`,
        measured: `${figure(first(format), 2)} %`,
        met: first(format) <= FIRST_CPU_MAX,
      })),
      { what: `frame.jpg?at= from the buffer: p95 ≤ ${PAST_MS_MAX} ms`, measured: `${figure(past)} ms`, met: past <= PAST_MS_MAX },
    ],
    figures: { idle, rows, past },
  }
}

async function measureFormat(stage: Stage, path: string, format: string, seconds: number): Promise<Row[]> {
  const rows: Row[] = []
  await using viewers = new AsyncDisposableStack()
  for (const count of COUNTS) {
    let firstMs = NaN
    for (let i = rows.at(-1)?.viewers ?? 0; i < count; i++) {
      const viewer = viewers.use(await startViewer(`http://127.0.0.1:${stage.gateway.httpPort}/cameras/${path}`))
      if (i === 0) firstMs = viewer.firstMs
    }
    await delay(WARM_UP_MS)
    rows.push({ format, viewers: count, firstMs, ...(await gatewayCpu(stage, seconds)) })
  }
  return rows
}

/** One after the other, at times anywhere in their GOPs. */
async function measurePast(url: string): Promise<number> {
  const tookMs: number[] = []
  for (let i = 0; i < PAST_REQUESTS; i++) {
    const startMs = performance.now()
    const answer = await fetch(`${url}?at=${Math.floor(Date.now() - 2_000 - (i * PAST_SPAN_MS) / PAST_REQUESTS)}`)
    await answer.arrayBuffer()
    if (!answer.ok) throw new Error(`answered with ${answer.status}`)
    tookMs.push(performance.now() - startMs)
  }
  return percentile(tookMs, 0.95)
}

/** Reads until it is disposed of, in this process, whose CPU is not counted. */
async function startViewer(url: string) {
  const over = new AbortController()
  const startMs = performance.now()
  const answer = await fetch(url, { signal: over.signal })
  const { promise, resolve } = Promise.withResolvers<number>()
  const ended = (async () => {
    for await (const _ of answer.body ?? []) resolve(performance.now() - startMs)
  })().catch(() => {})
  return {
    firstMs: await promise,
    async [Symbol.asyncDispose]() {
      over.abort()
      await ended
    },
  }
}

async function gatewayCpu({ cast }: Stage, seconds: number): Promise<{ cpu: number; noise: number }> {
  const { roles, noise } = await measureUsage(cast, seconds)
  return { cpu: (roles.gateway?.cpu ?? NaN) + (roles['gateway ffmpeg']?.cpu ?? 0), noise }
}
