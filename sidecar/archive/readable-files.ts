// The files of an archive that can be read: those that are finished, and those that are being written, as far as they are.
import { join } from 'node:path'
import { messageOf } from '../../common/errors.ts'
import type { CaptureTimes } from './capture-times.ts'
import { FilePackets } from './file-packets.ts'
import { segmentName, type SegmentIndex, type Stored } from './retention.ts'

/** Files whose index is kept: readers go on where they were. */
const KEPT_MAX = 4

/** A file that is being written. Up to `endMs` its frames are there. */
export type OpenFile = { readonly part: string; readonly startMs: number; readonly endMs: number; readonly capture: CaptureTimes }
export type ReadableFile = Pick<Stored, 'startMs' | 'durationMs'> & { readonly open?: OpenFile }

export type ReadableOptions = {
  readonly folder: string
  readonly index: () => SegmentIndex
  /** Those that are being written, the newest last. */
  readonly open: () => readonly OpenFile[]
  readonly onUnreadable: (message: string) => void
}

export class ReadableFiles {
  readonly #options: ReadableOptions
  /** By name; the one that was used last comes last. */
  readonly #kept = new Map<string, Promise<FilePackets>>()

  constructor(options: ReadableOptions) {
    this.#options = options
  }

  /** As they are now, the oldest first. */
  list(): FileList {
    return new FileList(this.#options.index(), this.#options.open())
  }

  /**
   * Undefined where it cannot be read; rejects where it was finished meanwhile, and so has another name. `sample`: of a file that is being
   * written, the one that must be there, if it is.
   */
  async packets(file: ReadableFile, sample: number): Promise<FilePackets | undefined> {
    const name = file.open?.part ?? segmentName(file)
    try {
      const kept = await this.#keep(name, file, this.#kept.get(name))
      return file.open === undefined || sample < kept.count ? kept : await this.#keep(name, file, undefined)
    } catch (error) {
      this.#kept.delete(name)
      if (file.open !== undefined && isGone(error)) throw error
      this.#options.onUnreadable(messageOf(error).replace(/ '.*/, '')) // without the path
      return undefined
    }
  }

  #keep(name: string, file: ReadableFile, known: Promise<FilePackets> | undefined): Promise<FilePackets> {
    const kept = known ?? FilePackets.open(join(this.#options.folder, name), file, file.open?.capture)
    this.#kept.delete(name)
    this.#kept.set(name, kept)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest)
    return kept
  }
}

export const isGone = (error: unknown): boolean => (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT'

export class FileList {
  readonly #index: SegmentIndex
  readonly #open: readonly OpenFile[]

  constructor(index: SegmentIndex, open: readonly OpenFile[]) {
    this.#index = index
    const newestMs = index.at(index.count - 1)?.startMs ?? -Infinity
    // One that is finished just now may be in both.
    this.#open = open.filter(({ startMs }) => startMs > newestMs)
  }

  get count(): number {
    return this.#index.count + this.#open.length
  }

  at(i: number): ReadableFile | undefined {
    const open = this.#open[i - this.#index.count]
    return open === undefined ? this.#index.at(i) : { startMs: open.startMs, durationMs: open.endMs - open.startMs, open }
  }

  /** The last one that begins at or before `ms`; -1: there is none. */
  lastBefore(ms: number): number {
    const last = this.#open.findLastIndex(({ startMs }) => startMs <= ms)
    return last < 0 ? this.#index.lastBefore(ms) : this.#index.count + last
  }
}
