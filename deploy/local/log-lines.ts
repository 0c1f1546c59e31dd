// What the children write: all of it into bounded files, what a person should see as readable lines.
import { closeSync, openSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { LogLevel } from '../../proto/settings.ts'
import { messageOf } from '../../common/errors.ts'
import { isObject } from './schema.ts'

const FILE_BYTES_MAX = 4 << 20
const SHOWN_PER_SECOND = 5
const NUMBER: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 }
/** pino's own fields, and what the line says by other means. */
const NOT_SHOWN = new Set(['level', 'time', 'pid', 'hostname', 'name', 'camera', 'msg', 'v'])

export type LogLine = { level: number; text: string }

/** A line of a child's log, for a person: pino's JSON, nats-server's own format, or anything else, such as a stack trace. */
export function readableLine(line: string): LogLine {
  const json = parse(line)
  if (json !== undefined) {
    const fields = Object.entries(json).filter(([key]) => !NOT_SHOWN.has(key))
    const details = fields.map(([key, value]) => ` ${key}=${textOf(value)}`).join('')
    return { level: Number(json['level']), text: `${textOf(json['msg'] ?? '')}${details}` }
  }
  const nats = /^\[\d+\] \S+ \S+ \[([A-Z]{3})\] (.*)$/.exec(line)
  if (nats !== null) return { level: { WRN: 40, ERR: 50, FTL: 60 }[nats[1] as 'WRN'] ?? 30, text: nats[2] ?? '' }
  return { level: 50, text: line }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(line)
    return isObject(value) && typeof value['level'] === 'number' ? value : undefined
  } catch {
    return undefined
  }
}

/** The log of one child. Its files hold FILE_BYTES_MAX each: the current one and the one before. */
export class ChildLog implements Disposable {
  readonly #path: string
  readonly #title: string
  readonly #level: number
  readonly #show: (text: string) => void
  #fd: number
  #written = 0
  #isLost = false
  #second = 0
  #shown = 0
  #left = 0

  /** Lines from `level` on are handed to `show`, a few a second at most. */
  constructor(folder: string, name: string, level: LogLevel, show: (text: string) => void) {
    this.#path = join(folder, `${name}.log`)
    this.#title = name
    this.#level = NUMBER[level]
    this.#show = show
    this.#fd = openSync(this.#path, 'w', 0o600)
  }

  take(line: string): void {
    this.#write(`${line}\n`)
    const { level, text } = readableLine(line)
    if (level < this.#level) return
    const second = Math.floor(performance.now() / 1000)
    if (second !== this.#second) {
      if (this.#left > 0) this.#show(`${this.#title}: ${this.#left} more lines in ${this.#path}`)
      ;[this.#second, this.#shown, this.#left] = [second, 0, 0]
    }
    if (++this.#shown <= SHOWN_PER_SECOND) this.#show(`${this.#title}: ${text}`)
    else this.#left++
  }

  /** A disk that is full costs the log, not the cameras. */
  #write(line: string): void {
    try {
      if (this.#written > FILE_BYTES_MAX) this.#turn()
      this.#written += writeSync(this.#fd, line)
      this.#isLost = false
    } catch (error) {
      if (!this.#isLost) this.#show(`${this.#title}: ${this.#path} is not written: ${messageOf(error)}`)
      this.#isLost = true
    }
  }

  #turn(): void {
    renameSync(this.#path, `${this.#path}.1`)
    const before = this.#fd
    this.#fd = openSync(this.#path, 'w', 0o600)
    closeSync(before)
    this.#written = 0
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}
