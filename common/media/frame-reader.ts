import { openPipe } from './ffmpeg.ts'
import { PictureMemory } from './frame-memory.ts'

/** What ffmpeg says of a picture. */
export type Description = { pts: number; width: number; height: number; key: boolean; type: string }

const ASIDE_BYTES = 64 * 1024

/** What reads one output of ffmpeg. */
export type Reader = {
  /** A frame: its bytes, `size` of them, with the room in front and behind. False: no further one until `resume`. */
  onPicture: (description: Description, buffer: Buffer, size: number) => boolean
  /** Settles when the pipe has closed: no picture will follow. */
  readonly ended: Promise<void>
  open(): Promise<{ writeFd: number }>
  describe(description: Description): void
  resume(): void
  close(): void
}

/**
 * Cuts ffmpeg's raw output into pictures, each read straight into the buffer it stays in. How large the next picture is becomes
 * known with its description; until then it is taken to be as large as the last one.
 */
export class FrameReader implements Reader {
  readonly #room: { head: number; tail: number }
  readonly #memory: PictureMemory
  readonly #sizeOf: (description: Description) => number
  readonly #described: Description[] = []
  onPicture: Reader['onPicture'] = () => true
  readonly ended: Promise<void>
  #close: () => void = () => {}
  #reader: Awaited<ReturnType<typeof openPipe>>['reader'] | undefined
  /** Where the next bytes go: never full. */
  #buffer: Buffer = Buffer.alloc(0)
  #size = 0
  #filled = 0
  /** A complete picture whose description has not come yet. */
  #full: Buffer | undefined
  /** Bytes of later pictures, read while the size was guessed wrong: empty but at the begin and after a change of size. */
  #surplus = Buffer.alloc(0)
  #aside: Buffer | undefined
  #paused = false

  /** `sizeOf`: bytes of the picture that is described. */
  constructor(room: { head: number; tail: number }, sizeOf: (description: Description) => number, memory = new PictureMemory()) {
    this.#room = room
    this.#sizeOf = sizeOf
    this.#memory = memory
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.#close = resolve
  }

  async open(): Promise<{ writeFd: number }> {
    this.#renew(ASIDE_BYTES)
    const { reader, writeFd } = await openPipe(
      () => this.#readInto(),
      (count, into) => this.#arrived(count, into),
    )
    this.#reader = reader
    reader.once('close', () => this.#close()).on('error', () => {})
    return { writeFd }
  }

  describe(description: Description): void {
    this.#described.push(description)
    this.#settle()
    this.#readOn()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#settle()
    this.#readOn()
  }

  close(): void {
    this.#reader?.destroy()
    this.#close()
  }

  get #mayRead(): boolean {
    return !this.#paused && this.#full === undefined
  }

  #readOn(): void {
    if (this.#mayRead) this.#reader?.resume()
  }

  /** Where the socket puts what it reads next. The rest of the surplus may still be moved into the buffer before that, so it is not the buffer then. */
  #readInto(): Buffer {
    if (this.#surplus.length > 0) return (this.#aside ??= Buffer.allocUnsafeSlow(ASIDE_BYTES))
    return this.#buffer.subarray(this.#room.head + this.#filled, this.#room.head + this.#size)
  }

  #arrived(count: number, into: Uint8Array): boolean {
    // The socket was given other memory: there was a surplus, or the size was not yet known to have changed.
    if (into.buffer !== this.#buffer.buffer) this.#surplus = Buffer.concat([this.#surplus, into.subarray(0, count)])
    else this.#filled += count
    this.#settle()
    return this.#mayRead
  }

  /** Delivers every picture that is both described and complete. */
  #settle(): void {
    this.#absorb()
    for (let next = this.#described[0]; next !== undefined && !this.#paused; next = this.#described[0]) {
      const size = this.#sizeOf(next)
      if (size !== this.#size) this.#resize(size)
      if (this.#full === undefined) return
      const buffer = this.#full
      this.#full = undefined
      this.#described.shift()
      this.#paused = !this.onPicture(next, buffer, size)
      this.#absorb()
    }
  }

  /** Moves bytes from the surplus to where they belong, and sets a completed picture aside. */
  #absorb(): void {
    if (this.#full !== undefined) return
    if (this.#surplus.length > 0) {
      const moved = this.#surplus.copy(this.#buffer, this.#room.head + this.#filled, 0, this.#size - this.#filled)
      this.#surplus = this.#surplus.subarray(moved)
      this.#filled += moved
    }
    if (this.#filled < this.#size) return
    this.#full = this.#buffer
    this.#renew(this.#size)
  }

  /** The guess was wrong (the first picture, or the stream changed its size): what has been read is cut again. */
  #resize(size: number): void {
    const { head } = this.#room
    const full = this.#full?.subarray(head, head + this.#size) ?? Buffer.alloc(0)
    this.#surplus = Buffer.concat([full, this.#buffer.subarray(head, head + this.#filled), this.#surplus])
    this.#full = undefined
    this.#renew(size)
    this.#absorb()
  }

  #renew(size: number): void {
    this.#size = size
    this.#filled = 0
    this.#buffer = this.#memory.take(this.#room.head + size + this.#room.tail)
  }
}
