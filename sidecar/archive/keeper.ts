// What an archive holds: removes what is overdue, and finishes what a crash left behind.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { retryDelayMs } from '../../common/backoff.ts'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import { sleep } from '../../common/abort.ts'
import type { Metrics } from '../metrics.ts'
import { removeOverdue, scan, SegmentIndex, type Policy, type Stored } from './retention.ts'
import { salvage } from './salvage.ts'
import { discard } from './segment.ts'

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

/** How a file looked last; how often it could not be finished, and from when on it is tried again, by performance.now(). */
type Stranger = { look: string; tries: number; dueMs: number }
const UNSEEN: Stranger = { look: '', tries: 0, dueMs: 0 }

export class Keeper {
  readonly #options: KeeperOptions
  readonly #warn: (message: string) => void
  #index = new SegmentIndex()
  #scannedAt: number | undefined
  /** Finished while the folder was being read: seen there or not. */
  #added: Stored[] | undefined
  /** Unfinished files that this process does not write: one that does not change any more was left behind. */
  readonly #strangers = new Map<string, Stranger>()

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#warn = everyMinute((count, error) => options.log.warn({ count, error }, 'could not tidy the archive'))
  }

  /** The finished files. */
  get index(): SegmentIndex {
    return this.#index
  }

  /** A file was finished. */
  add(stored: Stored): void {
    this.#added?.push(stored)
    this.#index.add(stored)
    this.#report()
  }

  /** A file in the making was given up, and could not be finished. */
  leave(part: string): void {
    this.#strangers.set(part, UNSEEN)
  }

  /**
   * Looks after the folder until `signal` aborts: one process at a time, since no other can tell a file that is being written slowly from
   * one that was left behind. The folder may appear later, and go and come.
   */
  async run(signal: AbortSignal): Promise<void> {
    this.#scannedAt = undefined // another process may have had it meanwhile
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
    const removed = (reason: 'age' | 'size') => metrics.archiveRemoved.inc({ reason })
    try {
      await removeOverdue(folder, this.#index, policy, openBytes, removed, signal)
    } finally {
      this.#report()
    }
    for (const [part, stranger] of this.#strangers) {
      if (signal.aborted) return
      if (performance.now() >= stranger.dueMs) await this.#lookAt(part, stranger, signal)
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
      for (const part of parts) if (!this.#strangers.has(part)) this.leave(part)
    } finally {
      this.#added = undefined
    }
  }

  async #lookAt(part: string, { look, tries }: Stranger, signal: AbortSignal): Promise<void> {
    const { folder, policy, metrics, log } = this.#options
    const found = await stat(join(folder, part)).catch(() => undefined)
    if (found === undefined) return void this.#strangers.delete(part)
    const now = `${found.size} ${found.mtimeMs}`
    if (now !== look) return void this.#strangers.set(part, { ...UNSEEN, look: now })
    const isOverdue = found.mtimeMs < Date.now() - policy.retentionMs // whatever it holds: that is how long it is tried again
    const saved = await (isOverdue ? discard(folder, part) : salvage(folder, part, signal)).catch((error: unknown) => {
      // Behind the others, which get their turn before the same happens again.
      this.#strangers.delete(part)
      this.#strangers.set(part, { look, tries: tries + 1, dueMs: performance.now() + retryDelayMs(tries) })
      throw error
    })
    if (signal.aborted) return
    this.#strangers.delete(part)
    log.info(
      { part, packets: saved?.packets ?? 0 },
      saved === undefined ? `removed an ${isOverdue ? 'overdue' : 'unreadable'} file of a crash` : 'finished a file of a crash',
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
