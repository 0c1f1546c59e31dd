// What is to be reached. Pure.
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
    ...Object.values(further).flatMap(({ targets }) => targets),
  ]
}

function ofLive({ picture, clients, usage, account }: LiveRow): Target[] {
  if (picture === '1080p30' && clients.length === 0) {
    const { sidecar, 'demux ffmpeg': demux } = usage.roles
    const cpu = (sidecar?.cpu ?? NaN) + (demux?.cpu ?? NaN)
    const rss = (sidecar?.rss ?? NaN) + (demux?.rss ?? NaN)
    return [
      { what: 'unwatched 1080p30: sidecar and its ffmpeg ≤ 3 % of a core', measured: `${cpu.toFixed(1)} %`, met: cpu <= 3 },
      { what: 'unwatched 1080p30: sidecar and its ffmpeg ≤ 140 MB', measured: `${rss.toFixed(0)} MB`, met: rss <= 140 },
    ]
  }
  if (picture === '1080p30' || clients.length !== 1) return []
  const missing = sum(clients.map(client => client.missing))
  const dropped = sum(Object.values(account.drops))
  return [
    { what: `${picture} to one client without a drop`, measured: `${missing} missing, ${dropped} dropped`, met: missing + dropped === 0 },
  ]
}

function ofBuffered({ timesRealTime, missing, firstFrameMs }: BufferedResult): Target[] {
  return [
    { what: 'buffered 1080p30 ≥ 2 × real time', measured: `${timesRealTime.toFixed(1)} ×`, met: timesRealTime >= 2 },
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
