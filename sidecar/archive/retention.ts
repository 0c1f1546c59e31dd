// Which files of an archive stay. Names say everything that is needed; a file whose name is not of our making is never touched.
import { opendir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'

/** A finished file: when its first picture was taken (ms since the epoch), how long it is, how large it is. */
export type Stored = { startMs: number; durationMs: number; bytes: number }
export type Policy = { retentionMs: number; maxBytes: number | undefined }

export const segmentName = ({ startMs, durationMs }: Pick<Stored, 'startMs' | 'durationMs'>): string => `${startMs}_${durationMs}.mp4`
/** A file in the making, by `run`, which names one process. */
export const partName = (startMs: number, run: string): string => `${startMs}.${run}.mp4.part`

export type Named = { kind: 'segment'; startMs: number; durationMs: number } | { kind: 'part'; startMs: number; run: string }

/** Undefined for a name that is not ours. */
export function parseName(name: string): Named | undefined {
  const segment = /^(\d{1,15})_(\d{1,12})\.mp4$/.exec(name)
  if (segment !== null) return { kind: 'segment', startMs: Number(segment[1]), durationMs: Number(segment[2]) }
  const part = /^(\d{1,15})\.([0-9a-z]{1,32})\.mp4\.part$/.exec(name)
  return part === null ? undefined : { kind: 'part', startMs: Number(part[1]), run: part[2] ?? '' }
}

const STRIDE = 3

/** The finished files, oldest first. Three numbers each and no objects: a week of one-second files is 600,000 of them. */
export class SegmentIndex {
  /** startMs, durationMs, bytes of each, behind `#head`. */
  #values: number[] = []
  #head = 0
  #bytes = 0

  /** Of all files together. */
  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return (this.#values.length - this.#head) / STRIDE
  }

  get oldest(): Stored | undefined {
    return this.count === 0 ? undefined : this.#at(this.#head)
  }

  add({ startMs, durationMs, bytes }: Stored): void {
    let place = this.#values.length
    while (place > this.#head && (this.#values[place - STRIDE] ?? 0) > startMs) place -= STRIDE // hardly ever: they come in order
    if (place === this.#values.length) this.#values.push(startMs, durationMs, bytes)
    else this.#values.splice(place, 0, startMs, durationMs, bytes)
    this.#bytes += bytes
  }

  has({ startMs, durationMs }: Pick<Stored, 'startMs' | 'durationMs'>): boolean {
    for (let place = this.#values.length - STRIDE; place >= this.#head && (this.#values[place] ?? 0) >= startMs; place -= STRIDE) {
      if (this.#values[place] === startMs && this.#values[place + 1] === durationMs) return true
    }
    return false
  }

  /** The `i`th, from the oldest on. */
  at(i: number): Stored | undefined {
    return i < 0 || i >= this.count ? undefined : this.#at(this.#head + i * STRIDE)
  }

  /** Which one is the last that begins at or before `ms`; −1 where none does. */
  lastBefore(ms: number): number {
    let [low, high] = [0, this.count]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#values[this.#head + middle * STRIDE] ?? 0) <= ms) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  removeOldest(): void {
    if (this.count === 0) return
    this.#bytes -= this.#values[this.#head + 2] ?? 0
    this.#head += STRIDE
    if (this.#head < this.#values.length / 2) return
    this.#values.splice(0, this.#head)
    this.#head = 0
  }

  #at(place: number): Stored {
    const [startMs = 0, durationMs = 0, bytes = 0] = this.#values.slice(place, place + STRIDE)
    return { startMs, durationMs, bytes }
  }
}

/** Why the oldest file has to go; undefined while it may stay. `openBytes`: of the files in the making. */
export function overdue(
  index: SegmentIndex,
  { retentionMs, maxBytes }: Policy,
  openBytes: number,
  nowMs: number,
): 'age' | 'size' | undefined {
  const { oldest } = index
  if (oldest === undefined) return undefined
  if (oldest.startMs + oldest.durationMs < nowMs - retentionMs) return 'age'
  return maxBytes !== undefined && index.bytes + openBytes > maxBytes ? 'size' : undefined
}

/** What is in the folder: finished files, and names of files in the making by other runs than ours. */
export async function scan(folder: string, ownRun: string, signal: AbortSignal): Promise<{ index: SegmentIndex; parts: string[] }> {
  const found: Stored[] = []
  const parts: string[] = []
  for await (const entry of await opendir(folder)) {
    if (signal.aborted) break
    const named = entry.isFile() ? parseName(entry.name) : undefined
    if (named?.kind === 'part' && named.run !== ownRun) parts.push(entry.name)
    if (named?.kind !== 'segment') continue
    const bytes = await stat(join(folder, entry.name)).then(
      ({ size }) => size,
      () => undefined, // removed meanwhile
    )
    if (bytes !== undefined) found.push({ startMs: named.startMs, durationMs: named.durationMs, bytes })
  }
  const index = new SegmentIndex()
  for (const stored of found.toSorted((a, b) => a.startMs - b.startMs)) index.add(stored)
  return { index, parts }
}

/** Removes what is overdue, oldest first. Rejects with the first error of the file system other than that a file is gone already. */
export async function removeOverdue(
  folder: string,
  index: SegmentIndex,
  policy: Policy,
  openBytes: () => number,
  onRemoved: (why: 'age' | 'size') => void,
  signal: AbortSignal,
): Promise<void> {
  for (let why = overdue(index, policy, openBytes(), Date.now()); why !== undefined && !signal.aborted;) {
    const { oldest } = index
    if (oldest === undefined) return
    await unlink(join(folder, segmentName(oldest))).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    })
    index.removeOldest()
    onRemoved(why)
    why = overdue(index, policy, openBytes(), Date.now())
  }
}
