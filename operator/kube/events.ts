// What a person should notice, as Events. The same thing about the same camera is one Event whose count rises, written at most
// once a minute; its name is made of what it says, so that a restarted operator goes on with it.
import { createHash } from 'node:crypto'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import { sleep } from '../../common/abort.ts'
import type { Camera } from '../../proto/camera.ts'
import type { AnyReason } from '../../proto/reasons.ts'
import { metaTime } from './kinds.ts'

const EVERY_MS = 60_000
/** After this long without a repetition the API server has forgotten the Event, and so do we. */
const FORGET_MS = 3_600_000
/** Cameras × reasons; beyond it events are dropped, and counted. */
const ENTRIES_MAX = 8_192
/** As long as events.k8s.io lets its notes be. */
const MESSAGE_MAX = 1_024

export type EventType = 'Normal' | 'Warning'
export type Happening = { camera: Camera; type: EventType; reason: AnyReason; message: string }

/** One Event to write. Times are ms since the epoch. */
export type EventRecord = Happening & { name: string; count: number; first: number; last: number }

type Entry = EventRecord & { writtenAt: number; unwritten: boolean }

/** Decides what to write when; holds no connection. */
export class EventLog {
  readonly #entries = new Map<string, Entry>()
  readonly #max: number

  constructor(max = ENTRIES_MAX) {
    this.#max = max
  }

  /** Takes it in; false when there is no room. */
  add(happening: Happening, now: number): boolean {
    const name = eventName(happening)
    const key = `${happening.camera.metadata.namespace}/${name}`
    const old = this.#entries.get(key)
    if (old === undefined && this.#entries.size >= this.#max) return false
    const { count = 0, first = now, writtenAt = -Infinity } = old ?? {}
    const message = happening.message.slice(0, MESSAGE_MAX)
    this.#entries.set(key, { ...happening, message, name, count: count + 1, first, last: now, writtenAt, unwritten: true })
    return true
  }

  /** What may be written now; it counts as written. */
  due(now: number): EventRecord[] {
    const due: EventRecord[] = []
    for (const [key, entry] of this.#entries) {
      if (entry.unwritten && now - entry.writtenAt >= EVERY_MS) {
        entry.unwritten = false
        entry.writtenAt = now
        due.push(entry)
      } else if (!entry.unwritten && now - entry.last >= FORGET_MS) this.#entries.delete(key)
    }
    return due
  }
}

const eventName = ({ camera: { metadata }, type, reason }: Happening): string =>
  `${metadata.name}.${createHash('sha256').update(`${metadata.uid} ${type} ${reason}`).digest('hex').slice(0, 16)}`

/** The core/v1 Event, for server-side apply. */
export function eventObject({ camera, name, type, reason, message, count, first, last }: EventRecord, component: string) {
  const { namespace, name: cameraName, uid } = camera.metadata
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace },
    involvedObject: { apiVersion: camera.apiVersion, kind: camera.kind, namespace, name: cameraName, uid },
    type,
    reason,
    message,
    count,
    firstTimestamp: metaTime(first),
    lastTimestamp: metaTime(last),
    source: { component },
    reportingComponent: component,
  }
}

export type EventRecorder = {
  /** Never waits and never throws. */
  record(happening: Happening): void
  /** Writes what is due, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

export function eventRecorder(write: (record: EventRecord) => Promise<void>, dropped: () => void, log: Logger): EventRecorder {
  const events = new EventLog()
  const complain = everyMinute((count, error) => log.warn({ error, count }, 'could not write an Event'))
  const drop = (why: string) => {
    dropped()
    complain(why)
  }
  return {
    record(happening) {
      if (!events.add(happening, Date.now())) drop('too many different events')
    },
    async run(signal) {
      while (!signal.aborted) {
        for (const record of events.due(Date.now())) {
          if (signal.aborted) return
          await write(record).catch(error => drop(messageOf(error)))
        }
        await sleep(500, signal)
      }
    },
  }
}
