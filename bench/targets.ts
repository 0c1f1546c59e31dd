// The targets. Pure.
import type { BufferedResult } from './buffered.ts'
import type { FirstFrame } from './first-frame.ts'
import type { LiveResult, LiveRow } from './live.ts'
import type { Measured } from './scenario.ts'
import type { SoakResult } from './soak.ts'
import { sum } from './statistics.ts'

export type Results = {
  live: LiveResult[]
  firstFrames: FirstFrame[] | undefined
  buffered: BufferedResult | undefined
  soak: SoakResult | undefined
  /** Of the scenarios that run only by name. */
  further: Record<string, Measured>
}

export type Target = { what: string; measured: string; met: boolean }

const FIRST_FRAME_MS = 500
const BUFFERED_TIMES_MIN = 2.8

/** CPU ÷ that of ffmpeg alone, by picture, clients and placement. */
const TIMES_LIMIT_MAX: Record<string, Record<number, Record<string, number>>> = {
  '1080p30': { 1: { Sidecar: 5, Gateway: 2.3 }, 3: { Sidecar: 6, Gateway: 3.3 } },
  '720p15': { 1: { Sidecar: 4, Gateway: 2.5 } },
}
/** 1080p30 to one client, from the packet's arrival. */
const LATENCY_MS_MAX: Record<string, { p50: number; p99: number }> = { Sidecar: { p50: 25, p99: 60 }, Gateway: { p50: 20, p99: 50 } }

export function judge({ live, firstFrames, buffered, soak, further }: Results): Target[] {
  return [
    ...live.flatMap(({ rows }) => rows.flatMap(row => ofLive(row))),
    ...(firstFrames === undefined
      ? []
      : [
          firstWithin(
            'first frame of a connected camera',
            firstFrames.map(({ ms }) => ms),
          ),
        ]),
    ...(buffered === undefined ? [] : ofBuffered(buffered)),
    ...(soak?.growth ?? []).map(({ role, rss, grows }) => ({
      what: `${role} does not grow`,
      measured: `${rss.first.toFixed(0)} → ${rss.last.toFixed(0)} MB`,
      met: !grows,
    })),
    ...(soak === undefined
      ? []
      : [
          {
            what: 'processes do not grow',
            measured: `${soak.processes.first} → ${soak.processes.last}`,
            met: soak.processes.last <= soak.processes.first,
          },
        ]),
    ...Object.values(further).flatMap(({ targets }) => targets),
  ]
}

const ofLive = (row: LiveRow): Target[] => [...ofUnwatched(row), ...ofCost(row), ...ofLatency(row)]

function ofUnwatched({ picture, clients, usage }: LiveRow): Target[] {
  if (picture !== '1080p30' || clients.length > 0) return []
  const { sidecar, 'demux ffmpeg': demux } = usage.roles
  const cpu = (sidecar?.cpu ?? NaN) + (demux?.cpu ?? NaN)
  const rss = (sidecar?.rss ?? NaN) + (demux?.rss ?? NaN)
  return [
    { what: 'unwatched 1080p30: sidecar and its ffmpeg ≤ 3 % of a core', measured: `${cpu.toFixed(1)} %`, met: cpu <= 3 },
    { what: 'unwatched 1080p30: sidecar and its ffmpeg ≤ 140 MB', measured: `${rss.toFixed(0)} MB`, met: rss <= 140 },
  ]
}

/** What does not deliver every frame is cheap for nothing. */
function ofCost({ picture, placement, clients, timesLimit, account }: LiveRow): Target[] {
  if (clients.length === 0) return []
  const to = `${picture}, ${placement}, ${clients.length} client${clients.length > 1 ? 's' : ''}`
  const max = TIMES_LIMIT_MAX[picture]?.[clients.length]?.[placement]
  const missing = sum(clients.map(client => client.missing))
  const dropped = sum(Object.values(account.drops))
  return [
    { what: `${to}: every frame`, measured: `${missing} missing, ${dropped} dropped`, met: missing + dropped === 0 },
    ...(max === undefined
      ? []
      : [
          {
            what: `${to}: ≤ ${max} × limit`,
            measured: `${timesLimit.toFixed(2)}${missing > 0 ? `, ${missing} missing` : ''}`,
            met: timesLimit <= max && missing === 0,
          },
        ]),
  ]
}

function ofLatency({ picture, placement, clients }: LiveRow): Target[] {
  const max = LATENCY_MS_MAX[placement]
  const [client] = clients
  if (picture !== '1080p30' || clients.length !== 1 || client === undefined || max === undefined) return []
  const { p50, p99 } = client.fromArrivalMs
  return [
    {
      what: `${picture}, ${placement}, 1 client: from arrival ≤ ${max.p50} ms, p99 ≤ ${max.p99}`,
      measured: `${p50.toFixed(0)}, ${p99.toFixed(0)} ms`,
      met: p50 <= max.p50 && p99 <= max.p99,
    },
  ]
}

function ofBuffered({ timesRealTime, missing, firstFrameMs }: BufferedResult): Target[] {
  return [
    {
      what: `buffered 1080p30 ≥ ${BUFFERED_TIMES_MIN} × real time`,
      measured: `${timesRealTime.toFixed(1)} ×`,
      met: timesRealTime >= BUFFERED_TIMES_MIN,
    },
    { what: 'buffered 1080p30 complete', measured: `${missing} missing`, met: missing === 0 },
    firstWithin('first buffered frame', firstFrameMs),
  ]
}

function firstWithin(what: string, ms: readonly number[]): Target {
  const worst = Math.max(...ms)
  return {
    what: `${what} ≤ ${FIRST_FRAME_MS} ms`,
    measured: `${worst.toFixed(0)} ms at worst of ${ms.length}`,
    met: worst <= FIRST_FRAME_MS,
  }
}
