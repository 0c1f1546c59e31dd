// One row of the terminal's table: how a camera is.
import { judge, type Judgement, type Known } from '../../proto/health.ts'
import { refText } from '../../proto/subjects.ts'
import { NAMESPACE } from './sidecar-env.ts'

export type Row = {
  camera: string
  state: Judgement['status'] | 'starting'
  codec: string
  size: string
  fps: string
  /** Whether frames are decoded, because a client asks for them. */
  decoding: string
  /** Why it is not running, or not all of it works. */
  reason: string
}

export function rowOf(known: Known): Row {
  const { record } = known
  const { status, health, severity, error, state } = judge(known)
  const running = status === 'running' ? state : undefined
  const { codec } = running ?? {}
  return {
    camera: record.namespace === NAMESPACE ? record.name : refText(record),
    state: health === 'starting' ? 'starting' : status,
    codec: codec?.name ?? '',
    size: codec === undefined ? '' : `${codec.width}x${codec.height}`,
    fps: running?.fps.toFixed(1) ?? '',
    decoding: running === undefined ? '' : running.decoding.active ? 'yes' : 'no',
    reason: severity === 'ok' ? '' : error,
  }
}

const HEADINGS: Row = {
  camera: 'CAMERA',
  state: 'STATE' as Row['state'],
  codec: 'CODEC',
  size: 'SIZE',
  fps: 'FPS',
  decoding: 'DECODING',
  reason: 'REASON',
}
const COLUMNS = ['camera', 'state', 'codec', 'size', 'fps', 'decoding', 'reason'] as const

/** The rows as aligned lines under their headings. */
export function tableLines(rows: readonly Row[]): string[] {
  const all = [HEADINGS, ...rows]
  const widths = COLUMNS.map(column => Math.max(...all.map(row => row[column].length)))
  return all.map(row =>
    COLUMNS.map((column, index) => row[column].padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** One row as a line by itself, for a log. */
export function rowLine({ camera, state, codec, size, fps, decoding, reason }: Row): string {
  const picture = codec === '' ? '' : ` ${codec} ${size} ${fps} fps${decoding === 'yes' ? ', decoding' : ''}`
  return `${camera}: ${state}${picture}${reason === '' ? '' : ` (${reason})`}`
}

/** What makes a line worth saying again. The frame rate always moves a little. */
export const rowKey = (row: Row): string => JSON.stringify({ ...row, fps: row.fps === '0.0' || row.fps === '' ? row.fps : 'some' })
