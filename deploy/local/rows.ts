// What the terminal says of a camera: one row, made of the process's state and the camera's.
import type { CameraRecord, CameraState } from '../../proto/state.ts'
import type { AnyReason } from '../../proto/reasons.ts'
import { refText } from '../../proto/subjects.ts'
import { NAMESPACE } from './sidecar-env.ts'

export type Row = {
  camera: string
  state: 'suspended' | 'starting' | 'connecting' | 'running' | 'waiting' | 'restarting' | 'dead' | 'silent'
  codec: string
  size: string
  fps: string
  /** Whether frames are made, because a client asks for them. */
  decoding: string
  /** Why it is not running, or not all of it works. */
  reason: string
}

/** A sidecar writes its state every 5 s; one that was silent for longer than this is hung. */
const SILENT_MS = 15_000

/** `ageMs`: how long ago the state was written. */
export function rowOf(record: CameraRecord, reported: { state: CameraState; ageMs: number } | undefined): Row {
  const state = reported?.state.uid === record.uid ? reported.state : undefined
  const camera = record.namespace === NAMESPACE ? record.name : refText(record)
  const empty = { camera, codec: '', size: '', fps: '', decoding: '', reason: '' }
  const { pod } = record
  if (record.suspended) return { ...empty, state: 'suspended' }
  if (pod.dead) return { ...empty, state: 'dead', reason: sentence(pod) }
  if (!pod.running) return { ...empty, state: pod.reason === undefined ? 'starting' : 'restarting', reason: sentence(pod) }
  if (state === undefined) return { ...empty, state: 'starting' }
  if (reported !== undefined && reported.ageMs > SILENT_MS) return { ...empty, state: 'silent', reason: 'its process says nothing' }
  if (state.connection !== 'streaming') return { ...empty, state: state.connection, reason: sentence(state) }
  const trouble = [state.decoding, state.buffer].find(part => !part.ok)
  return {
    camera,
    state: 'running',
    codec: state.codec?.name ?? '',
    size: state.codec === undefined ? '' : `${state.codec.width}x${state.codec.height}`,
    fps: state.fps.toFixed(1),
    decoding: state.decoding.active ? 'yes' : 'no',
    reason: trouble === undefined ? '' : sentence(trouble),
  }
}

const sentence = ({ reason, message }: { reason?: AnyReason | undefined; message?: string | undefined }): string =>
  [reason, message].filter(part => part !== undefined && part !== '').join(': ')

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
