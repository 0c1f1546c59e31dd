// What further renditions of a camera cost, and what NV12 saves.
import { PICTURES } from './chain.ts'
import { watchClient, type WatchWish } from './clients.ts'
import type { Options } from './options.ts'
import type { Measured, Table } from './scenario.ts'
import { rolesText, spend, type Spent } from './spend.ts'
import { startStage } from './stage.ts'
import { sum } from './statistics.ts'
import { figure } from './table.ts'

const PICTURE = PICTURES['1080p30']
const TIMES_MAX = 1.35
const NV12_MAX = 0.75

const EVERY = { mode: 'MODE_EVERY' }
const A: WatchWish = EVERY
const B: WatchWish = { rendition: { width: 640, height: 640, fit: 'FIT_LETTERBOX', format: 'PIXEL_FORMAT_RGB24' }, maxFps: 5 }
const C: WatchWish = { rendition: { width: 320, height: 180, format: 'PIXEL_FORMAT_GRAY8' }, maxFps: 1 }
const NV12: WatchWish = { ...EVERY, rendition: { format: 'PIXEL_FORMAT_NV12' } }

export async function measureRenditions(options: Options): Promise<Measured> {
  const alone = await measure(options, [A])
  const three = await measure(options, [A, B, C])
  const nv12 = await measure(options, [NV12])
  const times = three.cpu / alone.cpu
  const nv12Times = nv12.oursCpu / alone.oursCpu
  const bytes = sum(nv12.bytesPerSecond) / sum(nv12.fps) / (sum(alone.bytesPerSecond) / sum(alone.fps))
  return {
    tables: [table({ 'A: BGR24, every frame': alone, 'A, B: 640x640 RGB24 5/s, C: 320x180 GRAY8 1/s': three, 'NV12, every frame': nv12 })],
    targets: [
      { what: `three renditions ≤ ${TIMES_MAX} × A alone`, measured: figure(times, 2), met: times <= TIMES_MAX },
      { what: `NV12: our CPU ≤ ${NV12_MAX} × that of BGR24`, measured: figure(nv12Times, 2), met: nv12Times <= NV12_MAX },
      { what: 'NV12: half the bytes of BGR24', measured: figure(bytes, 2), met: Math.abs(bytes - 0.5) < 0.01 },
    ],
    figures: { alone, three, nv12 },
  }
}

async function measure({ seconds, env, placement }: Options, wishes: readonly WatchWish[]): Promise<Spent> {
  await using stage = await startStage({ picture: PICTURE, env, decoding: { placement } })
  const { device } = await stage.addCamera()
  for (const wish of wishes) await stage.start(1, () => watchClient(stage.gateway.port, { ...wish, cameras: [device] }))
  return await spend(stage.cast, stage.clients, seconds)
}

function table(rows: Record<string, Spent>): Table {
  const cells = Object.entries(rows).map(([what, spent]) => [
    ...[what, figure(spent.cpu, 1), figure(spent.oursCpu, 1), spent.fps.map(fps => figure(fps, 1)).join(' / ')],
    ...[`${figure(spent.ageMs.p50)} / ${figure(spent.ageMs.p95)}`, figure(spent.noise), rolesText(spent.roles)],
  ])
  return {
    title: 'Renditions of one 1080p30 camera, a client each by frames/v1',
    rows: [['', 'CPU %, clients included', 'ours, CPU %', 'fps', 'age p50 / p95 ms', 'noise %', ''], ...cells],
  }
}
