// What an archive holds: removes what is overdue, and finishes what a crash left behind.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../common/errors.ts'
import { everyMinute, type Logger } from '../common/log.ts'
import { sleep } from '../common/stop.ts'
import type { Metrics } from './metrics.ts'
import { removeOverdue, scan, SegmentIndex, type Policy, type Stored } from './retention.ts'
import { salvage } from './salvage.ts'

const SWEEP_MS = 5_000
/** Others may have removed files. */
const RESCAN_MS = 3_600_000

export type KeeperOptions = {
  folder: string
  /** Of this process. */
  run: string
  policy: Policy
  /** Bytes of the files in the making. */
  openBytes: () => number
  metrics: Metrics
  log: Logger
}

export class Keeper {
  readonly #options: KeeperOptions
  readonly #warn: (message: string) => void
  #index = new SegmentIndex()
  #scannedAt: number | undefined
  /** Finished while the folder was being read: seen there or not. */
  #added: Stored[] | undefined
  /** Files in the making by other processes, and how they looked last: one that does not change any more was left behind. */
  readonly #strangers = new Map<string, string>()

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#warn = everyMinute((count, error) => options.log.warn({ count, error }, 'the archive could not be tidied up'))
  }

  /** A file was finished. */
  add(stored: Stored): void {
    this.#added?.push(stored)
    this.#index.add(stored)
    this.#report()
  }

  /** Looks after the folder until `signal` aborts. The folder may appear later, and go and come. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#tidy(signal)
      } catch (error) {
        this.#warn(messageOf(error).replace(/ '.*/, '')) // without the path
      }
      await sleep(SWEEP_MS, signal)
    }
  }

  async #tidy(signal: AbortSignal): Promise<void> {
    const { folder, policy, openBytes, metrics } = this.#options
    if (this.#scannedAt === undefined || performance.now() - this.#scannedAt > RESCAN_MS) await this.#scan(signal)
    const removed = (why: 'age' | 'size') => metrics.archiveRemoved.inc({ why })
    try {
      await removeOverdue(folder, this.#index, policy, openBytes, removed, signal)
    } finally {
      this.#report()
    }
    for (const [part, before] of this.#strangers) {
      if (signal.aborted) return
      await this.#lookAt(part, before, signal)
    }
  }

  async #scan(signal: AbortSignal): Promise<void> {
    this.#added = []
    try {
      const { index, parts } = await scan(this.#options.folder, this.#options.run, signal)
      if (signal.aborted) return
      for (const stored of this.#added) if (!index.has(stored)) index.add(stored)
      this.#index = index
      this.#scannedAt = performance.now()
      for (const part of parts) if (!this.#strangers.has(part)) this.#strangers.set(part, '')
    } finally {
      this.#added = undefined
    }
  }

  async #lookAt(part: string, before: string, signal: AbortSignal): Promise<void> {
    const { folder, metrics, log } = this.#options
    const now = await stat(join(folder, part)).then(
      ({ size, mtimeMs }) => `${size} ${mtimeMs}`,
      () => undefined,
    )
    if (now === undefined) return void this.#strangers.delete(part)
    if (now !== before) return void this.#strangers.set(part, now)
    const saved = await salvage(folder, part, signal)
    if (signal.aborted) return
    this.#strangers.delete(part)
    log.info(
      { part, packets: saved?.packets ?? 0 },
      saved === undefined ? 'removed an unreadable file of a crash' : 'finished a file of a crash',
    )
    if (saved === undefined) return
    metrics.archiveSegments.inc()
    this.add(saved)
  }

  #report(): void {
    this.#options.metrics.archiveFiles.set(this.#index.count)
    this.#options.metrics.archiveStored.set(this.#index.bytes)
  }
}
