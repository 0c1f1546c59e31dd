// How far back each camera's buffer reaches, for lists that clients ask for often: a list never waits long for it.
import { sleep } from '../../common/abort.ts'
import type { KnownCamera } from '../cameras.ts'
import { Refusal } from '../refusal.ts'
import type { PacketStream, Source } from './packet-reader.ts'

/** Capture times in ms, and bytes of the whole stream. */
export type BufferExtent = { readonly from: number; readonly to: number; readonly bytes: number }

/** What is older is asked for again. */
const FRESH_MS = 10_000
/** How long a list waits for what is not known yet. */
const WAIT_MS = 300
const ASK_MS = 5_000
/** Asked for at once. */
const ASKED_MAX = 8

type Known = { extent: BufferExtent | undefined; atMs: number }

export class BufferExtents {
  readonly #packets: (source: Source) => PacketStream
  /** By the camera's uid. */
  readonly #known = new Map<string, Known>()
  #asking: Promise<void> | undefined

  constructor(packets: (source: Source) => PacketStream) {
    this.#packets = packets
  }

  /** By uid; those that have none, or of which it is not known, are not there. */
  async of(cameras: readonly KnownCamera[], signal: AbortSignal): Promise<ReadonlyMap<string, BufferExtent>> {
    const nowMs = performance.now()
    const due = cameras.filter(({ uid }) => nowMs - (this.#known.get(uid)?.atMs ?? -Infinity) > FRESH_MS)
    const isNew = due.some(({ uid }) => !this.#known.has(uid))
    if (due.length > 0) this.#asking ??= this.#ask(due).finally(() => (this.#asking = undefined))
    if (isNew && this.#asking !== undefined) await Promise.race([this.#asking, sleep(WAIT_MS, signal)])
    return new Map(
      cameras.flatMap(({ uid }) => {
        const extent = this.#known.get(uid)?.extent
        return extent === undefined ? [] : [[uid, extent] as const]
      }),
    )
  }

  /** Of a camera that is deleted. */
  forget(uid: string): void {
    this.#known.delete(uid)
  }

  /** Never rejects. */
  async #ask(cameras: readonly KnownCamera[]): Promise<void> {
    const waiting = [...cameras]
    const work = async () => {
      for (let camera = waiting.shift(); camera !== undefined; camera = waiting.shift()) {
        this.#known.set(camera.uid, { extent: await this.#extent(camera), atMs: performance.now() })
      }
    }
    await Promise.all(Array.from({ length: ASKED_MAX }, work))
  }

  async #extent(camera: KnownCamera): Promise<BufferExtent | undefined> {
    try {
      const extent = await this.#packets(camera).extent(AbortSignal.timeout(ASK_MS))
      return extent && { from: extent.startMs, to: extent.endMs, bytes: extent.bytes }
    } catch (error) {
      if (error instanceof Refusal || (error instanceof Error && error.name === 'TimeoutError')) return undefined
      throw error
    }
  }
}
