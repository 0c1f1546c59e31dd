// What was measured, for a person to read. Pure.
import type { BufferedResult } from './buffered.ts'
import type { LiveResult, LiveRow } from './live.ts'
import type { Machine } from './machine.ts'
import type { Table } from './scenario.ts'
import type { SoakResult } from './soak.ts'
import { dropText, figure, tableText } from './table.ts'
import { judge, type Results } from './targets.ts'
import { ROLES, type Usage } from './usage.ts'

export function report(machine: Machine, results: Results): string {
  const { live, firstFrames, buffered, soak, further } = results
  const parts = [
    ofMachine(machine),
    ...(live.length === 0 ? [] : [liveTable(live), costTable(live), stageTable(live)]),
    ...(firstFrames === undefined
      ? []
      : [
          table('First frame of a connected 1080p30 camera (GOP 2 s)', [
            ['asked after', 'ms'],
            ...firstFrames.map(({ part, ms }) => [`${Math.round(part * 100)} % of the GOP`, ms.toFixed(0)]),
          ]),
        ]),
    ...(buffered === undefined ? [] : [ofBuffered(buffered)]),
    ...(soak === undefined ? [] : [ofSoak(soak)]),
    ...Object.values(further).flatMap(({ tables }) => tables.map(tableText)),
    table(
      'Targets',
      judge(results).map(({ what, measured, met }) => [met ? 'reached' : 'MISSED', what, measured]),
    ),
  ]
  return parts.join('\n\n')
}

function ofMachine({ cpu, cores, memoryGiB, kernel, node, ffmpeg, natsServer, loadBefore, ...rates }: Machine): string {
  return [
    `${cores} × ${cpu}, ${memoryGiB.toFixed(0)} GiB, Linux ${kernel}; Node ${node}, ffmpeg ${ffmpeg}, nats-server ${natsServer}; load before ${loadBefore.toFixed(1)}`,
    `limits: memcpy ${rates.memcpy.hot.toFixed(1)} GB/s into memory in use, ${rates.memcpy.fresh.toFixed(1)} into new; loopback TCP, Node to Node: ${rates.loopback.toFixed(0)} 1080p frames/s`,
  ].join('\n')
}

const watchers = ({ clients, placement }: LiveRow) =>
  clients.length === 0 ? 'unwatched' : `${placement}, ${clients.length} client${clients.length > 1 ? 's' : ''}`
const eachOf = (row: LiveRow, figure: (client: LiveRow['clients'][number]) => number, digits = 0) =>
  row.clients.map(client => figure(client).toFixed(digits)).join(' / ') || '–'

function liveTable(live: readonly LiveResult[]): string {
  const head = [
    '',
    '',
    'fps',
    'p50 ms',
    'p99 ms',
    'from arrival: p50',
    'p99',
    'missing',
    'first frame ms',
    'CPU %',
    'limit %',
    '× limit',
    'noise %',
  ]
  const rows = live.flatMap(({ limitCpu, rows: measured }) =>
    measured.map(row => [
      row.picture,
      watchers(row),
      eachOf(row, c => c.fps, 1),
      eachOf(row, c => c.latencyMs.p50),
      eachOf(row, c => c.latencyMs.p99),
      eachOf(row, c => c.fromArrivalMs.p50),
      eachOf(row, c => c.fromArrivalMs.p99),
      eachOf(row, c => c.missing),
      figure(row.firstFrameMs),
      row.usage.ours.cpu.toFixed(1),
      limitCpu.toFixed(1),
      row.timesLimit.toFixed(2),
      row.usage.noise.toFixed(0),
    ]),
  )
  return table('Live over RTSP, Python clients, capture → client', [head, ...rows])
}

function costTable(live: readonly LiveResult[]): string {
  const rows = live.flatMap(({ rows: measured }) => measured.map(row => [row.picture, watchers(row), ...costs(row.usage)]))
  return table('Per cent of a core / MB resident', [['', '', ...ROLES], ...rows])
}

const costs = ({ roles }: Usage) =>
  ROLES.map(role => {
    const usage = roles[role]
    return usage === undefined ? '–' : `${usage.cpu.toFixed(1)} / ${usage.rss.toFixed(0)}`
  })

function stageTable(live: readonly LiveResult[]): string {
  const rows = live.flatMap(({ rows: measured }) =>
    measured
      .filter(({ clients }) => clients.length > 0)
      .map(row => {
        const { decode, publish, delivery } = row.account.stagesMs
        return [row.picture, watchers(row), figure(decode), figure(publish), figure(delivery), dropText(row.account.drops)]
      }),
  )
  return table('Where time goes (means, ms) and what was dropped', [
    ['', '', 'decode', 'publish', 'capture → sent', 'drops by cause'],
    ...rows,
  ])
}

function ofBuffered({ timesRealTime, frames, missing, firstFrameMs, usage, limit }: BufferedResult): string {
  return table('Buffered read, 1080p30, one Python client', [
    ['× real time', `${timesRealTime.toFixed(2)} (${frames} frames, ${missing} missing)`],
    ['ffmpeg alone, to /dev/null', `${limit.oneThread.toFixed(2)} with one thread, ${limit.threads.toFixed(2)} with its choice`],
    ['first frame, ms', firstFrameMs.map(value => value.toFixed(0)).join(', ')],
    ...ROLES.flatMap((role, i) => (usage.roles[role] === undefined ? [] : [[`${role}, % / MB`, costs(usage)[i] ?? '']])),
    ['noise, %', usage.noise.toFixed(0)],
  ])
}

function ofSoak({ minutes, faults, processes, client, account, growth }: SoakResult): string {
  return table(
    `${minutes} minutes of 1080p15 to one client, ${faults} faults, ${processes.first} → ${processes.last} children: ${client.fps.toFixed(2)} fps, ${client.missing} missing, drops: ${dropText(account.drops)}`,
    [
      ['', 'MB, first quarter', 'last quarter', 'MB/min', 'files, first', 'last'],
      ...growth.map(({ role, rss, files }) => [
        role,
        rss.first.toFixed(1),
        rss.last.toFixed(1),
        rss.perMinute.toFixed(2),
        String(files.first),
        String(files.last),
      ]),
    ],
  )
}

const table = (title: string, rows: Table['rows']) => tableText({ title, rows })
